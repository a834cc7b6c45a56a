//! What follows when a decoder is lost to damage: it starts afresh, and what had entered it behind
//! the next place where decoding can begin is decoded again. See [`super::stages::damage`].

use super::frame_path::{FramePath, Way};
use super::input_record::Input;
use crate::record::{FailReason, Outcome, Seq, SkipReason};
use crate::video::decode::{Gate, LagLimits, Lateness, Passage};
use crate::video::packet::Content;

impl<R: Input> FramePath<R> {
    /// Decodes again what can be right of what is in the decoder, which is lost. Gives the gate as
    /// it stands behind that.
    pub(super) fn mend(&mut self) -> Gate {
        let mut gate = Gate::new(LagLimits::default());
        let mut next = self.drop_damaged(self.ledger.next_seq());
        while next < self.ledger.next_seq() {
            self.decode_again(next, &mut gate);
            next += 1;
            if self.decode.is_lost() {
                gate.shut();
                next = self.drop_damaged(next);
            }
        }
        gate
    }

    /// Starts the decoder afresh, which is lost. Gives the record from which on all is to be
    /// decoded again: `next`, unless decoding can begin earlier. Those before it have no frame any
    /// more.
    fn drop_damaged(&mut self, next: Seq) -> Seq {
        let sent = |seq: Seq| self.ledger.record(seq).and_then(|record| record.progress().sent);
        // Units of a byte stream are gone once they are decoded.
        let place = self.decode.resumes_at().filter(|&seq| sent(seq).is_some());
        let mut resumes_at = place.unwrap_or(next);
        // Messages and parameter sets in records of their own belong to what follows them.
        let is_apart = |seq| sent(seq).is_some_and(|it| it.content == Content::NoPicture);
        while place.is_some() && resumes_at.checked_sub(1).is_some_and(is_apart) {
            resumes_at -= 1;
        }
        self.drain();
        let lost = Outcome::failed(FailReason::DecodeError);
        self.ledger.settle_waiting_before(resumes_at, &lost);
        self.decode.restart();
        resumes_at
    }

    /// Sends a record into the decoder that went into one that was lost.
    fn decode_again(&mut self, seq: Seq, gate: &mut Gate) {
        // Some have their outcome already, and others need them.
        let is_waiting = self.ledger.is_waiting(seq);
        let Some(record) = self.ledger.record_mut(seq) else { return };
        let progress = record.progress_mut();
        let Some(inspection) = progress.sent else { return };
        progress.superseded = inspection.superseded;
        let no_picture = Outcome::skipped(SkipReason::NoPicture);
        let way = match inspection.content {
            Content::NoPicture => Way::Fill(no_picture),
            Content::Continuation if gate.is_running() => Way::Fill(no_picture),
            Content::Continuation => Way::Out(no_picture),
            _ => match gate.judge(inspection, Lateness::default()) {
                Passage::Decode | Passage::DecodeAfresh if !is_waiting => Way::Fill(no_picture),
                Passage::Decode => Way::Analyse,
                Passage::DecodeAfresh => {
                    progress.discontinuity = true;
                    Way::Analyse
                }
                Passage::Fill | Passage::FillAfresh => {
                    Way::Fill(Outcome::skipped(SkipReason::NoKeyframe))
                }
                Passage::Broken { reason, .. } => Way::Out(Outcome::failed(reason)),
                Passage::Skip(reason) => Way::Out(Outcome::skipped(reason)),
            },
        };
        if let Way::Fill(outcome) | Way::Out(outcome) = &way {
            self.ledger.settle(seq, outcome.clone());
        }
        let data = self.ledger.record(seq).map(Input::payload).unwrap_or_default();
        match way.send(&mut self.decode, Some(seq), data, inspection) {
            Some(sent) => self.take_sent(Some(seq), sent),
            None => self.receive_frames(),
        }
    }
}
