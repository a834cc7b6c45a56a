//! comux runs sandboxed WebAssembly plugins on live video in Kafka.
//!
//! An application that embeds it loads a configuration, adds control actions of its own, and starts
//! a node:
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use comux::{Actions, Config, Runtime};
//!
//! let config = Config::load("comux.toml".as_ref())?;
//! let actions = Actions::default().register("echo", |request| Ok(request.value.clone()))?;
//! let runtime = Runtime::start(config, actions).await?;
//! for camera in runtime.cameras() {
//!     println!("{}", camera.spec.id.as_str());
//! }
//! runtime.stop().await;
//! # Ok(()) }
//! ```
//!
//! What such an application uses is here. The modules are comux's own: the command `comux`, tests
//! and benchmarks reach into them, and they change without notice. They stand in the order of
//! `ARCHITECTURE.md`, where each may import those before it only.

pub use config::{CameraSpec, Config, ConfigError, Id};
pub use control::camera::CameraReport;
pub use control::wire::{Origin, Request, Target};
pub use control::{ActionError, ActionResult, Actions, CameraView, NodeProcess, Phase};
pub use plugin::compile::Compiler;
pub use runtime::{Runtime, StartError};
pub use stats::{CameraCounts, CameraStats};

#[doc(hidden)]
pub mod camera;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod control;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod kafka;
#[doc(hidden)]
pub mod plugin;
#[doc(hidden)]
pub mod policy;
#[doc(hidden)]
pub mod preflight;
#[doc(hidden)]
pub mod record;
#[doc(hidden)]
pub mod runtime;
#[doc(hidden)]
pub mod sched;
#[doc(hidden)]
pub mod snapshots;
#[doc(hidden)]
pub mod stats;
#[doc(hidden)]
pub mod tenancy;
#[doc(hidden)]
pub mod video;
