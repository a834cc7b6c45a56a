//! A camera's way out: settled records from the ledger into the sink, together where that saves
//! requests, and the wait when the broker or the tenant's quota pushes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;

use super::linger::{self, Linger};
use super::refusal::explain;
use crate::camera::error::CameraError;
use crate::camera::input_record::{Input, InputRecord};
use crate::config::{CameraSpec, OnRefused};
use crate::kafka::{
    Acknowledged, Checkpoint, Measured, OutputTopic, PacketSink, ProduceError, RecordFacts,
};
use crate::record::{FailReason, Ledger, Outcome, Seq, Status};
use crate::stats::CameraStats;
use crate::tenancy::Tenant;

/// A camera's longest sleep: a safety net, since arrivals, acknowledgements, commands and stops
/// wake it.
pub(crate) const PARK_TIMEOUT: Duration = Duration::from_millis(100);

/// So long an acknowledgement takes where all is well.
const LONG_ON_THE_WAY: Duration = Duration::from_secs(2);

/// Where one camera's records leave.
pub(crate) struct Output<'q> {
    sink: &'q PacketSink,
    topic: OutputTopic,
    spec: Arc<CameraSpec>,
    checkpoint: Arc<Checkpoint>,
    linger: Linger,
    /// Since when nothing has left, and something waits for acknowledgement.
    waits_since: Option<Instant>,
    tenant: Arc<Tenant>,
    /// The camera is told to stop.
    stop: &'q AtomicBool,
    stats: Arc<CameraStats>,
}

/// A record that leaves, with all that is said of it.
#[derive(Clone, Copy)]
struct Leaving<'r, 'q> {
    facts: RecordFacts,
    record: &'r InputRecord<'q>,
    outcome: &'r Outcome,
    measured: Measured,
}

impl<'r, 'q> Leaving<'r, 'q> {
    fn new(facts: RecordFacts, record: &'r InputRecord<'q>, outcome: &'r Outcome) -> Self {
        let measured = PacketSink::measure(&record.message, outcome);
        Self { facts, record, outcome, measured }
    }
}

impl<'q> Output<'q> {
    pub fn new(
        sink: &'q PacketSink,
        spec: Arc<CameraSpec>,
        checkpoint: Arc<Checkpoint>,
        stop: &'q AtomicBool,
        tenant: Arc<Tenant>,
        stats: Arc<CameraStats>,
    ) -> Self {
        let (topic, linger) = (sink.topic(&spec.produce_topic), Linger::new(Instant::now()));
        let waits_since = None;
        Self { sink, topic, spec, checkpoint, linger, waits_since, tenant, stop, stats }
    }

    /// Whether another topic has taken the place of the one that records leave for.
    pub fn was_made_again(&self) -> bool {
        self.topic.was_made_again()
    }

    /// Whether the camera is told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Nothing comes. Sees to it that what has left is not forgotten on its way.
    pub fn idles(&mut self, now: Instant) {
        if self.checkpoint.unacknowledged() == 0 {
            self.waits_since = None;
        } else if now.duration_since(*self.waits_since.get_or_insert(now)) > LONG_ON_THE_WAY {
            self.sink.nudge();
        }
    }

    /// A record comes, behind which so many wait.
    pub fn record_comes(&mut self, behind: u64) {
        self.waits_since = None;
        self.linger.record_comes(behind);
    }

    /// Gives out what is settled, but for what waits to leave with the next records.
    pub fn emit_due(
        &mut self,
        ledger: &mut Ledger<InputRecord<'_>>,
        now: Instant,
    ) -> Result<(), CameraError> {
        let most = self.linger.leaving(ledger.ready(linger::MOST), now);
        self.emit(ledger, most)
    }

    /// Gives out all that is settled.
    pub fn emit_settled(&self, ledger: &mut Ledger<InputRecord<'_>>) -> Result<(), CameraError> {
        self.emit(ledger, usize::MAX)
    }

    /// No record comes with which others could leave. Whether any waited for that.
    pub fn end_linger(&mut self) -> bool {
        self.linger.all_leave()
    }

    fn emit(&self, ledger: &mut Ledger<InputRecord<'_>>, most: usize) -> Result<(), CameraError> {
        for _ in 0..most {
            let Some((seq, record, outcome)) = ledger.pop_settled() else { break };
            self.produce(seq, &record, &outcome)?;
        }
        Ok(())
    }

    /// Produces a record, waiting while too much is not acknowledged, or more was produced than the
    /// tenant may.
    fn produce(
        &self,
        seq: Seq,
        record: &InputRecord<'_>,
        outcome: &Outcome,
    ) -> Result<(), CameraError> {
        let progress = record.progress();
        let facts = RecordFacts {
            seq,
            pts_us: progress.pts_us,
            keyframe: progress.keyframe,
            times_made_again: record.times_made_again,
        };
        // At the end, what is inside comes out at once; it is charged all the same.
        while !self.is_stopping() && !self.tenant.may_output(Instant::now()) {
            self.check()?;
            std::thread::park_timeout(PARK_TIMEOUT);
        }
        let leaving = Leaving::new(facts, record, outcome);
        let (bytes, timestamp) = (leaving.measured.on_wire, record.message.timestamp().to_millis());
        let status = if self.topic.acceptance.may_refuse(bytes, timestamp, now_ms()) {
            self.produce_alone(leaving)?
        } else {
            match self.send(&self.topic, leaving)? {
                Ok(()) => outcome.status,
                Err(_) => self.produce_alone(leaving)?,
            }
        };
        self.stats.record_settled(status);
        Ok(())
    }

    /// Hands a record over to librdkafka; with its word, if it does not even try.
    fn send(
        &self,
        topic: &OutputTopic,
        Leaving { facts, record, outcome, measured }: Leaving<'_, '_>,
    ) -> Result<Result<(), KafkaError>, CameraError> {
        let checkpoint = &self.checkpoint;
        loop {
            let unacknowledged = checkpoint.unacknowledged();
            let (message, begins) = (&record.message, record.gop_start.as_ref());
            let message = (message, measured);
            match self.sink.produce(topic, message, facts, outcome, begins, checkpoint) {
                Ok(()) => {
                    self.tenant.charge_output(Instant::now(), measured.bytes);
                    return Ok(Ok(()));
                }
                Err(ProduceError::Full) => {
                    self.check()?;
                    checkpoint.wait(unacknowledged, PARK_TIMEOUT);
                }
                Err(ProduceError::Refused(error)) => return Ok(Err(error)),
            }
        }
    }

    // === what may be refused ===

    /// Produces a record that the topic may refuse: once all before it is acknowledged, and before
    /// anything else leaves. So what is there is a prefix of what came, whatever is said to it.
    /// Gives what became of it.
    fn produce_alone(&self, leaving: Leaving<'_, '_>) -> Result<Status, CameraError> {
        let Leaving { facts, record, outcome, measured } = leaving;
        let Some(error) = self.try_alone(&self.topic, leaving)? else { return Ok(outcome.status) };
        if is_gone(&error) {
            return Err(CameraError::OutputGone { topic: self.topic.name.clone() });
        }
        let is_too_large =
            error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge);
        if is_too_large && !outcome.headers.is_empty() {
            // Perhaps only because of what the plugins added.
            let status = Status::Failed(FailReason::Output);
            let bare = Outcome { status, headers: Vec::new(), ..outcome.clone() };
            if self.try_alone(&self.topic, Leaving::new(facts, record, &bare))?.is_none() {
                return Ok(status);
            }
        }
        let message = &record.message;
        let why = explain(&error, &self.topic.acceptance, measured.on_wire, message.timestamp());
        let status = Status::Failed(FailReason::Refused);
        match self.spec.on_refused {
            OnRefused::Stop => return Err(refused(&self.topic, record, why)),
            OnRefused::Skip => {
                let (next_offset, gop_start) = (message.offset() + 1, record.gop_start.clone());
                self.checkpoint.goes_on_at(Acknowledged { next_offset, gop_start });
            }
            OnRefused::DeadLetter => {
                let outcome = Outcome { status, ..outcome.clone() };
                let topic = self.sink.topic(&self.spec.dead_letter_topic);
                let dead = Leaving::new(facts, record, &outcome);
                if let Some(error) = self.try_alone(&topic, dead)? {
                    let (bytes, time) = (dead.measured.on_wire, message.timestamp());
                    return Err(refused(
                        &topic,
                        record,
                        explain(&error, &topic.acceptance, bytes, time),
                    ));
                }
            }
        }
        let (camera, tenant) = (self.spec.id.as_str(), self.spec.tenant.as_str());
        let (topic, policy) = (self.topic.name.as_str(), self.spec.on_refused);
        let source = record.source();
        tracing::warn!(camera, tenant, topic, source, ?policy, "a record was refused: {why}");
        Ok(status)
    }

    /// Sends a record when nothing else is under way, and waits for the broker's word: why it is
    /// refused, if it is.
    fn try_alone(
        &self,
        topic: &OutputTopic,
        leaving: Leaving<'_, '_>,
    ) -> Result<Option<KafkaError>, CameraError> {
        self.finish()?;
        if let Err(error) = self.send(topic, leaving)? {
            return Ok(Some(error));
        }
        while self.checkpoint.unacknowledged() > 0 {
            self.checkpoint.wait(1, PARK_TIMEOUT);
        }
        Ok(self.checkpoint.take_refused())
    }

    // === the broker's word ===

    /// Waits until everything is acknowledged.
    pub fn finish(&self) -> Result<(), CameraError> {
        loop {
            let unacknowledged = self.checkpoint.unacknowledged();
            self.check()?;
            if unacknowledged == 0 {
                return Ok(());
            }
            self.checkpoint.wait(unacknowledged, PARK_TIMEOUT);
        }
    }

    /// The camera is this from here on; everything before is acknowledged, if its topic changes.
    pub fn set_spec(&mut self, spec: &Arc<CameraSpec>) {
        self.topic = self.sink.topic(&spec.produce_topic);
        self.spec = Arc::clone(spec);
    }

    /// Fails once the broker has refused a record for good: the next one must not pass it.
    pub fn check(&self) -> Result<(), CameraError> {
        let Some(cause) = self.checkpoint.refused() else { return Ok(()) };
        let topic = self.topic.name.clone();
        Err(match is_gone(&cause) {
            true => CameraError::OutputGone { topic },
            false => CameraError::Output { topic, cause },
        })
    }
}

/// Whether a record was refused because there is no such topic any more.
fn is_gone(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    let code = error.rdkafka_error_code();
    code.is_some_and(|it| [UnknownPartition, UnknownTopic, UnknownTopicOrPartition].contains(&it))
}

fn refused(topic: &OutputTopic, record: &InputRecord<'_>, why: String) -> CameraError {
    CameraError::Refused { topic: topic.name.clone(), source_of: record.source(), why }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
