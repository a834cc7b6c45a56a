//! wasmtime, narrowed to what a plugin may be: a component of the world `comux:plugin/plugin` with
//! limits and a deadline on every entry, and the interfaces that it may import ([`imports`]).
//!
//! It runs what it is given, and knows neither where a plugin comes from nor which camera it is for.

pub(crate) mod bindings;
pub(crate) mod deadline;
mod engine;
mod exports;
mod failure;
mod frame_view;
mod host_state;
pub mod imports;
mod meter;
mod snapshot;

pub(crate) use deadline::CallEnd;
pub use engine::{Engine, LoadedPlugin};
pub(crate) use engine::{innermost, wasmtime_engine};
pub(crate) use exports::Exports;
pub(crate) use failure::{Blame, failed, told, trapped};
pub use failure::{CallFailure, ConfigureError, NoResult};
pub(crate) use frame_view::{FrameView, LentFrame};
pub(crate) use host_state::HostState;
pub use host_state::Owner;
pub use meter::Meter;
pub use snapshot::{Restored, Snapshot};
