//! Write comux plugins in Rust: one trait, one macro.
//!
//! A plugin sees one frame at a time and answers with headers for the Kafka record that carried
//! the frame. Implement [`Plugin`] and name the type in [`export!`]; `comux plugin build` makes a
//! component of the crate (its `crate-type` is `cdylib`).
//!
//! ```
//! use comux_sdk::prelude::*;
//!
//! struct Mean;
//!
//! impl Plugin for Mean {
//!     type Config = NoConfig;
//!     const HEADERS: &'static [&'static str] = &["mean.luma"];
//!     fn new(_: NoConfig) -> Result<Self, ConfigError> { Ok(Mean) }
//!     fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
//!         Ok(Headers::new().number("mean.luma", frame.luma().mean, 3))
//!     }
//! }
//! comux_sdk::export!(Mean);
//! ```
//!
//! What a plugin can reach is its [`Frame`], its log ([`info!`] and its siblings) and its
//! [`metrics`]: no files, no network, no clock. Prefer what the host computes ([`Frame::luma`],
//! [`Frame::motion_grid`]), then a small [`View`], then loops over whole rows with [`kernels`]: the
//! sandbox checks its deadline on each turn of a loop, which makes byte-by-byte loops slow.
//!
//! What a plugin remembers survives swaps to another version, restarts and traps once it implements
//! [`Stateful`] too. A plugin that would rather look at frames of several cameras in one call
//! implements [`Batched`] instead.
//!
//! Plugins are tested natively, with `cargo test` and the pictures of the `testing` module.

mod batches;
mod config;
mod error;
mod export;
mod frame;
mod headers;
pub mod kernels;
pub mod log;
pub mod metrics;
#[cfg(not(target_family = "wasm"))]
mod native_frame;
mod pixels;
pub mod regions;
mod state;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

/// What `wit-bindgen` makes of `wit/`. Not for direct use: its shape follows the generator.
#[doc(hidden)]
#[allow(
    missing_docs,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "plugin",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "comux_sdk::bindings",
    });
}

/// The same for the interface `state` alone, which plugins add to theirs or not: what a module says
/// of its interface is the union of the worlds that it exports.
#[doc(hidden)]
#[allow(
    missing_docs,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub mod state_bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package comux:sdk; world remembering { export comux:plugin/state@0.1.0; }",
        generate_all,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_state",
        default_bindings_module: "comux_sdk::state_bindings",
    });
}

/// The same for the interface `batch-hook` alone.
#[doc(hidden)]
#[allow(
    missing_docs,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub mod batch_bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package comux:sdk; world batching { export comux:plugin/batch-hook@0.1.0; }",
        with: {
            "comux:plugin/types@0.1.0": crate::bindings::comux::plugin::types,
            "comux:plugin/frames@0.1.0": crate::bindings::comux::plugin::frames,
        },
        pub_export_macro: true,
        export_macro_name: "export_batches",
        default_bindings_module: "comux_sdk::batch_bindings",
    });
}

pub use batches::Batched;
pub use bindings::comux::plugin::frames::{LumaStats, ReadError};
pub use bindings::comux::plugin::types::{
    ColourMatrix, ColourRange, FrameFormat, FrameInfo, Header, PixelFormat, Pixels, PluginError,
    Rect, View,
};
pub use config::NoConfig;
pub use error::{ConfigError, StateError};
#[doc(hidden)]
pub use export::{configure, describe, on_batch, on_frame, restore, save};
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
pub use export::{exports_no_batches, exports_no_state, exports_nothing};
pub use frame::Frame;
pub use headers::Headers;
/// For `#[serde(crate = "comux_sdk::serde")]` in a crate that depends on the SDK alone.
pub use serde;
/// For plugins that build JSON beyond [`Headers::json`].
pub use serde_json;
pub use state::{Restored, Snapshot, Stateful};

/// Everything a plugin usually names.
pub mod prelude {
    pub use crate::{
        Batched, ColourMatrix, ColourRange, ConfigError, Frame, FrameFormat, FrameInfo, Headers,
        LumaStats, NoConfig, PixelFormat, Pixels, Plugin, PluginError, ReadError, Rect, Restored,
        Snapshot, StateError, Stateful, View, kernels, metrics,
    };
    pub use crate::{debug, error, info, trace, warn};
    pub use serde::{Deserialize, Serialize};
}

/// A plugin: made once per camera from its configuration, then called for each frame.
///
/// The instance lives until the camera ends, its plugin or configuration changes, or a call traps.
/// What it remembers ends with it, unless it is [`Stateful`].
/// Panics are traps; their message goes to the operator's log.
pub trait Plugin: Sized + 'static {
    /// The camera's configuration for this plugin, read from a JSON object. [`NoConfig`] takes no
    /// keys; [`config!`](crate::config!) declares a struct with its defaults.
    type Config: serde::de::DeserializeOwned;

    /// All header names that [`on_frame`](Plugin::on_frame) may write. Results with any other name
    /// are refused; names that begin with `comux-` are reserved.
    const HEADERS: &'static [&'static str];

    /// The plugin's name; absent, the name of its crate.
    const NAME: Option<&'static str> = None;

    /// The plugin's version; absent, the version of its crate.
    const VERSION: Option<&'static str> = None;

    /// Checks the configuration and makes the plugin.
    ///
    /// # Errors
    /// What is wrong, with which key, and what is allowed: the text is shown to the operator.
    fn new(config: Self::Config) -> Result<Self, ConfigError>;

    /// Analyses one frame. Frames come in presentation order.
    ///
    /// # Errors
    /// The record passes through without results; the plugin lives on. [`PluginError`] says
    /// whether another frame can succeed. [`ReadError`] converts into it with `?`.
    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError>;
}
