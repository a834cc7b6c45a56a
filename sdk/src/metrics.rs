//! Numbers of the plugin's own for the operator: `status` and monitoring show them for each camera.
//! Results belong into [`Headers`](crate::Headers).
//!
//! ```
//! use comux_sdk::{metrics, testing};
//!
//! metrics::add("crossings", 2);     // a sum that only grows; it goes on after a trap
//! metrics::add("crossings", 1);
//! metrics::set("tracks", 4);        // how much there is now
//! metrics::observe("score", 0.25);  // one measurement of many: number, sum, least and greatest
//!
//! let told = testing::metrics();
//! assert_eq!(told.sum("crossings"), 3);
//! assert_eq!(told.level("tracks"), Some(4.0));
//! assert_eq!(told.observations("score"), [0.25]);
//! ```
//!
//! A name is 1 to 64 letters, digits, `_`, `.` and `-`, is used with one of the three only, and is
//! one of few: the host takes 32 unless its operator says otherwise, so never make names of what is
//! in the picture. What it does not take is dropped; calls never block and never fail.

#[cfg(target_family = "wasm")]
use crate::bindings::comux::plugin::metrics as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::told as host;

/// Counts: adds to a sum that begins at 0.
pub fn add(name: &str, amount: u64) {
    host::add(name, amount);
}

/// Shows how much there is now, in place of the value before.
pub fn set(name: &str, value: impl Into<f64>) {
    host::set(name, value.into());
}

/// One of many measurements.
pub fn observe(name: &str, value: impl Into<f64>) {
    host::observe(name, value.into());
}
