//! The frame path: from an access unit to what the ledger says of its record.
//!
//! Admission, decoder and plugins each do their part and know nothing of each other; here is what
//! follows from what they say. Whatever enters is settled exactly once.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::message::Message;

use super::analysis::Analysis;
use super::input_record::InputRecord;
use super::stages::admission::{Admission, Verdict};
use super::stages::decode::{Decode, Sent};
use crate::record::{FailReason, Ledger, Outcome, Seq, SkipReason};
use crate::tenancy::Tenant;
use crate::video::decode::{Decoded, Lateness};
use crate::video::packet::{Content, Inspection};

/// See the module.
pub(crate) struct FramePath<'q> {
    pub(super) ledger: Ledger<InputRecord<'q>>,
    pub(super) admission: Admission,
    pub(super) decode: Decode,
    pub(super) analysis: Analysis,
    pub(super) tenant: Arc<Tenant>,
}

impl<'q> FramePath<'q> {
    // === access units ===

    /// A record that is one access unit.
    pub fn take_record(
        &mut self,
        mut record: InputRecord<'q>,
        inspection: Inspection,
        late: Lateness,
    ) {
        let time = record.recorded_at_us();
        if let Err(reason) = self.admit(inspection, time, late) {
            self.ledger.admit_settled(record, Outcome::skipped(reason));
            return;
        }
        if inspection.content == Content::NoPicture {
            let data = record.message.payload().unwrap_or_default();
            self.decode.send_without_frame(data, inspection);
            self.receive_frames();
            self.ledger.admit_settled(record, Outcome::skipped(SkipReason::NoPicture));
            return;
        }
        record.discontinuity = self.admission.take_gap();
        let seq = self.ledger.admit_unit(record);
        let payload = self.ledger.record(seq).and_then(|record| record.message.payload());
        let sent = self.decode.send(Some(seq), payload.unwrap_or_default(), inspection);
        self.after_send(Some(seq), sent);
    }

    /// An access unit that begins in record `seq`, which is in the ledger already.
    pub fn take_unit(&mut self, seq: Seq, data: &[u8], inspection: Inspection, late: Lateness) {
        let time = self.ledger.record(seq).and_then(InputRecord::recorded_at_us);
        // This may empty the decoder, which settles what has begun before.
        let admitted = self.admit(inspection, time, late);
        self.ledger.unit_begins(seq);
        if let Err(reason) = admitted {
            self.ledger.settle(seq, Outcome::skipped(reason));
            return;
        }
        if inspection.content == Content::NoPicture {
            self.decode.send_without_frame(data, inspection);
            self.receive_frames();
            self.ledger.settle(seq, Outcome::skipped(SkipReason::NoPicture));
            return;
        }
        let discontinuity = self.admission.take_gap();
        if let Some(record) = self.ledger.record_mut(seq) {
            record.discontinuity |= discontinuity;
        }
        let sent = self.decode.send(Some(seq), data, inspection);
        self.after_send(Some(seq), sent);
    }

    /// An access unit that only later frames need.
    pub fn fill(&mut self, data: &[u8], inspection: Inspection) {
        if inspection.content == Content::NoPicture {
            self.decode.send_without_frame(data, inspection);
        } else if self.admit(inspection, None, Lateness::default()).is_ok() {
            let sent = self.decode.send(None, data, inspection);
            self.after_send(None, sent);
            // The frames before the next record were analysed, only not by this run.
            self.admission.take_gap();
        }
    }

    /// Makes way for an access unit that is to be decoded; else says why it is not. `time_us`: when
    /// its record was made.
    fn admit(
        &mut self,
        inspection: Inspection,
        time_us: Option<i64>,
        late: Lateness,
    ) -> Result<(), SkipReason> {
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
            Verdict::Decode => self.adapt_threads(inspection, false),
            Verdict::DecodeAfresh => {
                self.empty_decoder();
                self.admission.note_gap();
                self.adapt_threads(inspection, true);
            }
            Verdict::Skip(reason) => return Err(reason),
            Verdict::SkipAll(reason) => {
                // What the decoder holds is as late as this record.
                self.decode.restart();
                self.ledger.settle_waiting(&Outcome::skipped(reason));
                return Err(reason);
            }
            Verdict::SkipBeyondQuota => {
                self.start_afresh();
                return Err(SkipReason::Quota);
            }
        }
        Ok(())
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

    fn after_send(&mut self, seq: Option<Seq>, Sent { decode_us, result }: Sent) {
        if let Some(record) = seq.and_then(|seq| self.ledger.record_mut(seq)) {
            record.decode_us += decode_us;
        }
        self.receive_frames();
        if let Err(error) = &result {
            self.decode.refused(seq, error);
            if let Some(seq) = seq {
                self.ledger.settle(seq, Outcome::failed(FailReason::DecodeError));
            }
        }
        if self.decode.is_lost() {
            self.start_afresh();
        } else if self.admission.only_keys() {
            // The next key frame may be seconds away; this one's frame is wanted now.
            self.empty_decoder();
        }
    }

    // === frames ===

    /// Takes the frames that are ready.
    fn receive_frames(&mut self) {
        while let Some((decoded, decode_us)) = self.decode.receive() {
            if let Some(record) = decoded.seq.and_then(|seq| self.ledger.record_mut(seq)) {
                record.decode_us += decode_us;
            }
            self.take_frame(decoded);
        }
    }

    fn take_frame(&mut self, Decoded { seq, frame, damaged }: Decoded) {
        let Some(seq) = seq else { return self.decode.judge_silent(damaged) };
        self.analysis.cut_before_frame(&self.ledger);
        let Some(record) = self.ledger.record(seq) else { return };
        self.analysis.reaches(seq);
        let outcome = if self.decode.judge(seq, damaged) {
            self.analysis.analyse(seq, record, frame)
        } else {
            Outcome::failed(FailReason::DecodeError)
        };
        self.ledger.frame_out(seq, self.decode.most_overtaken());
        self.ledger.settle(seq, outcome);
    }

    /// Takes the frames out of the decoder that are still inside, and starts it afresh. Records
    /// whose frame did not come by then have none.
    pub fn empty_decoder(&mut self) {
        self.decode.finish();
        self.receive_frames();
        self.decode.emptied();
        self.ledger.settle_waiting(&Outcome::failed(FailReason::DecodeError));
        self.decode.restart();
    }

    /// Frames after this point can't be trusted until the next key frame.
    pub fn start_afresh(&mut self) {
        self.admission.shut();
        self.empty_decoder();
    }
}
