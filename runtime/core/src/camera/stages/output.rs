//! A camera's way out: settled records into the sink, and the wait when it pushes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::camera::input_record::InputRecord;
use crate::camera::{CameraError, NAP};
use crate::kafka::{Checkpoint, PacketSink, ProduceError, RecordFacts};
use crate::record::Outcome;
use crate::record::Seq;
use crate::stats::CameraStats;
use crate::tenancy::Tenant;

/// Where one camera's records leave.
pub(crate) struct Output<'q> {
    pub sink: &'q PacketSink,
    pub topic: String,
    pub progress: Arc<Checkpoint>,
    pub tenant: Arc<Tenant>,
    /// The camera is told to stop.
    pub stop: &'q AtomicBool,
    pub stats: Arc<CameraStats>,
}

impl Output<'_> {
    /// Produces a record, waiting while too much is not acknowledged, or more was produced than the
    /// tenant may.
    pub fn emit(
        &self,
        seq: Seq,
        record: &InputRecord<'_>,
        outcome: &Outcome,
    ) -> Result<(), CameraError> {
        let facts = RecordFacts {
            seq,
            pts_us: record.pts_us,
            keyframe: record.keyframe,
            gop_start: record.gop_start,
        };
        // At the end, what is inside comes out at once; it is charged all the same.
        while !self.stop.load(Ordering::Acquire) && !self.tenant.may_output(Instant::now()) {
            self.check()?;
            std::thread::park_timeout(NAP);
        }
        loop {
            let unacknowledged = self.progress.unacknowledged();
            match self.sink.produce(&self.topic, &record.message, facts, outcome, &self.progress) {
                Ok(bytes) => {
                    self.tenant.charge_output(Instant::now(), bytes);
                    break;
                }
                Err(ProduceError::Full) => {
                    self.check()?;
                    self.progress.wait(unacknowledged, NAP);
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
            let unacknowledged = self.progress.unacknowledged();
            self.check()?;
            if unacknowledged == 0 {
                return Ok(());
            }
            self.progress.wait(unacknowledged, NAP);
        }
    }

    /// Fails once the broker has refused a record for good: the next one must not pass it.
    pub fn check(&self) -> Result<(), CameraError> {
        self.progress.refused().map_or(Ok(()), |error| Err(CameraError::Output(error)))
    }
}
