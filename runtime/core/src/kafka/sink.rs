//! Packets out: the original record with headers added, and the broker's acknowledgements.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::bindings::rd_kafka_flush;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext};

use super::acceptance::{Acceptance, HEADER_OVERHEAD, batch_bytes};
use super::checkpoint::{Acknowledged, Checkpoint, GopStart, MAX_UNACKNOWLEDGED_BYTES};
use super::headers::{each_header, is_reserved, none_reserved};
use super::incarnation::{Incarnations, TopicWatch, is_for_people, source};
use super::introduction::Introduction;
use super::producer::{Outgoing, PolledProducer};
use super::properties::{Logging, producer_config, with_metadata_log};
use crate::config::{Cluster, Id};
use crate::kafka::PARTITION;
use crate::record::{Outcome, Seq, header};

/// The producer of all cameras.
#[derive(Clone)]
pub struct PacketSink {
    producer: Arc<PolledProducer<Deliveries>>,
    incarnations: Arc<Incarnations>,
    topics: Arc<Mutex<HashMap<String, KnownTopic>>>,
    /// How large librdkafka makes batches of several records.
    batch_bytes: u64,
    /// When librdkafka was last asked to look for what waits.
    nudged: Arc<Mutex<Instant>>,
}

/// What all who send records to a topic share.
#[derive(Clone, Default)]
struct KnownTopic {
    acceptance: Arc<Acceptance>,
    introduction: Arc<Introduction>,
}

/// A topic that records leave for.
#[derive(Debug, Clone)]
pub struct OutputTopic {
    /// Its name.
    pub name: String,
    /// Which records it is sure to take.
    pub acceptance: Arc<Acceptance>,
    introduction: Arc<Introduction>,
    watch: Arc<TopicWatch>,
    batch_bytes: u64,
}

impl OutputTopic {
    /// Whether another topic of its name has taken its place; it is asked once.
    #[must_use]
    pub fn was_made_again(&self) -> bool {
        let other = self.watch.other();
        if let Some(id) = &other {
            self.watch.goes_on(id);
            self.introduction.forget();
        }
        other.is_some()
    }

    /// Bytes that may wait for acknowledgement. Those that wait may get into one batch, and the
    /// topic takes batches up to a size.
    fn most_waiting(&self) -> usize {
        let max_bytes = self.acceptance.max_bytes();
        match max_bytes < self.batch_bytes {
            true => usize::try_from(max_bytes).unwrap_or(usize::MAX),
            false => MAX_UNACKNOWLEDGED_BYTES,
        }
    }
}

/// How large an output record is.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Its key, its value, its own headers and the plugins' results.
    pub bytes: usize,
    /// All of it, as large as a broker may find it.
    pub on_wire: usize,
    /// None of its own headers looks like one of the runtime's.
    is_clean: bool,
}

/// How often it is nudged at most, whoever asks.
const NUDGE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the runtime's own headers take at most, but for `comux-source` and `comux-plugin`.
const OWN_HEADERS: usize = 341;

/// Everything that the headers of an output record say beside the plugins' results.
#[derive(Debug, Clone, Copy)]
pub struct RecordFacts {
    /// The record's number on its camera.
    pub seq: Seq,
    /// Presentation time in microseconds.
    pub pts_us: Option<i64>,
    /// It holds a key frame.
    pub keyframe: bool,
    /// How often its topic was made again.
    pub times_made_again: u32,
}

/// Why a record was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// Too much waits for acknowledgement, or the topic's first record does; try again after the
    /// next one.
    #[error("too much waits for acknowledgement")]
    Full,
    /// It can't be produced, now or later.
    #[error(transparent)]
    Refused(KafkaError),
}

/// What is known of a record when its delivery is reported.
pub struct Delivery {
    checkpoint: Arc<Checkpoint>,
    introduction: Arc<Introduction>,
    offset: i64,
    bytes: usize,
    gop_start: Option<Arc<GopStart>>,
}

/// Takes the broker's reports.
pub struct Deliveries {
    incarnations: Arc<Incarnations>,
    /// A consumer of the same cluster says when it is away.
    has_consumer: bool,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.incarnations.read_log(facility, message);
        if is_for_people(level) {
            Logging.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match self.has_consumer {
            true => Logging.error(error, reason),
            false => tracing::warn!(%error, "kafka: {reason}"),
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let Delivery { checkpoint, introduction, offset, bytes, gop_start } = *delivery;
        introduction.answered(result.is_ok());
        let answer = match result {
            Ok(_) => Ok(Acknowledged { next_offset: offset + 1, gop_start }),
            Err((error, _)) => Err(error.clone()),
        };
        checkpoint.answered(bytes, answer);
    }
}

impl PacketSink {
    /// Creates the producer. It connects by itself, and again whenever it must. `has_consumer`: a
    /// consumer of the same cluster says when it is away.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn new(cluster: &Cluster, node: &Id, has_consumer: bool) -> Result<Self, KafkaError> {
        let config = with_metadata_log(producer_config(cluster, node));
        let incarnations = Arc::<Incarnations>::default();
        let deliveries = Deliveries { incarnations: Arc::clone(&incarnations), has_consumer };
        // librdkafka's default.
        let batch_bytes = config.get("batch.size").and_then(|text| text.parse().ok());
        let producer = PolledProducer::new(&config, deliveries, "sink")?;
        Ok(Self {
            producer: Arc::new(producer),
            incarnations,
            nudged: Arc::new(Mutex::new(Instant::now())),
            topics: Arc::default(),
            batch_bytes: batch_bytes.unwrap_or(1_000_000),
        })
    }

    /// A topic to send records to.
    #[must_use]
    pub fn topic(&self, name: &str) -> OutputTopic {
        let KnownTopic { acceptance, introduction } =
            self.topics.lock().entry(name.to_owned()).or_default().clone();
        let (watch, batch_bytes) = (self.incarnations.watch_first(name), self.batch_bytes);
        OutputTopic { name: name.to_owned(), acceptance, introduction, watch, batch_bytes }
    }

    /// The topics that records are sent to.
    #[must_use]
    pub fn topics(&self) -> Vec<(String, Arc<Acceptance>)> {
        let mut topics = self.topics.lock();
        topics.retain(|name, topic| {
            let is_used = Arc::strong_count(&topic.acceptance) > 1;
            if !is_used {
                self.incarnations.forget(name);
            }
            is_used
        });
        let topics = topics.iter();
        topics.map(|(name, topic)| (name.clone(), Arc::clone(&topic.acceptance))).collect()
    }

    /// Looks for a topic that was made a moment ago under the name of one that was gone: librdkafka
    /// would refuse records for it until it looks by itself, in some minutes. Waits for the broker.
    pub fn look_for(&self, topic: &str) {
        if let Err(error) = self.producer.client().fetch_metadata(Some(topic), PATIENCE) {
            tracing::debug!(topic, %error, "kafka: metadata");
        }
    }

    /// Has librdkafka's threads look for records that wait to be sent: one of them may sleep
    /// although the last records of a burst have come. Waits for nothing.
    pub fn nudge(&self) {
        let mut nudged = self.nudged.lock();
        if nudged.elapsed() >= NUDGE_INTERVAL {
            *nudged = Instant::now();
            // SAFETY: the client lives as long as `self`. It answers that something is left.
            unsafe { rd_kafka_flush(self.producer.client().native_ptr(), 0) };
        }
    }

    /// How large a record is with what is added to it.
    #[must_use]
    pub fn measure(record: &BorrowedMessage<'_>, outcome: &Outcome) -> Measured {
        let (mut headers, mut bytes, mut is_clean) = (0, 0, true);
        for (name, value) in each_header(record.headers()) {
            headers += 1;
            bytes += name.len() + value.map_or(0, <[u8]>::len);
            is_clean &= !is_reserved(name);
        }
        for result in &outcome.headers {
            headers += 1;
            bytes += result.name.len() + result.value.len();
        }
        bytes += record.payload_len() + record.key_len();
        let plugins = outcome.plugins.as_ref().map_or(0, String::len);
        // A renamed header is longer by what tells it from the runtime's.
        let renamed = if is_clean { 0 } else { headers * header::INPUT_PREFIX.len() };
        let own = OWN_HEADERS + record.topic().len() + plugins + renamed;
        Measured { bytes, on_wire: bytes + own + headers * HEADER_OVERHEAD, is_clean }
    }

    /// Produces `record` as it came, with headers added. `gop_start`: where what follows it can be
    /// decoded from.
    ///
    /// # Errors
    /// [`ProduceError::Full`]: not now. [`ProduceError::Refused`]: never.
    pub fn produce(
        &self,
        topic: &OutputTopic,
        (record, measured): (&BorrowedMessage<'_>, Measured),
        facts: RecordFacts,
        outcome: &Outcome,
        gop_start: Option<&Arc<GopStart>>,
        checkpoint: &Arc<Checkpoint>,
    ) -> Result<(), ProduceError> {
        let bytes = usize::try_from(batch_bytes(measured.on_wire)).unwrap_or(usize::MAX);
        if checkpoint.is_full(bytes, topic.most_waiting()) || !topic.introduction.may_send() {
            return Err(ProduceError::Full);
        }
        let delivery = Box::new(Delivery {
            checkpoint: Arc::clone(checkpoint),
            introduction: Arc::clone(&topic.introduction),
            offset: record.offset(),
            bytes,
            gop_start: gop_start.cloned(),
        });
        let mut output: Outgoing<'_, Deliveries> =
            BaseRecord::with_opaque_to(&topic.name, delivery)
                .partition(PARTITION)
                .headers(headers(record, measured.is_clean, facts, outcome));
        output.payload = record.payload();
        output.key = record.key();
        output.timestamp = record.timestamp().to_millis();
        checkpoint.sent(bytes);
        self.producer.send(output).map_err(|error| {
            checkpoint.not_sent(bytes);
            topic.introduction.answered(false);
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
    let source = source(record.topic(), partition, offset, facts.times_made_again);
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
