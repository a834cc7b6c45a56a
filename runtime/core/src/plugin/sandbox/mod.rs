//! wasmtime, narrowed to what a plugin may be: a component of the world `comux:plugin/plugin` with
//! limits and a deadline on every entry, and the interfaces that it may import (`imports`).
//!
//! It runs what it is given, and knows neither where a plugin comes from nor which camera it is
//! for.

mod batch_counts;
pub(crate) mod bindings;
mod call_clock;
mod component;
mod engine;
mod exports;
mod failure;
mod frame_view;
mod host_state;
pub(crate) mod imports;
mod instance;
mod memory_limit;
mod message;
mod meter;
mod metrics_book;
mod snapshot;
mod ticker;

pub use batch_counts::{BatchCounts, BatchSummary};
pub(crate) use call_clock::CallEnd;
pub use component::LoadedPlugin;
pub use engine::Engine;
pub(crate) use engine::wasmtime_engine;
pub(crate) use exports::Exports;
pub(crate) use failure::{Blame, failed, told};
pub use failure::{CallFailure, ConfigureError, NoResult};
pub(crate) use frame_view::{FrameView, LentFrame};
pub(crate) use host_state::HostState;
pub use imports::Owner;
pub(crate) use instance::{Charge, Entry, Instance, Left};
pub(crate) use message::{innermost, one_line};
pub use meter::Meter;
pub use metrics_book::{Metric, MetricsBook, MetricsSnapshot};
pub use snapshot::{Restored, Snapshot};
