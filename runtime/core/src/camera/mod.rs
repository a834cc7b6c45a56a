//! A camera: a thread of its own that takes records from its queue to the sink.
//!
//! In the order in which one file builds on another: `stages` (one file each), `commands` (what the
//! thread is told), `rollout` and `plugin_chain` (its plugins), `analysis` (what they make of
//! frames), `frame_path` (from an access unit to its record's fate), `mending` (what it does about
//! damage), `pipeline` (from a record to the sink), `reconfigure` (what changes meanwhile),
//! `thread`, `handle`. `playback` is a camera without Kafka, on the same frame path.

mod analysis;
mod commands;
mod error;
mod frame_path;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod input_record;
mod mending;
mod pipeline;
mod playback;
mod plugin_chain;
mod reconfigure;
mod rollout;
mod stages;
mod thread;

pub use commands::{CameraInput, Change, Command, Link, Shadowed, Swap, SwapEvent};
pub use error::{CameraError, Stopped};
pub use handle::{Camera, check};
pub use input_record::{keyframe_header, pts_us};
pub use playback::{Playback, Played};
pub use plugin_chain::PluginChain;
pub use thread::{CameraParts, OnTopic, OtherTopic};
