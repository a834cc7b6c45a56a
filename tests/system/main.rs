//! Whole-system tests: the binary as users run it, on a real Apache Kafka, with real footage,
//! against what the `ffmpeg` command decodes by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on says so by panicking"
)]

mod authoring;
mod bad_input;
mod batches;
mod breaker;
mod churn;
mod codecs;
mod colours;
mod compiler;
mod configuration;
mod control_actions;
mod control_bad;
mod control_command;
mod control_targets;
mod crash;
mod decode_threads;
mod demo;
mod deploy;
mod desired_state;
mod docs;
mod embedding;
mod fixture;
mod hostile;
mod hostile_components;
mod hostile_hooks;
mod identity;
mod isolation;
mod lag;
mod live;
mod log;
mod made_again;
mod neighbours;
mod plugins;
mod printed;
mod promises;
mod publish;
mod quotas;
mod refused;
mod restart;
mod results;
mod store;
mod streams;
mod succession;
mod swap;
mod swap_failures;
mod sweep;
mod tenant_clusters;
mod trust;
