//! The way into the control plane: commands, and what people write onto the state topic. It commits
//! the offsets of what was answered, and waits while too much is under way: nothing is taken that
//! has no place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::publisher::{COMMANDS, PROCESS, WRITER};
use crate::config::{Config, Id};
use crate::control::wire::{ControlRecord, MAX_VALUE, Origin, Target};
use crate::kafka::{
    Logging, PARTITION, bootstrap_if_lost, consumer_config, is_outage, text_header, watermarks,
};

/// How long the broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often the offsets of finished commands are committed.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// Something came in.
pub(crate) enum Incoming {
    /// It asks for something to be done to cameras.
    Change(Change),
    /// Another process has, or had, this node's name.
    Process(StateRecord),
}

/// What is to be done to cameras.
pub(crate) enum Change {
    /// A command.
    Command(ControlRecord),
    /// Someone else wrote a camera onto the state topic.
    State(StateRecord),
}

impl Change {
    /// The tenant whose command it is; without one, it is the operator's.
    pub fn scope(&self) -> Option<&Id> {
        match self {
            Self::Command(record) => record.scope.as_ref(),
            Self::State(_) => None,
        }
    }
}

/// A record of the state topic.
#[derive(Debug, Clone)]
pub(crate) struct StateRecord {
    pub key: Vec<u8>,
    /// Absent: a tombstone.
    pub value: Option<Vec<u8>>,
    /// The commands that led to it.
    pub commands: Option<String>,
    /// The process that wrote it; none when a person did.
    pub writer: Option<String>,
}

/// Listens on a thread of its own.
pub(crate) struct Listener {
    finished: Arc<Mutex<Finished>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Which commands are under way, by topic: offsets are committed up to the first of them.
#[derive(Default)]
struct Finished(BTreeMap<String, CommandOffsets>);

#[derive(Default)]
struct CommandOffsets {
    under_way: BTreeSet<i64>,
    next: i64,
    /// Records before this may have come to an earlier run already.
    new_from: i64,
    committed: Option<i64>,
}

/// The consumer of the control plane's topics.
pub(crate) struct ControlConsumer {
    consumer: BaseConsumer<Logging>,
    /// Whose commands come on which topic.
    scopes: HashMap<String, Option<Id>>,
    state_topic: String,
    state_offset: i64,
}

impl ControlConsumer {
    pub fn new(config: &Config) -> Result<Self, KafkaError> {
        let consumer = consumer_config(&config.control, &config.name)
            .set("enable.partition.eof", "true")
            // Several topics share a connection: a fetch that waits on one holds up the others.
            .set("fetch.wait.max.ms", "50")
            .create_with_context(Logging)?;
        let topics = &config.topics;
        let tenants =
            config.tenants.iter().map(|it| (topics.control_of(&it.id), Some(it.id.clone())));
        let scopes = tenants.chain([(topics.control.clone(), None)]).collect();
        Ok(Self { consumer, scopes, state_topic: topics.state.clone(), state_offset: 0 })
    }

    /// Reads the state topic from its beginning to its present end.
    pub fn read_state(&mut self, mut record: impl FnMut(StateRecord)) -> Result<(), KafkaError> {
        let topic = self.state_topic.clone();
        let (low, high) = watermarks(&self.consumer, &topic)?;
        self.state_offset = high;
        if low >= high {
            return Ok(());
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&topic, PARTITION, Offset::Offset(low))?;
        self.consumer.assign(&assignment)?;
        let mut deadline = Instant::now() + TIMEOUT;
        loop {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    deadline = Instant::now() + TIMEOUT;
                    if message.offset() >= high {
                        break;
                    }
                    record(state_record(&message));
                    if message.offset() + 1 >= high {
                        break;
                    }
                }
                // Compaction may have taken the last records.
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => return Err(error),
                None if Instant::now() > deadline => {
                    let code = rdkafka::types::RDKafkaErrorCode::OperationTimedOut;
                    return Err(KafkaError::MessageConsumption(code));
                }
                None => {}
            }
        }
        self.consumer.unassign()
    }

    /// Begins to read what is written onto the state topic from now on.
    pub fn follow_state(&mut self) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::new();
        let from = Offset::Offset(self.state_offset);
        assignment.add_partition_offset(&self.state_topic, PARTITION, from)?;
        self.consumer.assign(&assignment)
    }

    /// The next record of that, if one is there.
    pub fn next_state(&mut self) -> Result<Option<StateRecord>, KafkaError> {
        match self.consumer.poll(Duration::ZERO) {
            Some(Ok(message)) => {
                self.state_offset = message.offset() + 1;
                Ok(Some(state_record(&message)))
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }

    /// Begins to listen: for commands where the last run left off, in the first run from now on.
    pub fn listen(
        self,
        writer: Arc<str>,
        incoming: mpsc::Sender<Incoming>,
    ) -> Result<Listener, KafkaError> {
        let mut asked = TopicPartitionList::new();
        for topic in self.scopes.keys() {
            asked.add_partition(topic, PARTITION);
        }
        let committed = self.consumer.committed_offsets(asked, TIMEOUT)?;
        let mut assignment = TopicPartitionList::new();
        let mut finished = Finished::default();
        for topic in self.scopes.keys() {
            let (low, high) = watermarks(&self.consumer, topic)?;
            let last = committed.find_partition(topic, PARTITION).map(|found| found.offset());
            let (next, new_from) = match last {
                Some(Offset::Offset(offset)) if offset <= high => (offset.max(low), high),
                // Beyond the end: the topic was made anew since, and nothing in it was seen before.
                Some(Offset::Offset(_)) => (low, low),
                _ => (high, high),
            };
            assignment.add_partition_offset(topic, PARTITION, Offset::Offset(next))?;
            finished.0.insert(
                topic.clone(),
                CommandOffsets { next, new_from, ..CommandOffsets::default() },
            );
        }
        let state = Offset::Offset(self.state_offset);
        assignment.add_partition_offset(&self.state_topic, PARTITION, state)?;
        self.consumer.assign(&assignment)?;
        commit(&self.consumer, &mut finished, CommitMode::Sync);

        let finished = Arc::new(Mutex::new(finished));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("control".into()).spawn({
            let (finished, stop) = (finished.clone(), stop.clone());
            move || self.run(&writer, &incoming, &finished, &stop)
        });
        let thread = thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Listener { finished, stop, thread: Some(thread) })
    }

    fn run(
        &self,
        writer: &str,
        incoming: &mpsc::Sender<Incoming>,
        finished: &Mutex<Finished>,
        stop: &AtomicBool,
    ) {
        let mut next_commit = Instant::now() + COMMIT_INTERVAL;
        while !stop.load(Ordering::Relaxed) {
            bootstrap_if_lost(self.consumer.client());
            let received = match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => self.receive(&message, writer, finished),
                Some(Err(KafkaError::PartitionEOF(_))) | None => None,
                // An outage is told of by the cameras' consumer.
                Some(Err(error)) if is_outage(error.rdkafka_error_code()) => None,
                Some(Err(error)) => {
                    tracing::warn!(%error, "kafka: control");
                    None
                }
            };
            // Waits while too many commands are under way; ends when nobody listens any more.
            if let Some(received) = received
                && incoming.blocking_send(received).is_err()
            {
                break;
            }
            if Instant::now() >= next_commit {
                commit(&self.consumer, &mut finished.lock(), CommitMode::Async);
                next_commit = Instant::now() + COMMIT_INTERVAL;
            }
        }
        commit(&self.consumer, &mut finished.lock(), CommitMode::Sync);
    }

    fn receive(
        &self,
        message: &BorrowedMessage<'_>,
        writer: &str,
        finished: &Mutex<Finished>,
    ) -> Option<Incoming> {
        let topic = message.topic();
        if topic == self.state_topic {
            let own = header(message, WRITER).is_some_and(|written_by| written_by == writer);
            let record = state_record(message);
            return (!own).then(|| match record.key.starts_with(PROCESS.as_bytes()) {
                true => Incoming::Process(record),
                false => Incoming::Change(Change::State(record)),
            });
        }
        let scope = self.scopes.get(topic)?.clone();
        let may_be_repeated = finished.lock().begin(topic, message.offset());
        // What is too large is refused; its head is enough for that.
        let value = |payload: &[u8]| payload.iter().take(MAX_VALUE + 1).copied().collect();
        Some(Incoming::Change(Change::Command(ControlRecord {
            origin: Origin { topic: topic.to_owned(), offset: message.offset(), may_be_repeated },
            scope,
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(value),
            correlation_id: header(message, "correlation-id"),
            target: Target {
                runtime: header(message, "runtime"),
                tenant: header(message, "tenant"),
                camera: header(message, "camera"),
            },
        })))
    }
}

impl Listener {
    /// A command was answered, and is not carried out again after a restart.
    pub fn finish(&self, origin: &Origin) {
        if let Some(commands) = self.finished.lock().0.get_mut(&origin.topic) {
            commands.under_way.remove(&origin.offset);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Finished {
    /// A command begins. Gives whether an earlier run may have carried it out.
    fn begin(&mut self, topic: &str, offset: i64) -> bool {
        let Some(commands) = self.0.get_mut(topic) else { return false };
        commands.under_way.insert(offset);
        commands.next = offset + 1;
        offset < commands.new_from
    }
}

fn commit(consumer: &BaseConsumer<Logging>, finished: &mut Finished, mode: CommitMode) {
    let mut offsets = TopicPartitionList::new();
    for (topic, commands) in &mut finished.0 {
        let done = commands.under_way.first().copied().unwrap_or(commands.next);
        if commands.committed == Some(done) && matches!(mode, CommitMode::Async) {
            continue;
        }
        commands.committed = Some(done);
        let offset = Offset::Offset(done);
        if let Err(error) = offsets.add_partition_offset(topic, PARTITION, offset) {
            tracing::error!(topic, %error, "kafka: offset");
        }
    }
    if offsets.count() > 0
        && let Err(error) = consumer.commit(&offsets, mode)
    {
        finished.0.values_mut().for_each(|commands| commands.committed = None);
        if !is_outage(error.rdkafka_error_code()) {
            tracing::warn!(%error, "kafka: could not commit control offsets; it is tried again");
        }
    }
}

fn state_record(message: &BorrowedMessage<'_>) -> StateRecord {
    let key = message.key().unwrap_or_default().to_vec();
    let value = message.payload().map(<[u8]>::to_vec);
    let (commands, writer) = (header(message, COMMANDS), header(message, WRITER));
    StateRecord { key, value, commands, writer }
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    text_header(message.headers(), name).map(str::to_owned)
}
