//! comux runs sandboxed WebAssembly plugins on live video in Kafka.
//!
//! The modules stand in the order in which a record passes them; `ARCHITECTURE.md` beside this
//! crate has the code map and the invariants.

pub mod author;
mod background;
pub mod camera;
pub mod clusters;
pub mod config;
pub mod control;
pub mod decode;
pub mod host;
pub mod kafka;
pub mod ledger;
pub mod media;
pub mod memories;
pub mod outcome;
pub mod packet;
pub mod picture;
pub mod plugin;
pub mod preflight;
pub mod runtime;
pub mod sink;
pub mod source;
pub mod stats;
pub mod tenant;
