//! What the tests of the whole system stand on: a real broker, real footage, an independent decoder
//! and the binary under test.
//!
//! Nothing here uses comux's own code: what it is checked against must not share its mistakes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on says so by panicking"
)]

pub mod acl;
pub mod apart;
pub mod attack;
pub mod broker;
pub mod churn;
pub mod comparison;
pub mod control;
pub mod cost;
pub mod demo;
pub mod encodings;
pub mod ended;
pub mod example;
pub mod feed;
pub(crate) mod ffmpeg;
pub mod figures;
pub mod handmade;
pub mod home;
pub mod host;
pub mod hostile;
pub mod json_lines;
pub mod latency;
pub mod markdown;
pub mod media;
pub mod nal;
pub mod neighbours;
pub mod obu;
pub mod pictures;
pub mod process;
mod proxy;
pub mod random;
pub mod records;
pub mod topics;
pub mod waits;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an event may take on a busy machine before a test gives up waiting for it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often a test repeats something: often enough to show the point, or as often as `make soak`
/// does.
#[must_use]
pub fn repetitions(usual: usize, at_length: usize) -> usize {
    if std::env::var_os("COMUX_SOAK").is_some() { at_length } else { usual }
}

/// The directory of this crate.
#[must_use]
pub fn tests_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Cargo's directory for the profile that the tests were built with, `target/debug`.
///
/// # Panics
/// When the test binary is not where Cargo puts it.
#[must_use]
pub fn profile_dir() -> PathBuf {
    let binary = std::env::current_exe().expect("path of the test binary");
    binary.ancestors().nth(2).expect("a test binary lies in target/<profile>/deps").to_path_buf()
}

/// Cargo's target directory.
///
/// # Panics
/// When the test binary is not where Cargo puts it.
#[must_use]
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("a profile's directory lies in the target directory").to_owned()
}

/// A plugin's component, as `make plugins` builds it.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    let path = target_dir().join("plugins").join(name).with_extension("wasm");
    assert!(path.is_file(), "{} is missing; `make plugins` builds it", path.display());
    path
}
