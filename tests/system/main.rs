//! Whole-system tests: the binary as users run it, on a real Apache Kafka, with real footage,
//! against what the `ffmpeg` command decodes by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on says so by panicking"
)]

mod bad_input;
mod codecs;
mod configuration;
mod demo;
mod fixture;
mod identity;
mod lag;
mod plugins;
mod promises;
mod restart;
mod results;
