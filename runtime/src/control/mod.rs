//! The control plane: commands from Kafka change cameras while they run.
//!
//! ```text
//!  control topic ─► listener ─► request ─► dispatch ─► one actor per camera ─► orders to its thread
//!  state topic  ◄─► bus / listener                        │
//!  status topic ◄── bus ◄───────────── answer ◄───────────┘
//! ```
//!
//! Everything here runs beside the frame path. What takes time (compiling, brokers, threads that
//! end) is done on other threads; a camera's own thread only gets orders that are ready to be
//! carried out.

mod actions;
mod actor;
mod answer;
mod bus;
mod chain;
mod change;
mod desired;
mod dispatch;
mod fields;
#[doc(hidden)]
pub mod fuzzing;
mod job;
mod life;
mod listener;
mod plane;
mod registry;
mod request;
mod swap;

pub use actions::{ActionError, ActionResult, Actions};
pub use actor::CameraReport;
pub use answer::{Kind, Refusal, Steps};
pub use chain::{Placed, configure_alone, load_all};
pub use plane::{ControlPlane, StartError, ensure_topics};
pub use registry::{CameraView, Phase};
pub use request::{Origin, Request, Target};
