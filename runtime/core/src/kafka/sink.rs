//! Packets out: the original record with headers added, and the broker's acknowledgements.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext};

use super::headers::each_header;
use super::producer::{Outgoing, PolledProducer};
use super::properties::{Logging, producer_config};
use crate::config::{Cluster, Id};
use crate::kafka::PARTITION;
use crate::record::{Outcome, Seq, header};

/// Bytes of one camera that may wait for acknowledgement: two seconds of 4K video.
const MAX_UNACKNOWLEDGED_BYTES: usize = 8 * 1024 * 1024;

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
    /// The offset of the key frame from which what follows this record can be decoded.
    pub gop_start: Option<i64>,
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

/// One camera's way through the sink: what is acknowledged, and what waits for it.
#[derive(Debug, Default)]
pub struct Checkpoint {
    state: Mutex<CheckpointState>,
    unacknowledged: AtomicUsize,
    unacknowledged_bytes: AtomicUsize,
    /// The camera's thread.
    thread: OnceLock<Thread>,
    /// It sleeps until something more is acknowledged.
    waits: AtomicBool,
}

#[derive(Debug, Default)]
struct CheckpointState {
    acknowledged: Option<Acknowledged>,
    refused: Option<KafkaError>,
}

/// All records before `next_offset` are output and acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The first input offset whose output is not acknowledged.
    pub next_offset: i64,
    gop_start: Option<i64>,
}

impl Acknowledged {
    /// What is committed beside the offset: where decoding has to begin to go on at it.
    #[must_use]
    pub fn metadata(self) -> String {
        self.gop_start.map(|offset| format!("keyframe={offset}")).unwrap_or_default()
    }
}

impl Checkpoint {
    /// The key frame's offset in the metadata of a commit.
    #[must_use]
    pub fn keyframe_in(metadata: &str) -> Option<i64> {
        metadata.strip_prefix("keyframe=")?.parse().ok()
    }

    /// The calling thread is the one that [waits](Self::wait) from now on.
    pub fn wake_this_thread(&self) {
        self.thread.get_or_init(std::thread::current);
    }

    /// Sleeps until fewer records than `unacknowledged` wait for acknowledgement, or something else wakes
    /// the thread, but for `nap` at most.
    ///
    /// Only who sleeps here is woken: acknowledgements come for every record, and the way into the
    /// kernel and back costs more than all else that is done for one.
    pub fn wait(&self, unacknowledged: usize, nap: Duration) {
        // Either this thread sees that an acknowledgement has come, or whoever brings it sees that this
        // one waits: both write first and then look, in one order that all threads agree on.
        self.waits.store(true, Ordering::SeqCst);
        if self.unacknowledged.load(Ordering::SeqCst) >= unacknowledged {
            std::thread::park_timeout(nap);
        }
        self.waits.store(false, Ordering::Relaxed);
    }

    /// How far output is acknowledged. `None`: nothing yet.
    #[must_use]
    pub fn acknowledged(&self) -> Option<Acknowledged> {
        self.lock().acknowledged
    }

    /// The first record that the broker refused for good.
    #[must_use]
    pub fn refused(&self) -> Option<KafkaError> {
        self.lock().refused.clone()
    }

    /// Records that wait for acknowledgement.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, CheckpointState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self, bytes: usize) -> bool {
        let waiting = self.unacknowledged_bytes.load(Ordering::Relaxed);
        waiting > 0 && waiting + bytes > MAX_UNACKNOWLEDGED_BYTES
    }
}

/// What is known of a record when its delivery is reported.
pub struct Delivery {
    progress: Arc<Checkpoint>,
    offset: i64,
    bytes: usize,
    gop_start: Option<i64>,
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
        let Delivery { progress, offset, bytes, gop_start } = *delivery;
        {
            let mut state = progress.lock();
            match result {
                // Behind a record that was refused, nothing counts as acknowledged.
                Ok(_) if state.refused.is_none() => {
                    state.acknowledged = Some(Acknowledged { next_offset: offset + 1, gop_start });
                }
                Ok(_) => {}
                Err((error, _)) => {
                    state.refused.get_or_insert_with(|| error.clone());
                }
            }
        }
        progress.unacknowledged_bytes.fetch_sub(bytes, Ordering::Relaxed);
        progress.unacknowledged.fetch_sub(1, Ordering::SeqCst);
        let has_failed = result.is_err();
        if (has_failed || progress.waits.load(Ordering::SeqCst))
            && let Some(thread) = progress.thread.get()
        {
            thread.unpark();
        }
    }
}

impl PacketSink {
    /// Creates the producer. It connects by itself, and again whenever it must.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn new(cluster: &Cluster, instance: &Id) -> Result<Self, KafkaError> {
        let config = producer_config(cluster, instance);
        let producer = PolledProducer::new(&config, Deliveries, "sink")?;
        Ok(Self { producer: Arc::new(producer) })
    }

    /// Produces `record` as it came, with headers added. Returns how many bytes that are, but for
    /// the runtime's own headers.
    ///
    /// # Errors
    /// [`ProduceError::Full`]: not now. [`ProduceError::Refused`]: never.
    pub fn produce(
        &self,
        topic: &str,
        record: &BorrowedMessage<'_>,
        facts: RecordFacts,
        outcome: &Outcome,
        progress: &Arc<Checkpoint>,
    ) -> Result<usize, ProduceError> {
        let results = outcome.headers.iter().map(|header| header.name.len() + header.value.len());
        let own = each_header(record.headers());
        let own = own.map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len));
        let bytes = record.payload_len() + record.key_len() + results.chain(own).sum::<usize>();
        if progress.is_full(bytes) {
            return Err(ProduceError::Full);
        }
        let delivery = Box::new(Delivery {
            progress: Arc::clone(progress),
            offset: record.offset(),
            bytes,
            gop_start: facts.gop_start,
        });
        let mut output: Outgoing<'_, Deliveries> = BaseRecord::with_opaque_to(topic, delivery)
            .partition(PARTITION)
            .headers(headers(record, facts, outcome));
        output.payload = record.payload();
        output.key = record.key();
        output.timestamp = record.timestamp().to_millis();
        progress.unacknowledged.fetch_add(1, Ordering::Relaxed);
        progress.unacknowledged_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.producer.send(output).map(|()| bytes).map_err(|error| {
            progress.unacknowledged.fetch_sub(1, Ordering::Relaxed);
            progress.unacknowledged_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => ProduceError::Full,
                error => ProduceError::Refused(error),
            }
        })
    }
}

/// The record's own headers, and what is added to them.
fn headers(record: &BorrowedMessage<'_>, facts: RecordFacts, outcome: &Outcome) -> OwnedHeaders {
    let own = record
        .headers()
        .map_or_else(|| OwnedHeaders::new_with_capacity(10), |headers| headers.detach());
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
