//! What a camera's thread does with a record: queue → frame path → ledger → sink.
//!
//! Each stage has its own state; here they are put together. What the camera is told while it runs
//! is carried out in [`super::reconfigure`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rdkafka::message::{BorrowedMessage, Message};

use super::analysis::Analysis;
use super::error::CameraError;
use super::frame_path::{FramePath, Latest};
use super::input_record::{Input, InputRecord};
use super::stages::admission::Admission;
use super::stages::decode::Decode;
use super::stages::diagnosis::{Diagnosis, Known};
use super::stages::intake::{AfterSilence, Intake};
use super::stages::output::{Output, PARK_TIMEOUT};
use crate::config::{CameraSpec, Framing, Mode, Rate};
use crate::kafka::{CameraQueue, Checkpoint, Incarnation, PacketSink};
use crate::record::{FailReason, Ledger, MOST_WAITING, Outcome, Seq};
use crate::sched::CoreClaim;
use crate::stats::CameraStats;
use crate::tenancy::Tenant;
use crate::video::decode::Lateness;
use crate::video::packet::{Content, Inspection, Lack, Unit};

/// What a camera keeps when its input changes.
pub(crate) struct Carried {
    pub spec: Arc<CameraSpec>,
    pub tenant: Arc<Tenant>,
    pub claim: Arc<CoreClaim>,
    pub analysis: Analysis,
    /// The number of the next record.
    pub next_seq: Seq,
    pub stats: Arc<CameraStats>,
}

/// The camera's thread's state. Records borrow from the queue, so that none is copied.
pub(crate) struct Pipeline<'q> {
    pub(super) spec: Arc<CameraSpec>,
    pub(super) intake: Intake<'q>,
    pub(super) path: FramePath<InputRecord<'q>>,
    pub(super) output: Output<'q>,
    diagnosis: Diagnosis,
    /// The input topic was gone when it was looked at last.
    was_gone: bool,
    claim: Arc<CoreClaim>,
    stats: Arc<CameraStats>,
}

impl<'q> Pipeline<'q> {
    pub fn new(
        carried: Carried,
        queue: &'q CameraQueue,
        sink: &'q PacketSink,
        checkpoint: Arc<Checkpoint>,
        stop: &'q AtomicBool,
    ) -> Result<Self, CameraError> {
        let Carried { spec, tenant, claim, analysis, next_seq, stats } = carried;
        let mut decode =
            Decode::new(&spec, Arc::clone(&tenant), Arc::clone(&claim), Arc::clone(&stats));
        decode.learn(queue.parameter_sets.as_deref().unwrap_or_default());
        Ok(Self {
            intake: Intake::new(queue, &spec)?,
            path: FramePath {
                ledger: Ledger::beginning_with(next_seq),
                admission: Admission::new(&spec, tenant.max_frame_pixels()),
                decode,
                analysis,
                tenant: Arc::clone(&tenant),
                latest: Latest::default(),
                held: VecDeque::new(),
            },
            was_gone: false,
            diagnosis: Diagnosis::new(&stats, Instant::now()),
            output: Output::new(
                sink,
                Arc::clone(&spec),
                checkpoint,
                stop,
                tenant,
                Arc::clone(&stats),
            ),
            claim,
            stats,
            spec,
        })
    }

    /// What is kept when the input changes.
    pub fn carry(self) -> Carried {
        let FramePath { ledger, analysis, tenant, .. } = self.path;
        Carried {
            spec: self.spec,
            tenant,
            claim: self.claim,
            analysis,
            next_seq: ledger.next_seq(),
            stats: self.stats,
        }
    }

    /// Whether the camera is told to stop.
    pub fn is_stopping(&self) -> bool {
        self.output.is_stopping()
    }

    /// Does what there is to do: takes the next record, or sleeps until one may be there.
    pub fn advance(&mut self) -> Result<(), CameraError> {
        self.cut_if_possible();
        match self.intake.poll() {
            Some(message) => {
                let begin = Instant::now();
                self.take(message)?;
                let end = Instant::now();
                self.path.decode.worked(end - begin);
                self.path.analysis.name_cut(&self.path.ledger);
                self.output.emit_due(&mut self.path.ledger, end)?;
                // Time in which the output pushed back is no silence.
                self.intake.was_busy();
            }
            None => self.idle()?,
        }
        self.path.decode.watch_load();
        self.path.analysis.save_if_due();
        self.notice_gone();
        self.diagnose();
        Ok(())
    }

    /// Says so when nothing is analysed though records come, and when that is over.
    fn diagnose(&mut self) {
        let known = || Known {
            codec: self.spec.codec,
            has_parameter_sets: self.path.decode.has_parameter_sets(),
            wants_keys: self.spec.rate == Rate::Keyframes,
        };
        let Some(trouble) = self.diagnosis.look(&self.stats, Instant::now(), known) else { return };
        let (camera, tenant) = (self.spec.id.as_str(), self.spec.tenant.as_str());
        match &trouble {
            Some(trouble) => {
                tracing::warn!(camera, tenant, trouble, "records come and none is analysed");
            }
            None => tracing::info!(camera, tenant, "records are analysed again"),
        }
        self.stats.record_trouble(trouble);
    }

    /// When another topic has taken the place of the one that is read: gives out all that came of
    /// that, and begins to read the other one.
    pub fn begin_again_if_other(&mut self) -> Result<Option<Incarnation>, CameraError> {
        let Some(id) = self.intake.other_topic() else { return Ok(None) };
        self.end_stream();
        self.emit_settled()?;
        self.output.finish()?;
        let other = self.intake.begin_again(id)?;
        let (camera, tenant) = (self.spec.id.as_str(), self.spec.tenant.as_str());
        tracing::warn!(camera, tenant, topic = other.topic, "the input topic was made again");
        Ok(Some(other))
    }

    /// Says so when the input topic is gone, and when it is there again.
    fn notice_gone(&mut self) {
        let is_gone = self.intake.is_gone();
        if is_gone == std::mem::replace(&mut self.was_gone, is_gone) {
            return;
        }
        let (camera, tenant) = (self.spec.id.as_str(), self.spec.tenant.as_str());
        let topic = &self.spec.consume_topic;
        if is_gone {
            tracing::warn!(camera, tenant, topic, "the input topic was deleted");
            let trouble = format!("its input topic `{topic}` was deleted; make it again");
            self.stats.record_trouble(Some(trouble));
        } else {
            self.stats.record_trouble(None);
        }
    }

    /// No record is there.
    fn idle(&mut self) -> Result<(), CameraError> {
        self.emit_settled()?;
        let drain_after = self.spec.drain_after;
        if self.output.end_linger() {
            self.intake.was_busy();
        } else if !self.path.ledger.is_empty() && self.intake.is_silent_for(drain_after) {
            self.drain();
            self.emit_settled()?;
        } else {
            self.path.analysis.tick();
            self.output.check()?;
            self.intake.seek_again_if_overdue()?;
            self.output.idles(Instant::now());
            std::thread::park_timeout(PARK_TIMEOUT.min(drain_after));
        }
        Ok(())
    }

    /// Gives out what the camera has, and waits for the acknowledgements.
    pub fn finish(&mut self) -> Result<(), CameraError> {
        // An access unit whose end has not come stays unacknowledged, and is consumed again.
        let permit = self.path.analysis.permit();
        self.path.empty_decoder();
        drop(permit);
        self.emit_settled()?;
        self.output.finish()?;
        self.path.analysis.finish();
        Ok(())
    }

    /// Gives out all that is settled.
    pub fn emit_settled(&mut self) -> Result<(), CameraError> {
        self.output.emit_settled(&mut self.path.ledger)
    }

    // === a record ===

    fn take(&mut self, message: BorrowedMessage<'q>) -> Result<(), CameraError> {
        let offset = message.offset();
        if self.intake.has_strayed(offset)? {
            return Ok(());
        }
        if self.intake.is_behind_gap(offset) {
            self.end_stream();
        }
        self.intake.record_comes(offset);
        if self.path.analysis.bypass().is_none() {
            self.path.decode.open_if_needed()?;
        }
        let inspection = self.intake.inspect(&message);
        if self.intake.is_filling() {
            let _permit = self.path.analysis.permit();
            self.take_to_fill(&message, inspection);
            return Ok(());
        }
        if self.intake.go_on_after_silence(&message, inspection)? == AfterSilence::ComesAgain {
            return Ok(());
        }
        let late = self.intake.lateness(&message);
        self.stats.record_received(i64::try_from(late.behind).unwrap_or(i64::MAX));
        self.path.decode.record_came(late.behind);
        self.output.record_comes(late.behind);
        let _permit = self.path.analysis.permit();
        match self.spec.framing {
            Framing::Packet => {
                self.take_packet(message, inspection, late);
                if self.path.ledger.len() > MOST_WAITING {
                    // Records without frames would queue up behind one that waits for the next.
                    self.drain();
                }
            }
            Framing::Bytestream => self.take_chunk(message, late),
        }
        Ok(())
    }

    fn take_packet(
        &mut self,
        message: BorrowedMessage<'q>,
        inspection: Option<Inspection>,
        late: Lateness,
    ) {
        let mut record = self.intake.record(message);
        if let Some(inspection) = inspection {
            self.note_evidence(inspection);
            record.progress_mut().keyframe = inspection.content == Content::KeyPicture;
            let payload = record.payload();
            let missing = || self.path.decode.parameter_sets_missing_in(payload);
            self.intake.unit_at(record.message.offset(), inspection, missing);
        }
        record.gop_start = self.intake.gop_start();
        if let Some(outcome) = self.path.analysis.bypass() {
            if let Some(inspection) = inspection {
                let payload = record.payload();
                self.path.pass_by(payload, inspection);
            }
            self.path.ledger.admit_settled(record, outcome);
            return;
        }
        match inspection {
            Some(inspection) => self.path.take_record(record, inspection, late),
            None => {
                self.diagnosis.is_other(record.payload());
                let outcome = Outcome::failed(FailReason::NotVideo);
                self.path.ledger.admit_settled(record, outcome);
            }
        }
    }

    fn take_chunk(&mut self, message: BorrowedMessage<'q>, late: Lateness) {
        let mut record = self.intake.record(message);
        record.gop_start = self.intake.gop_start();
        if let Some(outcome) = self.path.analysis.bypass() {
            self.pass_by_units(record.payload());
            self.path.ledger.admit_settled(record, outcome);
            return;
        }
        let seq = self.path.ledger.admit_chunk(record);
        let chunk = self.path.ledger.record(seq).map(Input::payload).unwrap_or_default();
        let units = self.intake.cut(Some(seq), chunk);
        for unit in units.into_iter().flatten() {
            self.take_unit(&unit, late);
        }
        if self.intake.is_lost() {
            self.end_stream_with_permit();
        } else if let Some(open) = self.intake.earliest_open() {
            self.path.ledger.seal_before(open);
        }
    }

    /// What of an access unit may tell why nothing is analysed.
    fn note_evidence(&mut self, inspection: Inspection) {
        if inspection.lacks == Some(Lack::Slice) {
            self.diagnosis.is_headless();
        }
        if let Content::RefreshPoint { .. } = inspection.content {
            self.diagnosis.is_refresh_point();
        }
    }

    /// Looks for parameter sets, which pictures may need that are analysed later, in a chunk that
    /// is passed on.
    fn pass_by_units(&mut self, chunk: &[u8]) {
        if !self.spec.codec.has_nal_units() {
            return;
        }
        for unit in self.intake.cut(None, chunk).into_iter().flatten() {
            if let Some(inspection) = self.intake.inspect_unit(&unit.data) {
                self.path.pass_by(&unit.data, inspection);
            }
        }
        if self.intake.is_lost() {
            self.intake.finish_unit();
        }
    }

    /// An access unit that was cut out of a byte stream; it begins in the record `unit.seq`.
    fn take_unit(&mut self, unit: &Unit, late: Lateness) {
        let inspection = self.intake.inspect_unit(&unit.data);
        let Some(seq) = unit.seq else {
            if let Some(inspection) = inspection {
                self.path.fill(&unit.data, inspection);
            }
            return;
        };
        let ledger = &mut self.path.ledger;
        ledger.seal_before(seq);
        let Some(inspection) = inspection else {
            self.diagnosis.is_other(&unit.data);
            ledger.unit_begins(seq);
            ledger.settle(seq, Outcome::failed(FailReason::NotVideo));
            return;
        };
        if let Some(record) = ledger.record_mut(seq) {
            record.progress_mut().keyframe |= inspection.content == Content::KeyPicture;
            let missing = || self.path.decode.parameter_sets_missing_in(&unit.data);
            self.intake.unit_at(record.message.offset(), inspection, missing);
            record.gop_start = self.intake.gop_start();
        }
        self.path.take_unit(seq, &unit.data, inspection, late);
    }

    /// Records that were output by an earlier run, or before a silence, only fill the decoder.
    fn take_to_fill(&mut self, message: &BorrowedMessage<'q>, inspection: Option<Inspection>) {
        if self.path.analysis.bypass().is_some() {
            return;
        }
        let payload = message.payload().unwrap_or_default();
        match self.intake.cut(None, payload) {
            None => {
                let Some(inspection) = inspection else { return };
                let missing = || self.path.decode.parameter_sets_missing_in(payload);
                self.intake.unit_at(message.offset(), inspection, missing);
                self.path.fill(payload, inspection);
            }
            Some(units) => {
                self.intake.chunk_fills(message.offset());
                for unit in units {
                    if let Some(inspection) = self.intake.inspect_unit(&unit.data) {
                        self.path.fill(&unit.data, inspection);
                    }
                }
            }
        }
    }

    // === when nothing follows ===

    /// Frames that wait for the next ones to come are given out without them.
    fn drain(&mut self) {
        let was_running = self.path.admission.is_running();
        self.end_stream();
        if self.spec.mode == Mode::EveryFrame && was_running {
            self.intake.drained();
        }
    }

    /// Nothing of the stream will be continued: what is inside comes out as far as it goes.
    pub fn end_stream(&mut self) {
        let _permit = self.path.analysis.permit();
        self.end_stream_with_permit();
    }

    /// As [`Self::end_stream`], for those who have a permit for a core.
    fn end_stream_with_permit(&mut self) {
        if let Some(unit) = self.intake.finish_unit() {
            self.take_unit(&unit, Lateness::default());
        }
        self.path.start_afresh();
        self.path.ledger.seal_before(self.path.ledger.next_seq());
    }

    /// Puts new plugins in place, if they wait and this is the place.
    fn cut_if_possible(&mut self) {
        if !self.path.analysis.wants_cut() {
            return;
        }
        if self.path.analysis.turns_on_or_off() {
            // What is being decoded still is the old plugins'; after it, nothing is in the way.
            self.end_stream();
        }
        self.path.analysis.cut_if_possible(&self.path.ledger);
    }
}
