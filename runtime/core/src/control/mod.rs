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
pub mod camera;
mod dispatch;
#[doc(hidden)]
pub mod fuzzing;
mod plane;
mod registry;
pub mod topics;
pub mod wire;

pub use actions::{ActionError, ActionResult, Actions};
pub use plane::{ControlPlane, ControlPlaneError, ensure_topics};
pub use registry::{CameraView, Phase};
