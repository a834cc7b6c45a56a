//! comux runs sandboxed WebAssembly plugins on live video in Kafka.
//!
//! The modules stand in the order in which a record passes them; `ARCHITECTURE.md` beside this
//! crate has the code map and the invariants.

pub mod camera;
pub mod config;
pub mod control;
pub mod host;
pub mod kafka;
pub mod plugin;
pub mod policy;
pub mod preflight;
pub mod record;
pub mod runtime;
pub mod sched;
pub mod snapshots;
pub mod stats;
pub mod tenancy;
pub mod video;
