//! Packets out: the original record with headers added, and the broker's acknowledgements.

use std::sync::Arc;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext};

use super::checkpoint::{Acknowledged, Checkpoint, GopStart};
use super::headers::{each_header, is_reserved, none_reserved};
use super::producer::{Outgoing, PolledProducer};
use super::properties::{Logging, producer_config};
use crate::config::{Cluster, Id};
use crate::kafka::PARTITION;
use crate::record::{Outcome, Seq, header};

/// The producer of all cameras.
#[derive(Clone)]
pub struct PacketSink {
    producer: Arc<PolledProducer<Deliveries>>,
}

/// Everything that the headers of an output record say beside the plugins' results.
#[derive(Debug, Clone, Copy)]
pub struct RecordFacts {
    /// The record's number on its camera.
    pub seq: Seq,
    /// Presentation time in microseconds.
    pub pts_us: Option<i64>,
    /// It holds a key frame.
    pub keyframe: bool,
}

/// Why a record was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// Too much waits for acknowledgement; try again after the next one.
    #[error("too much waits for acknowledgement")]
    Full,
    /// It can't be produced, now or later.
    #[error(transparent)]
    Refused(KafkaError),
}

/// What is known of a record when its delivery is reported.
pub struct Delivery {
    checkpoint: Arc<Checkpoint>,
    offset: i64,
    bytes: usize,
    gop_start: Option<Arc<GopStart>>,
}

/// Takes the broker's reports.
pub struct Deliveries;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logging.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let Delivery { checkpoint, offset, bytes, gop_start } = *delivery;
        let answer = match result {
            Ok(_) => Ok(Acknowledged { next_offset: offset + 1, gop_start }),
            Err((error, _)) => Err(error.clone()),
        };
        checkpoint.answered(bytes, answer);
    }
}

impl PacketSink {
    /// Creates the producer. It connects by itself, and again whenever it must.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn new(cluster: &Cluster, node: &Id) -> Result<Self, KafkaError> {
        let config = producer_config(cluster, node);
        let producer = PolledProducer::new(&config, Deliveries, "sink")?;
        Ok(Self { producer: Arc::new(producer) })
    }

    /// Produces `record` as it came, with headers added. Returns how many bytes that are, but for
    /// the runtime's own headers. `gop_start`: where what follows it can be decoded from.
    ///
    /// # Errors
    /// [`ProduceError::Full`]: not now. [`ProduceError::Refused`]: never.
    pub fn produce(
        &self,
        topic: &str,
        record: &BorrowedMessage<'_>,
        facts: RecordFacts,
        outcome: &Outcome,
        gop_start: Option<&Arc<GopStart>>,
        checkpoint: &Arc<Checkpoint>,
    ) -> Result<usize, ProduceError> {
        let results = outcome.headers.iter().map(|header| header.name.len() + header.value.len());
        let mut bytes = record.payload_len() + record.key_len() + results.sum::<usize>();
        let mut is_clean = true;
        for (name, value) in each_header(record.headers()) {
            bytes += name.len() + value.map_or(0, <[u8]>::len);
            is_clean &= !is_reserved(name);
        }
        if checkpoint.is_full(bytes) {
            return Err(ProduceError::Full);
        }
        let delivery = Box::new(Delivery {
            checkpoint: Arc::clone(checkpoint),
            offset: record.offset(),
            bytes,
            gop_start: gop_start.cloned(),
        });
        let mut output: Outgoing<'_, Deliveries> = BaseRecord::with_opaque_to(topic, delivery)
            .partition(PARTITION)
            .headers(headers(record, is_clean, facts, outcome));
        output.payload = record.payload();
        output.key = record.key();
        output.timestamp = record.timestamp().to_millis();
        checkpoint.sent(bytes);
        self.producer.send(output).map(|()| bytes).map_err(|error| {
            checkpoint.not_sent(bytes);
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => ProduceError::Full,
                error => ProduceError::Refused(error),
            }
        })
    }
}

/// The record's own headers, and what is added to them. `is_clean`: none of its own looks like
/// one of the runtime's.
fn headers(
    record: &BorrowedMessage<'_>,
    is_clean: bool,
    facts: RecordFacts,
    outcome: &Outcome,
) -> OwnedHeaders {
    let own = match record.headers() {
        None => OwnedHeaders::new_with_capacity(10),
        Some(headers) if is_clean => headers.detach(),
        Some(headers) => none_reserved(headers),
    };
    let (partition, offset) = (record.partition(), record.offset());
    let source = format!("{}/{partition}/{offset}", record.topic());
    with_results(own, &source, facts, outcome)
}

/// The headers `own` of the record at `source`, the runtime's, and the plugins'.
#[doc(hidden)]
#[must_use]
pub fn with_results(
    own: OwnedHeaders,
    source: &str,
    facts: RecordFacts,
    outcome: &Outcome,
) -> OwnedHeaders {
    let mut headers = own
        .insert(text(header::SEQ, &facts.seq.to_string()))
        .insert(text(header::SOURCE, source))
        .insert(text(header::STATUS, outcome.status.word()));
    if let Some(reason) = outcome.status.reason() {
        headers = headers.insert(text(header::REASON, reason));
    }
    if let Some(plugins) = &outcome.plugins {
        headers = headers.insert(text(header::PLUGIN, plugins));
    }
    if let Some(pts) = facts.pts_us {
        headers = headers.insert(text(header::PTS, &pts.to_string()));
    }
    if facts.keyframe {
        headers = headers.insert(text(header::KEYFRAME, "1"));
    }
    if let Some(timing) = outcome.timing {
        let (queue, decode, plugin) = (timing.queue, timing.decode, timing.plugin);
        let timing = format!("queue={queue};decode={decode};plugin={plugin}");
        headers = headers.insert(text(header::TIMING, &timing));
    }
    for result in &outcome.headers {
        headers = headers.insert(Header { key: &result.name, value: Some(&result.value) });
    }
    headers
}

fn text<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    Header { key, value: Some(value) }
}
