//! One camera under control: an actor that takes its commands one after the other.
//!
//! In the order in which one file builds on another: `context`, `resolve` (its plugins before they
//! run), `runner` (what runs of it) and `kept` (what it should be), `controlled` (both together),
//! `plan` and `swap` (other plugins), `deploy`, `lifecycle`, `update` (the commands), `actor`.

mod actor;
mod context;
mod controlled;
mod deploy;
mod kept;
mod lifecycle;
mod plan;
pub(crate) mod resolve;
mod runner;
mod swap;
mod update;

pub(crate) use actor::Actor;
pub use context::CameraReport;
pub(crate) use context::ControlContext;
pub use resolve::{Placed, configure_alone, load_all};
