//! From the queue into the decoder: what each record is, and whether it is decoded.

use std::time::{Instant, SystemTime};

use rdkafka::message::{BorrowedMessage, Message};

use crate::camera::CameraError;
use crate::camera::input_record::{InputRecord, age, keyframe_header};
use crate::camera::pipeline::Pipeline;
use crate::config::Framing;
use crate::record::MOST_WAITING;
use crate::record::{FailReason, Outcome, SkipReason};
use crate::video::decode::{Lateness, Passage};
use crate::video::packet;
use crate::video::packet::{Content, Inspection, Unit};

/// Input offsets that may be missing without pictures being lost: the marker behind a transaction.
const HARMLESS_GAP: i64 = 1;

impl<'q> Pipeline<'q> {
    pub(crate) fn take(&mut self, message: BorrowedMessage<'q>) -> Result<(), CameraError> {
        let offset = message.offset();
        if self.next_offset.is_some_and(|next| offset > next + HARMLESS_GAP) {
            self.end_stream_in_turn();
        }
        self.next_offset = Some(offset + 1);
        if self.unanalysed().is_none() && !self.decoder.is_open() {
            self.decoder.open_if_needed()?;
            self.stats.record_decode_threads(self.decoder.threads());
        }
        if offset < self.output_from {
            let _turn = self.turn();
            self.take_silently(&message);
            return Ok(());
        }
        if let Some(from) = self.refill_from {
            match self.content_after_silence(&message) {
                // What is no video changes nothing.
                None if self.splitter.is_none() => {}
                Some(Content::KeyPicture) => self.refill_from = None,
                _ => {
                    self.refill_from = None;
                    self.next_offset = None;
                    self.output_from = offset;
                    return self.queue.seek(from).map_err(CameraError::Input);
                }
            }
        }
        let late = self.lateness(&message);
        self.stats.record_received(i64::try_from(late.behind).unwrap_or(i64::MAX));
        self.load.record_came(late.behind);
        self.bunch.record_comes(late.behind);
        let _turn = self.turn();
        match self.spec.framing {
            Framing::Packet => {
                self.take_packet(message, late);
                if self.ledger.len() > MOST_WAITING {
                    // Records without pictures would queue up behind one that waits for the next.
                    self.drain_silent_camera();
                }
            }
            Framing::Bytestream => self.take_chunk(message, late),
        }
        Ok(())
    }

    /// How late a record is. Its age is looked at where there is a limit to it.
    fn lateness(&self, message: &BorrowedMessage<'_>) -> Lateness {
        let age = || age(message.timestamp(), SystemTime::now());
        Lateness {
            behind: self.queue.behind(message.offset()),
            age: self.spec.max_age.and_then(|_| age()),
        }
    }

    fn take_packet(&mut self, message: BorrowedMessage<'q>, late: Lateness) {
        let inspection = self.inspect(&message, message.payload().unwrap_or_default());
        let mut received = InputRecord::new(message);
        if let Some(Inspection { content: Content::KeyPicture, .. }) = inspection {
            received.keyframe = true;
            self.gop_start = Some(received.message.offset());
        }
        received.gop_start = self.gop_start;
        if let Some(outcome) = self.unanalysed() {
            self.ledger.admit_settled(received, outcome);
            return;
        }
        let Some(inspection) = inspection else {
            self.ledger.admit_settled(received, Outcome::failed(FailReason::NotVideo));
            return;
        };
        let time = received.recorded_at_us();
        if let Some(reason) = self.pass_gate(inspection, time, late) {
            self.ledger.admit_settled(received, Outcome::skipped(reason));
            return;
        }
        if inspection.content == Content::NoPicture {
            let data = received.message.payload().unwrap_or_default();
            self.decode_no_picture(data, inspection);
            self.receive_pictures();
            self.ledger.admit_settled(received, Outcome::skipped(SkipReason::NoPicture));
            return;
        }
        received.discontinuity = std::mem::take(&mut self.discontinuity);
        let seq = self.ledger.admit_unit(received);
        self.decode_record(seq, inspection);
    }

    fn take_chunk(&mut self, message: BorrowedMessage<'q>, late: Lateness) {
        let mut received = InputRecord::new(message);
        received.gop_start = self.gop_start;
        if let Some(outcome) = self.unanalysed() {
            self.ledger.admit_settled(received, outcome);
            return;
        }
        let seq = self.ledger.admit_chunk(received);
        let Some(splitter) = &mut self.splitter else { return };
        let chunk = self.ledger.record(seq).and_then(|record| record.message.payload());
        for unit in splitter.push(Some(seq), chunk.unwrap_or_default()) {
            self.take_unit(&unit, late);
        }
        let Some(splitter) = &self.splitter else { return };
        if splitter.is_lost() {
            self.end_stream();
        } else if let Some(open) = splitter.earliest_open() {
            self.ledger.seal_before(open);
        }
    }

    /// An access unit that the splitter found; it begins in the record `unit.seq`.
    pub(crate) fn take_unit(&mut self, unit: &Unit, late: Lateness) {
        let Some(seq) = unit.seq else { return self.feed_silently(&unit.data) };
        self.ledger.seal_before(seq);
        let Some(inspection) = packet::inspect(self.spec.codec, &unit.data) else {
            self.ledger.unit_begins(seq);
            self.ledger.settle(seq, Outcome::failed(FailReason::NotVideo));
            return;
        };
        let mut time = None;
        if let Some(record) = self.ledger.record_mut(seq) {
            time = record.recorded_at_us();
            if inspection.content == Content::KeyPicture {
                record.keyframe = true;
                self.gop_start = Some(record.message.offset());
                record.gop_start = self.gop_start;
            }
        }
        // The gate may empty the decoder, which settles what has begun before.
        let skipped = self.pass_gate(inspection, time, late);
        self.ledger.unit_begins(seq);
        if let Some(reason) = skipped {
            self.ledger.settle(seq, Outcome::skipped(reason));
            return;
        }
        if inspection.content == Content::NoPicture {
            self.decode_no_picture(&unit.data, inspection);
            self.receive_pictures();
            self.ledger.settle(seq, Outcome::skipped(SkipReason::NoPicture));
            return;
        }
        let discontinuity = std::mem::take(&mut self.discontinuity);
        if let Some(record) = self.ledger.record_mut(seq) {
            record.discontinuity |= discontinuity;
        }
        self.decode(Some(seq), &unit.data, inspection);
    }

    /// Records that were output by an earlier run, or before a silence, only fill the decoder.
    fn take_silently(&mut self, message: &BorrowedMessage<'q>) {
        if self.unanalysed().is_some() {
            return;
        }
        let payload = message.payload().unwrap_or_default();
        match &mut self.splitter {
            None => {
                if self.inspect(message, payload).map(|i| i.content) == Some(Content::KeyPicture) {
                    self.gop_start = Some(message.offset());
                }
                self.feed_silently(payload);
            }
            Some(splitter) => {
                self.gop_start.get_or_insert(message.offset());
                for unit in splitter.push(None, payload) {
                    self.feed_silently(&unit.data);
                }
            }
        }
    }

    fn feed_silently(&mut self, data: &[u8]) {
        let Some(inspection) = packet::inspect(self.spec.codec, data) else { return };
        if inspection.content == Content::NoPicture {
            self.decode_no_picture(data, inspection);
        } else if self.pass_gate(inspection, None, Lateness::default()).is_none() {
            self.decode(None, data, inspection);
            // The pictures before the next record were analysed, only not by this run.
            self.discontinuity = false;
        }
    }

    pub(crate) fn inspect(&self, message: &BorrowedMessage<'_>, data: &[u8]) -> Option<Inspection> {
        let mut inspection = packet::inspect(self.spec.codec, data)?;
        if inspection.content == Content::Unknown {
            inspection.content = match keyframe_header(message.headers()) {
                Some(true) => Content::KeyPicture,
                Some(false) => Content::Picture,
                None => Content::Unknown,
            };
        }
        Some(inspection)
    }

    /// Asks rate and gate whether an access unit is decoded; if not, why. `time_us`: when its record
    /// was made.
    fn pass_gate(
        &mut self,
        inspection: Inspection,
        time_us: Option<i64>,
        late: Lateness,
    ) -> Option<SkipReason> {
        self.highest_sub_layer = self.highest_sub_layer.max(inspection.highest_sub_layer);
        let inspection = inspection.among(self.highest_sub_layer);
        let content = inspection.content;
        if let Some(time_us) = time_us
            && content == Content::KeyPicture
        {
            let took_all = !self.thinning.only_keys();
            self.thinning.key_frame(time_us, self.analysis.pace());
            if took_all && self.thinning.only_keys() {
                // Nothing else would push out what it holds, if this one is left out.
                self.empty_decoder();
            }
        }
        let left_out = self.thinning.leaves_out(inspection, time_us, self.analysis.pace());
        if left_out && self.thinning.only_keys() {
            return Some(SkipReason::Rate);
        }
        let was_running = self.gate.is_running();
        if !self.tenant.may_decode(Instant::now()) && content != Content::NoPicture {
            if was_running {
                // What the decoder holds is paid for.
                self.start_afresh();
            }
            return Some(SkipReason::Quota);
        }
        match self.gate.judge(content, late) {
            Passage::Decode if left_out => Some(SkipReason::Rate),
            Passage::Decode => {
                self.adapt_threads(inspection, false);
                None
            }
            Passage::DecodeAfresh => {
                self.empty_decoder();
                self.discontinuity = true;
                self.adapt_threads(inspection, true);
                None
            }
            Passage::Skip(reason) => {
                if was_running {
                    // What the decoder holds is as late as this record.
                    self.decoder.restart();
                    self.ledger.settle_waiting(&Outcome::skipped(reason));
                }
                Some(reason)
            }
        }
    }
}
