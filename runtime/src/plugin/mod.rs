//! Sandboxed plugins: what is loaded once, what lives per camera, and what a plugin may reach.
//!
//! This module narrows wasmtime to the one shape that comux needs: components of the world
//! `comux:plugin/plugin`, called synchronously on the camera's own thread, with a deadline and a
//! memory limit on every entry. One store per camera and plugin; a trap ends the store.
//!
//! A plugin is named by a [`Source`] and known by its [`Digest`]. The [`Loader`] leads from one to
//! the other, and to machine code, off the cameras' threads.

mod batch;
mod breaker;
mod cache;
mod clock;
mod compile;
mod digest;
mod engine;
mod exports;
mod failure;
mod frames;
#[doc(hidden)]
pub mod fuzzing;
mod guest;
mod inspect;
mod instance;
mod kept;
mod keys;
mod limits;
mod load_error;
mod load_limits;
mod loader;
mod log;
mod meter;
mod metrics;
mod names;
mod overlay;
mod places;
mod pool;
mod private;
mod resident;
mod settings;
mod shelf;
mod sight;
mod signature;
mod signed_file;
mod snapshot;
mod source;
mod step;
mod store;
#[cfg(test)]
mod test_plugin;
mod trust;
mod turns;

pub use breaker::{BreakerSettings, BreakerState, BreakerTable};
pub use cache::CacheError;
pub use compile::{ChildArguments, Compiler, compile_plugin};
pub use digest::{Digest, NoDigest};
pub use engine::{Engine, LoadedPlugin};
pub use failure::{CallFailure, ConfigureError, NoResult};
pub use instance::{Instance, Terms};
pub use keys::{KeyError, NoPublicKey, PrivateKey, PublicKey};
pub use limits::{Limits, LimitsTable};
pub use load_error::{LoadError, LoadProblem};
pub use load_limits::LoadLimits;
pub use loader::{JobFailed, Loaded, Loader};
pub use meter::Meter;
pub use metrics::{Metric, MetricsBook, MetricsSnapshot};
pub use pool::JobPanicked;
pub use settings::{LoaderSettings, OpenError, TenantPlugins};
pub use shelf::{AddError, Shelf, StoredPlugin};
pub use signature::{ComponentSignature, sign, signatures};
pub use signed_file::{SignError, sign_file, signatures_of};
pub use snapshot::{Restored, Snapshot};
pub use source::{NoSource, Source};
pub use step::Step;
pub use store::FetchError;
pub use trust::{Grant, Trust};

/// The bindings that wasmtime generates from `wit/`.
pub(crate) mod wit {
    /// What every plugin has.
    #[allow(missing_docs, dead_code, clippy::all, reason = "generated")]
    mod plugin {
        wasmtime::component::bindgen!({
            path: "../wit",
            world: "plugin",
            imports: { default: trappable },
            with: { "comux:plugin/frames.frame": crate::plugin::frames::FrameHandle },
        });
    }

    /// What a plugin may have besides, as a world of its own: in `stateful-plugin` all the rest
    /// would be generated a second time.
    #[allow(missing_docs, dead_code, clippy::all, reason = "generated")]
    mod optional {
        wasmtime::component::bindgen!({
            path: "../wit",
            inline: "package comux:host;
                world optional {
                    export comux:plugin/batch-hook@0.1.0;
                    export comux:plugin/state@0.1.0;
                }",
            world: "comux:host/optional",
            with: {
                "comux:plugin/types": super::plugin::comux::plugin::types,
                "comux:plugin/frames": super::plugin::comux::plugin::frames,
            },
        });
    }

    pub use plugin::{Plugin, PluginIndices, comux};

    /// As the generated modules are called.
    pub mod exports {
        pub mod comux {
            pub mod plugin {
                pub use super::super::super::optional::exports::comux::plugin::{
                    batch_hook, state,
                };
                pub use super::super::super::plugin::exports::comux::plugin::lifecycle;
            }
        }
    }
}
