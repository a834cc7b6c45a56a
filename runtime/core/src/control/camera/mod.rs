//! One camera under control: an actor that takes its commands one after the other.

mod actor;
mod deploy;
mod lifecycle;
pub(crate) mod resolve;
mod update;

pub use actor::CameraReport;
pub(crate) use actor::{Actor, ActorContext};
pub use resolve::{Placed, configure_alone, load_all};
