//! Who may use a core: claims to cores, fair shares of them, and threads that leave them to others.
//!
//! It knows of shares and their weights, and nothing of tenants, cameras, Kafka or video.

mod claim;
mod clock;
pub mod cpu_time;
mod decode_threads;
mod demotion;
mod fair_share;
mod run_queue;
pub(crate) mod sched_idle;
mod scheduler;

pub use claim::{CoreClaim, CorePermit, Spent};
pub(crate) use clock::{nanos, nanos_of};
pub use cpu_time::ThreadClock;
pub(crate) use run_queue::Share;
pub use scheduler::Scheduler;
