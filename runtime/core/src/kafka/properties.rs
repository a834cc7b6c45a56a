//! The properties of librdkafka that comux sets, and why. Any of them may be overruled in
//! `[kafka] properties`.

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::{Cluster, Id};

/// Sends librdkafka's own messages to the log.
pub struct Logging;

impl ClientContext for Logging {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // An outage has a line of its own; see `Outage`.
            _ if tells_of_outage(facility) => tracing::debug!(facility, "kafka: {message}"),
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(facility, "kafka: {message}"),
            _ => tracing::debug!(facility, "kafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a topic is no error, and an outage has a line of its own; see `Outage`.
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            code if is_outage(code) => tracing::debug!(%error, "kafka: {reason}"),
            _ => tracing::warn!(%error, "kafka: {reason}"),
        }
    }
}

impl ConsumerContext for Logging {}

/// Whether a line of librdkafka's log is about a connection that was lost, or can't be made.
pub(super) fn tells_of_outage(facility: &str) -> bool {
    ["FAIL", "REQTMOUT", "ERROR"].contains(&facility)
}

/// Whether an error says that a broker can't be reached.
pub fn is_outage(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, OperationTimedOut, RequestTimedOut, Resolve,
        WaitingForCoordinator,
    };
    code.is_some_and(|code| {
        [
            AllBrokersDown,
            BrokerTransportFailure,
            OperationTimedOut,
            RequestTimedOut,
            Resolve,
            WaitingForCoordinator,
        ]
        .contains(&code)
    })
}

/// For clients whose answers are reported by whoever asked: what librdkafka says beside is detail.
pub struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "kafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "kafka: {reason}");
    }
}

impl ConsumerContext for Quiet {}

/// Properties for packets in. Offsets are committed for the group `comux.<node>`; partitions
/// are assigned by comux itself, so that no rebalance ever interrupts a camera.
#[must_use]
pub fn consumer_config(cluster: &Cluster, node: &Id) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", format!("comux.{node}"))
        .set("group.id", format!("comux.{node}"))
        // Offsets are committed behind acknowledged output, never by a timer.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        // Retention may delete what a camera has not read yet; it goes on with what is left.
        .set("auto.offset.reset", "earliest")
        // What one camera may hold in memory before it is pushed back on the broker: two seconds
        // of 4K video at 16 Mbit/s, or at least one record.
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.message.max.bytes", "1048576")
        // A full queue is looked at again this soon; the default of a second stalls cameras.
        .set("fetch.queue.backoff.ms", "20");
    overlay(config, cluster)
}

/// The same client, with the lines in librdkafka's log that tell that a topic is another one.
#[must_use]
pub fn with_metadata_log(mut config: ClientConfig) -> ClientConfig {
    let debug = match config.get("debug") {
        Some(wanted) if !wanted.is_empty() => format!("{wanted},metadata"),
        _ => "metadata".to_owned(),
    };
    config.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
    config
}

/// Properties for packets out.
#[must_use]
pub fn producer_config(cluster: &Cluster, node: &Id) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", format!("comux.{node}"))
        // Retries neither duplicate nor reorder records.
        .set("enable.idempotence", "true")
        // Results are wanted now; librdkafka still batches what waits for a connection.
        .set("linger.ms", "0")
        // An unreachable broker is waited for: video is never dropped by a timer.
        .set("message.timeout.ms", "0")
        // The topic's own limit decides what is too large.
        .set("message.max.bytes", "100000000")
        .set("queue.buffering.max.kbytes", "262144");
    overlay(config, cluster)
}

fn overlay(mut config: ClientConfig, cluster: &Cluster) -> ClientConfig {
    for (key, value) in &cluster.properties {
        config.set(key, value);
    }
    config.set("bootstrap.servers", &cluster.bootstrap_servers);
    config
}
