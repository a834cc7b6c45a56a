//! How many threads decode: looked at while records pass, and changed at a key frame across which
//! nothing goes.

use std::time::{Duration, Instant};

use crate::camera::pipeline::Pipeline;
use crate::config::{DecodeThreads, MAX_DECODE_THREADS};
use crate::sched::cpu_time;
use crate::video::packet::Inspection;

impl Pipeline<'_> {
    /// Judges what the camera did lately, from time to time.
    pub(crate) fn watch_load(&mut self) {
        let now = Instant::now();
        let Some(passed) = self.load.window(now) else { return };
        let cpu = cpu_time::of_this_thread();
        let own = cpu.saturating_sub(std::mem::replace(&mut self.cpu_before, cpu));
        let all = Duration::from_nanos(own) + std::mem::take(&mut self.helpers_cpu);
        let used = all.as_secs_f64() / passed.as_secs_f64();
        let liked = self.load.end_window(now, passed, self.decoder.threads(), used);
        self.seat.tell_load(liked);
    }

    /// A key frame is about to be decoded, before which the decoder was emptied, or can be: from here on
    /// as many threads decode as suit the load.
    pub(crate) fn adapt_threads(&mut self, inspection: Inspection, is_empty: bool) {
        let may_change = is_empty || inspection.is_closed;
        if !may_change || self.spec.decode_threads != DecodeThreads::Auto {
            return;
        }
        let now = self.decoder.threads();
        let wanted = self.wanted_threads(now);
        if wanted == now || !self.decoder.can_reopen() {
            return;
        }
        let threads = self.seat.reserve(wanted);
        if threads == now {
            return;
        }
        if !is_empty {
            self.empty_decoder();
        }
        let reopened = if self.seat.is_in_part(threads) {
            self.seat.come_back();
            self.decoder.reopen(threads)
        } else {
            // Beyond its part is what nobody else wants now; before the next key frame, somebody may.
            self.seat.behind_others(|| self.decoder.reopen(threads))
        };
        let (camera, tenant) = (self.spec.id.as_str(), self.spec.tenant.as_str());
        match reopened {
            Ok(()) => tracing::debug!(camera, tenant, threads, "decodes with other threads"),
            Err(error) => {
                self.seat.reserve(now);
                tracing::warn!(camera, tenant, threads, "goes on with {now} threads: {error}");
            }
        }
        self.stats.record_decode_threads(self.decoder.threads());
        self.load.begin_anew(Instant::now());
    }

    fn wanted_threads(&self, now: usize) -> usize {
        if self.thinning.only_keys() || self.tenant.is_rationed() {
            // Each picture is waited for; or those that would come sooner could not be paid for.
            return 1;
        }
        let room = self.seat.room_for_threads().min(MAX_DECODE_THREADS.into());
        self.load.wanted(now, room)
    }
}
