//! Who may use a core: claims to cores, fair shares of them, and threads that leave them to others.
//!
//! It knows of shares and their weights, and nothing of tenants, cameras, Kafka or video.

pub mod cpu_time;
mod decode_threads;
mod demotion;
mod fair_share;
pub(crate) mod sched_idle;
mod scheduler;

pub use cpu_time::ThreadClock;
pub(crate) use scheduler::Share;
pub use scheduler::{CoreClaim, CorePermit, Scheduler, Spent};
