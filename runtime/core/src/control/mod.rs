//! The control plane: commands from Kafka change cameras while they run.
//!
//! ```text
//!  control topic ─► listener ─► request ─► dispatch ─► one actor per camera ─► commands to its thread
//!  state topic  ◄─► publisher / listener                  │
//!  status topic ◄── publisher ◄──────── answer ◄──────────┘
//! ```
//!
//! Everything here runs beside the frame path. What takes time (compiling, brokers, threads that
//! end) is done on other threads; a camera's own thread only gets commands that are ready to be
//! applied.
//!
//! Each builds on those before it: `wire` (what goes over the topics), `topics` (the way in and
//! out), `registry` (which cameras there are), `camera` (one actor each), `actions`, `status` and
//! `dispatch` (from a request to its answer), `restore` (the start from the desired state),
//! `succession` (after another process of the same name), `plane` (all of it).

mod actions;
pub mod camera;
mod dispatch;
#[doc(hidden)]
pub mod fuzzing;
mod plane;
mod registry;
mod restore;
mod status;
mod succession;
pub mod topics;
pub mod wire;

pub use actions::{ActionError, ActionResult, Actions, OWN};
pub use plane::{ControlPlane, ensure_topics};
pub use registry::{CameraView, Phase};
pub use restore::ControlPlaneError;
pub use wire::NodeProcess;
