//! How many threads decode: what the camera's load asks for, told to the scheduler and to the
//! decoder.
//!
//! [`super::decode_load`] judges; what has to happen for another number, and when it may, is
//! [`super::decode`]'s business.

use std::time::{Duration, Instant};

use super::decode_load::DecodeLoad;
use crate::config::{DecodeThreads, MAX_DECODE_THREADS};
use crate::sched::{CoreClaim, cpu_time};

/// Follows what one camera's decoding takes.
pub(crate) struct ThreadAdvice {
    load: DecodeLoad,
    setting: DecodeThreads,
    /// CPU time in nanoseconds that the camera's thread had used when the load was judged last, …
    cpu_before: u64,
    /// … and what the decoder's own threads have used since.
    helpers_cpu: Duration,
}

impl ThreadAdvice {
    pub fn new(setting: DecodeThreads) -> Self {
        Self {
            load: DecodeLoad::new(Instant::now()),
            setting,
            cpu_before: cpu_time::of_this_thread(),
            helpers_cpu: Duration::ZERO,
        }
    }

    /// What the camera asks for from here on.
    pub fn set(&mut self, setting: DecodeThreads) {
        self.setting = setting;
    }

    /// A record came, behind which so many wait.
    pub fn record_came(&mut self, behind: u64) {
        self.load.record_came(behind);
    }

    /// The camera's thread had something to do for so long.
    pub fn worked(&mut self, took: Duration) {
        self.load.worked(took);
    }

    /// The camera's thread was in the decoder for so long, and the decoder's own threads used so
    /// much of the processor meanwhile.
    pub fn decoded(&mut self, took: Duration, helpers: Duration) {
        self.load.decoded(took);
        self.helpers_cpu += helpers;
    }

    /// A frame came out.
    pub fn frame_came(&mut self) {
        self.load.frame_came();
    }

    /// Judges what the camera did lately, from time to time; `threads` decode.
    pub fn watch(&mut self, threads: usize, claim: &CoreClaim) {
        let now = Instant::now();
        let Some(passed) = self.load.window(now) else { return };
        let cpu = cpu_time::of_this_thread();
        let own = cpu.saturating_sub(std::mem::replace(&mut self.cpu_before, cpu));
        let all = Duration::from_nanos(own) + std::mem::take(&mut self.helpers_cpu);
        let used = all.as_secs_f64() / passed.as_secs_f64();
        claim.tell_load(self.load.end_window(now, passed, threads, used));
    }

    /// Whether the number is the load's to choose.
    pub fn is_automatic(&self) -> bool {
        self.setting == DecodeThreads::Auto
    }

    /// How many threads should decode, where `now` do.
    pub fn wanted(&self, now: usize, claim: &CoreClaim) -> usize {
        let room = claim.room_for_threads().min(MAX_DECODE_THREADS.into());
        self.load.wanted(now, room)
    }

    /// Another number of threads decodes from here on.
    pub fn begin_anew(&mut self) {
        self.load.begin_anew(Instant::now());
    }
}
