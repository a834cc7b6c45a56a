//! Packets in: one consumer for all cameras, one queue for each.
//!
//! librdkafka fetches for all cameras together and hands each camera's records to a queue of its
//! own. A full queue stops fetching for that camera alone and keeps what was fetched, so a slow
//! camera neither delays others nor fills memory.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

use super::bootstrap::bootstrap_if_lost;
use super::checkpoint::{Acknowledged, Checkpoint, GopStart};
use super::incarnation::{Incarnation, Incarnations, TopicWatch, topic_id};
use super::lag::Lag;
use super::properties::{consumer_config, is_outage, with_metadata_log};
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
    consumer: Arc<BaseConsumer<Incarnations>>,
    committed: Arc<Mutex<Vec<Committed>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A camera whose checkpoint is committed.
struct Committed {
    topic: String,
    watch: Arc<TopicWatch>,
    checkpoint: Arc<Checkpoint>,
    last: Option<(i64, Instant)>,
}

/// One camera's records, from where it begins.
pub struct CameraQueue {
    lag: Lag,
    queue: PartitionQueue<Incarnations>,
    consumer: Arc<BaseConsumer<Incarnations>>,
    topic: String,
    incarnation: RefCell<Incarnation>,
    watch: Arc<TopicWatch>,
    checkpoint: Arc<Checkpoint>,
    /// The broker says that there is no such topic.
    is_gone: Cell<bool>,
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
        let config = with_metadata_log(consumer_config(cluster, node));
        let consumer: BaseConsumer<_> = config.create_with_context(Incarnations::default())?;
        let consumer = Arc::new(consumer);
        let committed: Arc<Mutex<Vec<Committed>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("source".into()).spawn({
            let (consumer, committed, stop) = (consumer.clone(), committed.clone(), stop.clone());
            let servers = cluster.bootstrap_servers.clone();
            move || {
                let mut next_commit = Instant::now() + COMMIT_INTERVAL;
                while !stop.load(Ordering::Relaxed) {
                    // Records go to the cameras' queues; here come events and errors only.
                    if let Some(Err(error)) = consumer.poll(Duration::from_millis(100))
                        && !consumer.context().outage.note(&error)
                    {
                        tracing::warn!(%error, "kafka: consuming");
                    }
                    bootstrap_if_lost(consumer.client());
                    consumer.context().outage.look(&consumer, &servers);
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
    /// whatever its `start` says. `before`: the topic that it consumed last, if that is known; one
    /// that was made again since is consumed from its beginning. `checkpoint` is committed from now
    /// on.
    ///
    /// # Errors
    /// When the broker can't say where to begin.
    pub fn open(
        &self,
        camera: &CameraSpec,
        goes_on: bool,
        before: Option<&Incarnation>,
        checkpoint: Arc<Checkpoint>,
    ) -> Result<CameraQueue, KafkaError> {
        let topic = camera.consume_topic.as_str();
        let position = self.position(camera, goes_on, before)?;
        let incarnation = position.incarnation;
        let (read_from, output_from) = (position.read_from, position.output_from);
        let parameter_sets = position.gop_start.as_ref().and_then(|it| it.parameter_sets.clone());
        let gop_start = position.gop_start.map(Arc::new);
        checkpoint.goes_on_at(Acknowledged { next_offset: output_from, gop_start });
        let watch = self.consumer.context().watch(topic, incarnation.id.clone());
        let mut entry = Committed {
            topic: topic.to_owned(),
            watch: Arc::clone(&watch),
            checkpoint: Arc::clone(&checkpoint),
            last: None,
        };
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
            incarnation: RefCell::new(incarnation),
            watch,
            checkpoint,
            is_gone: Cell::new(false),
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
        self.consumer.context().forget(topic);
    }

    fn position(
        &self,
        camera: &CameraSpec,
        goes_on: bool,
        before: Option<&Incarnation>,
    ) -> Result<Position, KafkaError> {
        let topic = camera.consume_topic.as_str();
        let (low, high) = watermarks(&self.consumer, topic)?;
        let id = topic_id(&self.consumer, topic, PATIENCE);
        let resumes =
            goes_on || camera.start == Start::Committed || camera.mode == Mode::EveryFrame;
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, PARTITION);
        let answer = self.consumer.committed_offsets(asked, PATIENCE)?;
        let element = answer.find_partition(topic, PARTITION);
        let begins = element.as_ref().and_then(|it| GopStart::from_metadata(it.metadata()));
        let committed = element.as_ref().and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some((offset, topic_of_metadata(element.metadata()))),
            _ => None,
        });
        let (is_other, number) = which(topic, &id, before, committed, high);
        let incarnation = Incarnation { topic: topic.to_owned(), id, number };
        if is_other {
            let gop_start = None;
            let (read_from, output_from) = (low, low);
            return Ok(Position { incarnation, read_from, output_from, gop_start, is_new: true });
        }
        if resumes && let Some((committed, _)) = committed {
            let output_from = committed.max(low);
            let read_from = begins.as_ref().map_or(output_from, |begins| begins.offset);
            let read_from = read_from.clamp(low, output_from);
            let is_new = output_from != committed;
            return Ok(Position { incarnation, read_from, output_from, gop_start: begins, is_new });
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
        let (read_from, output_from) = (start, start);
        Ok(Position { incarnation, read_from, output_from, gop_start, is_new: true })
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

/// How a committed offset's metadata says which topic it is of.
const TOPIC: &str = "topic=";

fn topic_of_metadata(metadata: &str) -> Option<&str> {
    metadata.split(' ').find_map(|part| part.strip_prefix(TOPIC))
}

/// Whether a topic with this id and end is another one than that which was consumed last, and how
/// often it was made again. A broker forgets what was committed when a topic is deleted, sooner or
/// later.
fn which(
    topic: &str,
    id: &Option<String>,
    before: Option<&Incarnation>,
    committed: Option<(i64, Option<&str>)>,
    high: i64,
) -> (bool, u32) {
    let before = before.filter(|before| before.topic == topic);
    let differs =
        |known: Option<&str>| matches!((known, id), (Some(known), Some(id)) if known != id);
    let number = before.map_or(0, |before| before.number);
    let is_next = before.is_some_and(|before| differs(before.id.as_deref()));
    match committed {
        // An earlier run has begun to read it, and had no time to say so.
        Some((_, known)) if known.is_some() && !differs(known) => {
            (false, number + u32::from(is_next))
        }
        Some((_, known)) if differs(known) => (true, number + 1),
        // Of a version, or a broker, that has no ids.
        Some((offset, _)) if offset > high => (true, number + 1),
        _ if is_next => (true, number + 1),
        _ => (false, number),
    }
}

/// Where a camera begins.
struct Position {
    incarnation: Incarnation,
    read_from: i64,
    output_from: i64,
    /// Where decoding can begin, so that it goes on there.
    gop_start: Option<GopStart>,
    /// Nobody has committed this yet.
    is_new: bool,
}

fn commit(
    consumer: &BaseConsumer<Incarnations>,
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
        let topic = camera.watch.known().map(|id| format!("{TOPIC}{id}"));
        let parts: Vec<String> = begins.into_iter().chain(topic).collect();
        element.set_metadata(parts.join(" "));
    }
    if offsets.count() == 0 {
        return Ok(());
    }
    consumer
        .commit(&offsets, mode)
        .inspect_err(|_| cameras.iter_mut().for_each(|camera| camera.last = None))
}

fn warn_if_failed(committed: Result<(), KafkaError>) {
    if let Err(error) = committed
        && !is_outage(error.rdkafka_error_code())
    {
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
            // Else it may be one of the other topic, which is read from its beginning.
            Ok(message) => self.other_topic().is_none().then(|| {
                self.is_gone.set(false);
                message
            }),
            Err(error) => {
                let code = error.rdkafka_error_code();
                if code == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
                    self.is_gone.set(true);
                } else if !self.consumer.context().outage.note(&error) {
                    tracing::warn!(topic = self.topic, %error, "kafka: consuming");
                }
                None
            }
        }
    }

    // === the topic ===

    /// The topic, one of perhaps several of its name.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation.borrow().clone()
    }

    /// How often it was made again.
    pub fn times_made_again(&self) -> u32 {
        self.incarnation.borrow().number
    }

    /// Whether it has been deleted, and not been made again.
    pub fn is_gone(&self) -> bool {
        self.is_gone.get()
    }

    /// The id of another topic that took its place.
    pub fn other_topic(&self) -> Option<String> {
        self.watch.other()
    }

    /// Reads the other topic from its beginning. All of this one is acknowledged.
    ///
    /// # Errors
    /// When librdkafka can't.
    pub fn begin_again(&self, id: String) -> Result<Incarnation, KafkaError> {
        self.checkpoint.goes_on_at(Acknowledged { next_offset: 0, gop_start: None });
        self.watch.goes_on(&id);
        self.is_gone.set(false);
        let mut incarnation = self.incarnation.borrow_mut();
        incarnation.number += 1;
        incarnation.id = Some(id);
        self.consumer.seek(&self.topic, PARTITION, Offset::Beginning, PATIENCE)?;
        Ok(incarnation.clone())
    }

    // === the place in it ===

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
