//! A camera's way out: settled records from the ledger into the sink, together where that saves
//! requests, and the wait when the broker or the tenant's quota pushes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::linger::{self, Linger};
use crate::camera::error::CameraError;
use crate::camera::input_record::InputRecord;
use crate::kafka::{Checkpoint, PacketSink, ProduceError, RecordFacts};
use crate::record::{Ledger, Outcome, Seq};
use crate::stats::CameraStats;
use crate::tenancy::Tenant;

/// A camera's longest sleep: a safety net, since arrivals, acknowledgements, commands and stops
/// wake it.
pub(crate) const PARK_TIMEOUT: Duration = Duration::from_millis(100);

/// Where one camera's records leave.
pub(crate) struct Output<'q> {
    sink: &'q PacketSink,
    topic: String,
    checkpoint: Arc<Checkpoint>,
    linger: Linger,
    tenant: Arc<Tenant>,
    /// The camera is told to stop.
    stop: &'q AtomicBool,
    stats: Arc<CameraStats>,
}

impl<'q> Output<'q> {
    pub fn new(
        (sink, topic): (&'q PacketSink, String),
        checkpoint: Arc<Checkpoint>,
        stop: &'q AtomicBool,
        tenant: Arc<Tenant>,
        stats: Arc<CameraStats>,
    ) -> Self {
        let linger = Linger::new(Instant::now());
        Self { sink, topic, checkpoint, linger, tenant, stop, stats }
    }

    /// Whether the camera is told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// A record comes, behind which so many wait.
    pub fn record_comes(&mut self, behind: u64) {
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
        let facts = RecordFacts { seq, pts_us: record.pts_us, keyframe: record.keyframe };
        // At the end, what is inside comes out at once; it is charged all the same.
        while !self.is_stopping() && !self.tenant.may_output(Instant::now()) {
            self.check()?;
            std::thread::park_timeout(PARK_TIMEOUT);
        }
        let checkpoint = &self.checkpoint;
        loop {
            let unacknowledged = checkpoint.unacknowledged();
            let (message, begins) = (&record.message, record.gop_start.as_ref());
            match self.sink.produce(&self.topic, message, facts, outcome, begins, checkpoint) {
                Ok(bytes) => {
                    self.tenant.charge_output(Instant::now(), bytes);
                    break;
                }
                Err(ProduceError::Full) => {
                    self.check()?;
                    checkpoint.wait(unacknowledged, PARK_TIMEOUT);
                }
                Err(ProduceError::Refused(error)) => return Err(CameraError::Output(error)),
            }
        }
        self.stats.record_settled(outcome.status);
        Ok(())
    }

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

    /// Records leave for this topic from here on; everything before is acknowledged.
    pub fn set_topic(&mut self, topic: &str) {
        topic.clone_into(&mut self.topic);
    }

    /// Fails once the broker has refused a record for good: the next one must not pass it.
    pub fn check(&self) -> Result<(), CameraError> {
        self.checkpoint.refused().map_or(Ok(()), |error| Err(CameraError::Output(error)))
    }
}
