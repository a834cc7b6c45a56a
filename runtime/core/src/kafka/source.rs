//! Packets in: one consumer for all cameras, one queue for each.
//!
//! librdkafka fetches for all cameras together and hands each camera's records to a queue of its
//! own. A full queue stops fetching for that camera alone and keeps what was fetched, so a slow
//! camera neither delays others nor fills memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

use super::checkpoint::{Acknowledged, Checkpoint, GopStart};
use super::lag::Lag;
use super::properties::{Logging, consumer_config};
use super::topics::watermarks;
use crate::config::{CameraSpec, Cluster, Id, Mode, Start};
use crate::kafka::PARTITION;

/// How long broker calls outside of the frame path may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often acknowledged offsets are committed.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// So often offsets are committed that have not changed: a broker forgets them after a while, a
/// week by default.
const REPEAT_INTERVAL: Duration = Duration::from_hours(1);

/// The consumer of all cameras.
pub struct PacketSource {
    consumer: Arc<BaseConsumer<Logging>>,
    committed: Arc<Mutex<Vec<Committed>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A camera whose checkpoint is committed.
struct Committed {
    topic: String,
    checkpoint: Arc<Checkpoint>,
    last: Option<(i64, Instant)>,
}

/// One camera's records, from where it begins.
pub struct CameraQueue {
    lag: Lag,
    queue: PartitionQueue<Logging>,
    consumer: Arc<BaseConsumer<Logging>>,
    topic: String,
    /// Records before this offset were output by an earlier run, and come only so that the decoder
    /// can make the frames that need them.
    pub output_from: i64,
    /// The parameter sets that an earlier run knew there, in Annex B.
    pub parameter_sets: Option<Arc<[u8]>>,
}

impl PacketSource {
    /// Creates the consumer. It connects by itself, and again whenever it must.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn new(cluster: &Cluster, node: &Id) -> Result<Self, KafkaError> {
        let config = consumer_config(cluster, node);
        let consumer: BaseConsumer<_> = config.create_with_context(Logging)?;
        let consumer = Arc::new(consumer);
        let committed: Arc<Mutex<Vec<Committed>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("source".into()).spawn({
            let (consumer, committed, stop) = (consumer.clone(), committed.clone(), stop.clone());
            move || {
                let mut next_commit = Instant::now() + COMMIT_INTERVAL;
                while !stop.load(Ordering::Relaxed) {
                    // Records go to the cameras' queues; here come events and errors only.
                    if let Some(Err(error)) = consumer.poll(Duration::from_millis(100)) {
                        tracing::warn!(%error, "kafka: consuming");
                    }
                    if Instant::now() >= next_commit {
                        let done = commit(&consumer, &mut committed.lock(), CommitMode::Async);
                        warn_if_failed(done);
                        next_commit += COMMIT_INTERVAL;
                    }
                }
            }
        });
        let thread = thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { consumer, committed, stop, thread: Some(thread) })
    }

    /// Begins to consume a camera's topic; `goes_on`: where its output was acknowledged last,
    /// whatever its `start` says. `checkpoint` is committed from now on.
    ///
    /// # Errors
    /// When the broker can't say where to begin.
    pub fn open(
        &self,
        camera: &CameraSpec,
        goes_on: bool,
        checkpoint: Arc<Checkpoint>,
    ) -> Result<CameraQueue, KafkaError> {
        let topic = camera.consume_topic.as_str();
        let position = self.position(camera, goes_on)?;
        let (read_from, output_from) = (position.read_from, position.output_from);
        let parameter_sets = position.gop_start.as_ref().and_then(|it| it.parameter_sets.clone());
        let gop_start = position.gop_start.map(Arc::new);
        checkpoint.goes_on_at(Acknowledged { next_offset: output_from, gop_start });
        let mut entry = Committed { topic: topic.to_owned(), checkpoint, last: None };
        if position.is_new {
            // Else, after a crash, what comes until the first commit would be passed over.
            let entry = std::slice::from_mut(&mut entry);
            commit(&self.consumer, entry, CommitMode::Sync)?;
        }
        // Split before it is assigned, so that no record can go to the common queue.
        let queue = self
            .consumer
            .split_partition_queue(topic, PARTITION)
            .ok_or_else(|| KafkaError::Subscription(format!("no queue for the topic `{topic}`")))?;
        let lag = Lag::new(Arc::clone(&self.consumer), topic)?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, PARTITION, Offset::Offset(read_from))?;
        self.consumer.incremental_assign(&assignment)?;
        self.committed.lock().push(entry);
        Ok(CameraQueue {
            lag,
            queue,
            consumer: Arc::clone(&self.consumer),
            topic: topic.to_owned(),
            output_from,
            parameter_sets,
        })
    }

    /// Commits what is acknowledged of a topic, and consumes it no longer. Its camera has ended.
    pub fn close(&self, topic: &str) {
        let mut closed: Vec<Committed> =
            self.committed.lock().extract_if(.., |camera| camera.topic == topic).collect();
        warn_if_failed(commit(&self.consumer, &mut closed, CommitMode::Sync));
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition(topic, PARTITION);
        if let Err(error) = self.consumer.incremental_unassign(&assignment) {
            tracing::error!(topic, %error, "kafka: the topic can't be given up");
        }
    }

    fn position(&self, camera: &CameraSpec, goes_on: bool) -> Result<Position, KafkaError> {
        let topic = camera.consume_topic.as_str();
        let (low, high) = watermarks(&self.consumer, topic)?;
        let resumes =
            goes_on || camera.start == Start::Committed || camera.mode == Mode::EveryFrame;
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, PARTITION);
        let answer = self.consumer.committed_offsets(asked, PATIENCE)?;
        let element = answer.find_partition(topic, PARTITION);
        let begins = element.as_ref().and_then(|it| GopStart::from_metadata(it.metadata()));
        if resumes
            && let Some(element) = element
            && let Offset::Offset(committed) = element.offset()
        {
            // Beyond the end: the topic was made anew since, and begins again.
            let output_from = if committed > high { low } else { committed.max(low) };
            let read_from = begins.as_ref().map_or(output_from, |begins| begins.offset);
            let read_from = read_from.clamp(low, output_from);
            let is_new = output_from != committed;
            let gop_start = begins.filter(|_| committed <= high);
            return Ok(Position { read_from, output_from, gop_start, is_new });
        }
        let (start, gop_start) = match camera.start {
            Start::Beginning => (low, None),
            // A stream that tells its parameter sets once told them to an earlier run.
            Start::End | Start::Committed => {
                let parameter_sets = begins.and_then(|begins| begins.parameter_sets);
                let known = parameter_sets.is_some();
                (high, known.then_some(GopStart { offset: high, parameter_sets }))
            }
        };
        Ok(Position { read_from: start, output_from: start, gop_start, is_new: true })
    }

    /// Commits what is acknowledged, and waits for the broker's word.
    pub fn commit_now(&self) {
        warn_if_failed(commit(&self.consumer, &mut self.committed.lock(), CommitMode::Sync));
    }
}

impl Drop for PacketSource {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where a camera begins.
struct Position {
    read_from: i64,
    output_from: i64,
    /// Where decoding can begin, so that it goes on there.
    gop_start: Option<GopStart>,
    /// Nobody has committed this yet.
    is_new: bool,
}

fn commit(
    consumer: &BaseConsumer<Logging>,
    cameras: &mut [Committed],
    mode: CommitMode,
) -> Result<(), KafkaError> {
    let (mut offsets, now) = (TopicPartitionList::new(), Instant::now());
    for camera in cameras.iter_mut() {
        let Some(acknowledged) = camera.checkpoint.acknowledged() else { continue };
        let is_known = camera.last.is_some_and(|(offset, since)| {
            offset == acknowledged.next_offset && now.duration_since(since) < REPEAT_INTERVAL
        });
        if is_known && matches!(mode, CommitMode::Async) {
            continue;
        }
        camera.last = Some((acknowledged.next_offset, now));
        let mut element = offsets.add_partition(&camera.topic, PARTITION);
        element.set_offset(Offset::Offset(acknowledged.next_offset))?;
        let begins = acknowledged.gop_start.as_ref().map(|begins| begins.to_metadata());
        element.set_metadata(begins.unwrap_or_default());
    }
    if offsets.count() == 0 {
        return Ok(());
    }
    consumer
        .commit(&offsets, mode)
        .inspect_err(|_| cameras.iter_mut().for_each(|camera| camera.last = None))
}

fn warn_if_failed(committed: Result<(), KafkaError>) {
    if let Err(error) = committed {
        tracing::warn!(%error, "kafka: could not commit offsets; it is tried again");
    }
}

impl CameraQueue {
    /// Calls `wake` whenever a record arrives in an empty queue.
    pub fn on_arrival(&mut self, wake: impl Fn() + Send + Sync + 'static) {
        self.queue.set_nonempty_callback(wake);
    }

    /// The next record, if one is there.
    pub fn poll(&self) -> Option<BorrowedMessage<'_>> {
        match self.queue.poll(Duration::ZERO)? {
            Ok(message) => Some(message),
            Err(error) => {
                tracing::warn!(topic = self.topic, %error, "kafka: consuming");
                None
            }
        }
    }

    /// How many records lie behind `offset` in the topic, as far as it is known: no question to the
    /// broker.
    #[must_use]
    pub fn behind(&self, offset: i64) -> u64 {
        self.lag.behind(offset)
    }

    /// Reads again from `offset` on.
    ///
    /// # Errors
    /// When librdkafka can't.
    pub fn seek(&self, offset: i64) -> Result<(), KafkaError> {
        self.consumer.seek(&self.topic, PARTITION, Offset::Offset(offset), PATIENCE)
    }
}
