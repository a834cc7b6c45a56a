//! An access unit into the decoder, and the pictures that come out through the plugins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::Message;

use crate::camera::pipeline::Pipeline;
use crate::camera::plugin_chain::PluginFailure;
use crate::record::Seq;
use crate::record::{FailReason, Outcome, SkipReason, Timing};
use crate::video::decode::{Decoded, DecoderError};
use crate::video::frame::{Frame, FrameFacts};
use crate::video::packet::{Content, Inspection};

/// From so long on it is looked how much of it the thread had a core: the kernel's clock of that costs as
/// much as to ask the decoder for a picture that is not there.
const LONG: Duration = Duration::from_micros(50);

impl Pipeline<'_> {
    pub(crate) fn decode_record(&mut self, seq: Seq, inspection: Inspection) {
        let begin = self.begin_decode();
        let payload = self.ledger.record(seq).and_then(|record| record.message.payload());
        let payload = payload.unwrap_or_default();
        if inspection.has_parameter_sets {
            self.decoder.learn(payload);
        }
        let sent = self.decoder.send(Some(seq), payload, inspection.length_prefixed);
        self.after_send(Some(seq), sent, inspection.content, begin);
    }

    pub(crate) fn decode(&mut self, seq: Option<Seq>, data: &[u8], inspection: Inspection) {
        let begin = self.begin_decode();
        if inspection.has_parameter_sets {
            self.decoder.learn(data);
        }
        let sent = self.decoder.send(seq, data, inspection.length_prefixed);
        self.after_send(seq, sent, inspection.content, begin);
    }

    /// Feeds what holds no picture.
    pub(crate) fn decode_no_picture(&mut self, data: &[u8], inspection: Inspection) {
        if inspection.has_parameter_sets {
            self.decoder.learn(data);
        }
        self.decoder.send_without_picture(data, inspection.length_prefixed);
    }

    fn after_send(
        &mut self,
        seq: Option<Seq>,
        sent: Result<(), DecoderError>,
        content: Content,
        begin: Instant,
    ) {
        let decode_us = self.charge_decode(begin);
        if content == Content::KeyPicture {
            self.latest_key = seq.unwrap_or_default();
        }
        if let Some(record) = seq.and_then(|seq| self.ledger.record_mut(seq)) {
            record.decode_us += decode_us;
        }
        self.receive_pictures();
        if let Err(error) = &sent {
            self.log_decode_error(seq, error);
            if let Some(seq) = seq {
                self.ledger.settle(seq, Outcome::failed(FailReason::DecodeError));
            }
            self.damaged = true;
        }
        if self.damaged {
            self.start_afresh();
            return;
        }
        if self.thinning.only_keys() {
            // The next key frame may be seconds away; this one's picture is wanted now.
            self.empty_decoder();
        }
    }

    pub(crate) fn receive_pictures(&mut self) {
        loop {
            let begin = self.begin_decode();
            let received = self.decoder.receive();
            let decode_us = self.charge_decode(begin);
            match received {
                Ok(None) => return,
                Ok(Some(decoded)) => {
                    self.load.picture_came();
                    if let Some(record) = decoded.seq.and_then(|seq| self.ledger.record_mut(seq)) {
                        record.decode_us += decode_us;
                    }
                    self.picture(decoded);
                }
                Err(error) => {
                    self.log_decode_error(None, &error);
                    self.damaged = true;
                    return;
                }
            }
        }
    }

    /// Takes the pictures out of the decoder that are still inside, and starts it afresh. Records
    /// whose picture did not come by then have none.
    pub(crate) fn empty_decoder(&mut self) {
        self.decoder.finish();
        self.receive_pictures();
        self.damaged = false;
        self.ledger.settle_waiting(&Outcome::failed(FailReason::DecodeError));
        self.decoder.restart();
    }

    /// Pictures after this point can't be trusted until the next key frame.
    pub(crate) fn start_afresh(&mut self) {
        self.gate.shut();
        self.empty_decoder();
    }

    fn picture(&mut self, decoded: Decoded) {
        let Some(seq) = decoded.seq else {
            self.damaged |= decoded.damaged;
            return;
        };
        self.cut_before_picture();
        let Some(record) = self.ledger.record(seq) else { return };
        self.analysed_before = self.analysed_before.max(seq + 1);
        let info = FrameFacts {
            seq,
            pts_us: record.pts_us,
            recorded_at_us: record.recorded_at_us(),
            keyframe: record.keyframe,
            discontinuity: record.discontinuity,
            decode_us: record.decode_us,
        };
        let received_at = record.at;
        if decoded.damaged {
            // The decoder may have gone on to the next key frame, which mends everything after it.
            self.distrusted = seq..self.latest_key;
            self.damaged |= seq >= self.latest_key;
        }
        let outcome = if decoded.damaged || self.distrusted.contains(&seq) {
            Outcome::failed(FailReason::DecodeError)
        } else if !self.analysis.is_due(info.recorded_at_us.unwrap_or_default()) {
            Outcome::skipped(SkipReason::Rate)
        } else if !self.tenant.may_analyse(Instant::now()) {
            self.analysis.miss_picture();
            Outcome::skipped(SkipReason::Quota)
        } else {
            let input_headers = record.headers();
            let picture = Arc::new(Frame::new(info, decoded.frame));
            let (camera, tenant) = (self.spec.id.as_str(), self.spec.tenant.as_str());
            let stats = &self.stats;
            let report = |failed: PluginFailure<'_>| {
                let PluginFailure { plugin, failure } = failed;
                let reason = failure.reason.word();
                if failure.restarted {
                    stats.record_plugin_restart();
                }
                tracing::debug!(camera, tenant, plugin, seq, reason, "{}", failure.message);
                if let Some(quarantine) = failure.quarantine {
                    let (seconds, why) = (quarantine.as_secs_f64(), &failure.message);
                    tracing::warn!(camera, tenant, plugin, "left out for {seconds} s: {why}");
                }
            };
            let (mut outcome, plugin_us) =
                self.analysis.run(&picture, &input_headers, &self.seat, report);
            self.stats.record_work(0, plugin_us);
            let queue = micros(received_at.elapsed()).saturating_sub(info.decode_us + plugin_us);
            outcome.timing = Some(Timing { queue, decode: info.decode_us, plugin: plugin_us });
            outcome
        };
        self.ledger.picture_out(seq, self.decoder.most_overtaken());
        self.ledger.settle(seq, outcome);
    }

    /// Decoding begins: a long piece of work, which nobody else waits for.
    fn begin_decode(&self) -> Instant {
        self.seat.step_back();
        Instant::now()
    }

    /// Time went into decoding: how many microseconds.
    fn charge_decode(&mut self, begin: Instant) -> u64 {
        self.seat.come_back();
        let mut until = Instant::now();
        let mut cpu = until - begin;
        if cpu >= LONG {
            let spent = self.seat.charge();
            // What it was charged for goes back to before the decoder.
            (cpu, until) = (spent.cpu.min(spent.until - begin), spent.until);
        }
        let took = until - begin;
        let decode_us = micros(took);
        self.stats.record_work(decode_us, 0);
        self.load.decoded(took);
        let helpers = self.decoder.workers_cpu().unwrap_or_else(|| {
            // They work while this thread waits for them; as much as they can in that time.
            let threads = u32::try_from(self.decoder.threads()).unwrap_or(u32::MAX);
            (took * threads).saturating_sub(cpu)
        });
        if !helpers.is_zero() {
            self.seat.charge_helpers(helpers);
            self.helpers_cpu += helpers;
        }
        self.tenant.charge_decode(until, cpu + helpers);
        decode_us
    }

    fn log_decode_error(&self, seq: Option<Seq>, error: &DecoderError) {
        let (camera, tenant) = (self.spec.id.as_str(), self.spec.tenant.as_str());
        tracing::debug!(camera, tenant, seq, "{error}");
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
