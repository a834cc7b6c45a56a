//! The frame path: from an access unit to what the ledger says of its record.
//!
//! Admission, decoder and plugins each do their part and know nothing of each other; here is what
//! follows from what they say. Whatever enters is settled exactly once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::analysis::Analysis;
use super::input_record::{Input, Progress};
use super::stages::admission::{Admission, Verdict};
use super::stages::damage::Trust;
use super::stages::decode::{Decode, Sent};
use crate::record::{FailReason, Ledger, Outcome, Seq, SkipReason};
use crate::tenancy::Tenant;
use crate::video::decode::{Decoded, DecoderError, Lateness};
use crate::video::packet::{Content, Inspection};

/// See the module.
pub(crate) struct FramePath<R> {
    pub(super) ledger: Ledger<R>,
    pub(super) admission: Admission,
    pub(super) decode: Decode,
    pub(super) analysis: Analysis,
    pub(super) tenant: Arc<Tenant>,
    pub(super) latest: Latest,
    /// Frames that wait for others that entered the decoder before them, and may build on those.
    pub(super) held: VecDeque<Held>,
}

/// A frame of a record that has come out of the decoder.
pub(super) struct Held {
    seq: Seq,
    frame: ffmpeg_next::frame::Video,
    is_damaged: bool,
}

/// Where the latest access unit went that holds a picture: a second field goes there as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Latest {
    #[default]
    Out,
    Decoder,
    /// Into the decoder, which is to be emptied behind the second field.
    DecoderAlone,
}

/// What becomes of an access unit.
pub(super) enum Way {
    /// It is decoded, and its frame analysed.
    Analyse,
    /// It is decoded for the sake of later frames; this is what becomes of its record.
    Fill(Outcome),
    /// It is not decoded; likewise.
    Out(Outcome),
}

impl Way {
    /// That of an access unit that may be decoded.
    fn of(inspection: Inspection) -> Self {
        match inspection.content {
            Content::NoPicture => Self::Fill(Outcome::skipped(SkipReason::NoPicture)),
            _ => Self::Analyse,
        }
    }

    /// Sends it there. `None`: it holds nothing that could come out.
    pub fn send(
        &self,
        decode: &mut Decode,
        seq: Option<Seq>,
        data: &[u8],
        inspection: Inspection,
    ) -> Option<Sent> {
        match (self, inspection.content) {
            (Self::Out(_), _) => {
                if inspection.has_parameter_sets {
                    decode.learn(data);
                }
                None
            }
            (_, Content::NoPicture) => {
                decode.send_without_frame(data, inspection);
                None
            }
            (Self::Fill(_), _) => Some(decode.send(None, data, inspection)),
            (Self::Analyse, _) => Some(decode.send(seq, data, inspection)),
        }
    }
}

impl<R: Input> FramePath<R> {
    fn progress_mut(&mut self, seq: Seq) -> Option<&mut Progress> {
        self.ledger.record_mut(seq).map(Input::progress_mut)
    }

    // === access units ===

    /// A record that is one access unit.
    pub fn take_record(&mut self, mut record: R, inspection: Inspection, late: Lateness) {
        let time = record.recorded_at_us();
        let way = self.admit(inspection, time, late);
        let seq = match &way {
            Way::Analyse => {
                let progress = record.progress_mut();
                progress.sent = Some(inspection);
                progress.superseded = inspection.superseded;
                progress.discontinuity = self.admission.take_gap();
                self.ledger.admit_unit(record)
            }
            Way::Fill(outcome) => {
                record.progress_mut().sent = Some(inspection);
                self.ledger.admit_settled(record, outcome.clone())
            }
            Way::Out(outcome) => self.ledger.admit_settled(record, outcome.clone()),
        };
        let data = self.ledger.record(seq).map(Input::payload).unwrap_or_default();
        let sent = way.send(&mut self.decode, Some(seq), data, inspection);
        self.gone(&way, Some(seq), sent, inspection);
    }

    /// An access unit that begins in record `seq`, which is in the ledger already.
    pub fn take_unit(&mut self, seq: Seq, data: &[u8], inspection: Inspection, late: Lateness) {
        let time = self.ledger.record(seq).and_then(Input::recorded_at_us);
        // This may empty the decoder, which settles what has begun before.
        let way = self.admit(inspection, time, late);
        self.ledger.unit_begins(seq);
        match &way {
            Way::Analyse => {
                let discontinuity = self.admission.take_gap();
                if let Some(progress) = self.progress_mut(seq) {
                    progress.superseded = inspection.superseded;
                    progress.discontinuity |= discontinuity;
                }
            }
            Way::Fill(outcome) | Way::Out(outcome) => self.ledger.settle(seq, outcome.clone()),
        }
        let sent = way.send(&mut self.decode, Some(seq), data, inspection);
        self.gone(&way, Some(seq), sent, inspection);
    }

    /// An access unit that only later frames need.
    pub fn fill(&mut self, data: &[u8], inspection: Inspection) {
        let way = self.admit(inspection, None, Lateness::default());
        let sent = way.send(&mut self.decode, None, data, inspection);
        self.gone(&way, None, sent, inspection);
        if let Way::Analyse = way {
            // The frames before the next record were analysed, only not by this run.
            self.admission.take_gap();
        }
    }

    /// An access unit that nobody looks at: of a camera that is paused or has no plugins.
    pub fn pass_by(&mut self, data: &[u8], inspection: Inspection) {
        if inspection.has_parameter_sets {
            self.decode.learn(data);
        }
    }

    /// Makes way for an access unit, and says which. `time_us`: when its record was made, if it is
    /// to be analysed at all.
    fn admit(&mut self, inspection: Inspection, time_us: Option<i64>, late: Lateness) -> Way {
        if inspection.content == Content::Continuation {
            let outcome = Outcome::skipped(SkipReason::NoPicture);
            return if self.latest == Latest::Out { Way::Out(outcome) } else { Way::Fill(outcome) };
        }
        if self.latest == Latest::DecoderAlone {
            // The second field did not come.
            self.empty_decoder();
        }
        let (inspection, only_keys_from_here) =
            self.admission.unit_comes(inspection, time_us, self.analysis.rate_limiter());
        if only_keys_from_here {
            // Nothing else would push out what it holds, if this one is left out.
            self.empty_decoder();
        }
        let tenant = &self.tenant;
        let may_decode = || tenant.may_decode(Instant::now());
        let rate_limiter = self.analysis.rate_limiter();
        match self.admission.judge(inspection, (time_us, late), rate_limiter, may_decode) {
            Verdict::Decode => {
                self.adapt_threads(inspection, false);
                Way::of(inspection)
            }
            Verdict::DecodeAfresh => {
                self.empty_decoder();
                self.admission.note_gap();
                self.adapt_threads(inspection, true);
                Way::of(inspection)
            }
            Verdict::Fill(reason) => Way::Fill(Outcome::skipped(reason)),
            Verdict::FillAfresh(reason) => {
                self.empty_decoder();
                self.admission.note_gap();
                self.adapt_threads(inspection, true);
                Way::Fill(Outcome::skipped(reason))
            }
            Verdict::Broken { reason, spares_others } => {
                if !spares_others {
                    self.start_afresh();
                }
                Way::Out(Outcome::failed(reason))
            }
            Verdict::Skip(reason) => Way::Out(Outcome::skipped(reason)),
            Verdict::SkipAll(reason) => {
                // What the decoder holds is as late as this record.
                self.held.clear();
                self.decode.restart();
                self.ledger.settle_waiting(&Outcome::skipped(reason));
                Way::Out(Outcome::skipped(reason))
            }
            Verdict::SkipBeyondQuota => {
                self.start_afresh();
                Way::Out(Outcome::skipped(SkipReason::Quota))
            }
        }
    }

    /// An access unit has gone its way. `seq`: its record, unless only later frames need it.
    fn gone(&mut self, way: &Way, seq: Option<Seq>, sent: Option<Sent>, inspection: Inspection) {
        if !matches!(inspection.content, Content::NoPicture | Content::Continuation) {
            self.latest = if let Way::Out(_) = way { Latest::Out } else { Latest::Decoder };
        }
        match (way, sent) {
            (Way::Analyse, Some(sent)) => self.after_send(seq, sent, inspection),
            (_, Some(sent)) => self.after_send(None, sent, inspection),
            (Way::Out(_), None) => {}
            (_, None) => self.receive_frames(),
        }
    }

    /// A key frame is about to be decoded, before which the decoder was emptied, or can be: from
    /// here on as many threads decode as suit the load.
    fn adapt_threads(&mut self, inspection: Inspection, is_empty: bool) {
        if !is_empty && !inspection.is_closed {
            return;
        }
        if let Some(threads) = self.decode.reserve_threads(self.admission.only_keys()) {
            if !is_empty {
                self.empty_decoder();
            }
            self.decode.reopen(threads);
        }
    }

    fn after_send(&mut self, seq: Option<Seq>, sent: Sent, inspection: Inspection) {
        self.take_sent(seq, sent);
        if self.decode.is_lost() {
            let gate = self.mend();
            self.admission.go_on_behind(&gate);
        } else if self.admission.only_keys() {
            // The next key frame may be seconds away; this one's frame is wanted now, or behind its
            // second field.
            if inspection.is_first_field {
                self.latest = Latest::DecoderAlone;
            } else {
                self.empty_decoder();
            }
        }
    }

    // === frames ===

    /// An access unit was sent: frames may be ready, or it was refused.
    pub(super) fn take_sent(&mut self, seq: Option<Seq>, Sent { decode_us, result }: Sent) {
        if let Some(progress) = seq.and_then(|seq| self.progress_mut(seq)) {
            progress.decode_us += decode_us;
        }
        self.receive_frames();
        if let Err(error) = &result {
            self.refused(seq, error);
        }
    }

    /// Takes the frames that are ready.
    pub(super) fn receive_frames(&mut self) {
        loop {
            match self.decode.receive() {
                Ok(None) => return,
                Ok(Some((decoded, decode_us))) => {
                    if let Some(progress) = decoded.seq.and_then(|seq| self.progress_mut(seq)) {
                        progress.decode_us += decode_us;
                    }
                    self.take_frame(decoded);
                }
                Err(error) => return self.refused(None, &error),
            }
        }
    }

    /// The decoder has refused an access unit, when that of record `sent` went in, if any.
    fn refused(&mut self, sent: Option<Seq>, error: &DecoderError) {
        let mut inside = self.ledger.first_seq()..self.ledger.next_seq();
        let oldest = inside.find(|&seq| self.ledger.is_waiting(seq) && !self.is_held(seq));
        if let Some(refused) = self.decode.refused((sent, oldest), error) {
            self.ledger.settle(refused, Outcome::failed(FailReason::DecodeError));
            self.release_held();
        }
    }

    fn take_frame(&mut self, Decoded { seq, frame, damaged }: Decoded) {
        let Some(seq) = seq else {
            // Of a refresh that is under way, nothing else is to be expected.
            if damaged && !self.admission.is_refreshing() {
                self.decode.note_damaged(None);
            }
            return;
        };
        if let Some(progress) = self.progress_mut(seq)
            && progress.superseded > 0
        {
            progress.superseded -= 1;
            return;
        }
        if self.ledger.record(seq).is_none() {
            return;
        }
        if damaged {
            self.decode.note_damaged(Some(seq));
        }
        if self.decode.judge(seq) == Trust::ComesAgain {
            return;
        }
        self.ledger.frame_out(seq, self.decode.most_overtaken());
        self.held.push_back(Held { seq, frame, is_damaged: damaged });
        self.release_held();
    }

    /// Judges and analyses frames of which nothing that entered the decoder before them is still
    /// inside: what they build on has come out, damaged or not. No record leaves later for that,
    /// since those before it have to leave first.
    fn release_held(&mut self) {
        while let Some(Held { seq, .. }) = self.held.front() {
            let mut before = self.ledger.first_seq()..*seq;
            if before.any(|seq| self.ledger.is_waiting(seq) && !self.is_held(seq)) {
                return;
            }
            self.release_one();
        }
    }

    fn is_held(&self, seq: Seq) -> bool {
        self.held.iter().any(|held| held.seq == seq)
    }

    fn release_one(&mut self) {
        let Some(Held { seq, frame, is_damaged }) = self.held.pop_front() else { return };
        self.analysis.cut_before_frame(&self.ledger);
        let Some(record) = self.ledger.record(seq) else { return };
        let trust = self.decode.judge(seq);
        if trust == Trust::ComesAgain {
            return;
        }
        self.analysis.reaches(seq);
        let outcome = if trust == Trust::Right && !is_damaged {
            self.analysis.analyse(seq, record, frame)
        } else {
            Outcome::failed(FailReason::DecodeError)
        };
        self.ledger.settle(seq, outcome);
    }

    /// Takes the frames out of the decoder that are still inside.
    pub(super) fn drain(&mut self) {
        self.decode.finish();
        self.receive_frames();
        while !self.held.is_empty() {
            self.release_one();
        }
    }

    /// As [`Self::drain`], and starts the decoder afresh. Records whose frame did not come by then
    /// have none.
    pub fn empty_decoder(&mut self) {
        if self.latest == Latest::DecoderAlone {
            self.latest = Latest::Decoder;
        }
        self.drain();
        while self.decode.resumes_at().is_some() {
            // Damage showed only now.
            self.mend();
            self.drain();
        }
        self.ledger.settle_waiting(&Outcome::failed(FailReason::DecodeError));
        self.decode.restart();
    }

    /// Frames after this point can't be trusted until the next key frame.
    pub fn start_afresh(&mut self) {
        self.admission.shut();
        self.empty_decoder();
    }
}
