//! Counters of one camera: written by its thread without locks, read by anyone.
//!
//! They balance at every moment a camera is at rest:
//! received = analysed + passthrough + skipped{reason} + failed{reason} + in flight.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use crate::plugin::sandbox::Meter;
use crate::record::{FailReason, SkipReason, Status};

/// The live counters.
#[derive(Default)]
pub struct CameraStats {
    received: AtomicU64,
    analysed: AtomicU64,
    passthrough: AtomicU64,
    skipped: [AtomicU64; SkipReason::ALL.len()],
    failed: [AtomicU64; FailReason::ALL.len()],
    lag: AtomicI64,
    decode_us: AtomicU64,
    plugin_us: AtomicU64,
    plugin_restarts: AtomicU64,
    decode_threads: AtomicUsize,
    plugins: Meters,
    /// Why nothing is analysed though records come. Locked when that changes, and when somebody
    /// asks.
    trouble: Mutex<Option<(Instant, String)>>,
    /// What the counters were lately, the oldest first. Locked when somebody looks.
    samples: Mutex<VecDeque<(Instant, CameraCounts)>>,
}

/// How long counts are recent.
const RECENT: Duration = Duration::from_secs(60);

/// What the plugins of a camera use, whichever they are at the moment. Locked when they change, and
/// when somebody asks.
pub type Meters = Arc<Mutex<Vec<Arc<Meter>>>>;

/// The counters at one moment, for logs, tables and JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CameraCounts {
    /// Records taken from the input topic.
    pub received: u64,
    /// Records whose frame every plugin saw.
    pub analysed: u64,
    /// Records of a camera without plugins.
    pub passthrough: u64,
    /// Records skipped, by reason; reasons that never occurred are absent.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Records failed, by reason; reasons that never occurred are absent.
    pub failed: BTreeMap<&'static str, u64>,
    /// Records between the last one received and the end of the topic.
    pub lag: i64,
    /// Microseconds spent in libavcodec.
    pub decode_us: u64,
    /// Microseconds spent in plugins.
    pub plugin_us: u64,
    /// How often a plugin's instance was replaced after a trap.
    pub plugin_restarts: u64,
}

impl CameraStats {
    /// The counters of a camera whose plugins use this.
    #[must_use]
    pub fn new(plugins: Meters) -> Self {
        Self { plugins, ..Self::default() }
    }

    /// What its plugins use.
    #[must_use]
    pub fn plugins(&self) -> Vec<Arc<Meter>> {
        self.plugins.lock().clone()
    }

    /// A record came in, `lag` records before the end of its topic.
    pub fn record_received(&self, lag: i64) {
        self.received.fetch_add(1, Relaxed);
        self.lag.store(lag, Relaxed);
    }

    /// A record's fate is settled.
    pub fn record_settled(&self, status: Status) {
        let counter = match status {
            Status::Analysed => Some(&self.analysed),
            Status::Passthrough => Some(&self.passthrough),
            Status::Skipped(reason) => self.skipped.get(reason as usize),
            Status::Failed(reason) => self.failed.get(reason as usize),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Time was spent in libavcodec, and in plugins.
    pub fn record_work(&self, decode_us: u64, plugin_us: u64) {
        self.decode_us.fetch_add(decode_us, Relaxed);
        self.plugin_us.fetch_add(plugin_us, Relaxed);
    }

    /// So many threads decode from now on.
    pub fn record_decode_threads(&self, threads: usize) {
        self.decode_threads.store(threads, Relaxed);
    }

    /// How many threads decode; 0: there was nothing to decode yet.
    #[must_use]
    pub fn decode_threads(&self) -> usize {
        self.decode_threads.load(Relaxed)
    }

    /// Why nothing is analysed, from now on.
    pub fn record_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble.map(|trouble| (Instant::now(), trouble));
    }

    /// Why nothing is analysed though records come, and since when. `None`: as far as is known, all
    /// is well.
    #[must_use]
    pub fn trouble(&self) -> Option<(Instant, String)> {
        self.trouble.lock().clone()
    }

    /// Remembers the counters as they are now; to be called every few seconds.
    pub fn sample(&self, now: Instant) {
        let mut samples = self.samples.lock();
        samples.push_back((now, self.counts()));
        // The oldest is one that is older than it need be, so that the rest is a whole minute.
        while samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RECENT) {
            samples.pop_front();
        }
    }

    /// What was counted in the last minute or so, and in how much time. `None`: the camera is new.
    #[must_use]
    pub fn recent(&self, now: Instant) -> Option<(Duration, CameraCounts)> {
        let samples = self.samples.lock();
        let (at, before) = samples.front()?;
        Some((now.duration_since(*at), self.counts().since(before)))
    }

    /// A plugin's instance was replaced.
    pub fn record_plugin_restart(&self) {
        self.plugin_restarts.fetch_add(1, Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> CameraCounts {
        let nonzero = |word, counter: &AtomicU64| {
            let count = counter.load(Relaxed);
            (count > 0).then_some((word, count))
        };
        let skipped = SkipReason::ALL.iter().zip(&self.skipped);
        let failed = FailReason::ALL.iter().zip(&self.failed);
        CameraCounts {
            received: self.received.load(Relaxed),
            analysed: self.analysed.load(Relaxed),
            passthrough: self.passthrough.load(Relaxed),
            skipped: skipped.filter_map(|(reason, n)| nonzero(reason.word(), n)).collect(),
            failed: failed.filter_map(|(reason, n)| nonzero(reason.word(), n)).collect(),
            lag: self.lag.load(Relaxed),
            decode_us: self.decode_us.load(Relaxed),
            plugin_us: self.plugin_us.load(Relaxed),
            plugin_restarts: self.plugin_restarts.load(Relaxed),
        }
    }
}

impl CameraCounts {
    /// What was counted since they were `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        type Reasons = BTreeMap<&'static str, u64>;
        let reasons = |now: &Reasons, before: &Reasons| -> Reasons {
            let since = |(&reason, &count): (&&'static str, &u64)| {
                let more = count.saturating_sub(before.get(reason).copied().unwrap_or_default());
                (more > 0).then_some((reason, more))
            };
            now.iter().filter_map(since).collect()
        };
        Self {
            received: self.received.saturating_sub(before.received),
            analysed: self.analysed.saturating_sub(before.analysed),
            passthrough: self.passthrough.saturating_sub(before.passthrough),
            skipped: reasons(&self.skipped, &before.skipped),
            failed: reasons(&self.failed, &before.failed),
            lag: self.lag,
            decode_us: self.decode_us.saturating_sub(before.decode_us),
            plugin_us: self.plugin_us.saturating_sub(before.plugin_us),
            plugin_restarts: self.plugin_restarts.saturating_sub(before.plugin_restarts),
        }
    }

    /// Records whose fate is settled.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let skipped: u64 = self.skipped.values().sum();
        let failed: u64 = self.failed.values().sum();
        self.analysed + self.passthrough + skipped + failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_a_minute_ago_is_not_recent() {
        let (stats, start) = (CameraStats::default(), Instant::now());
        assert!(stats.recent(start).is_none());
        let at = |seconds| start + Duration::from_secs(seconds);
        for seconds in (0..=120).step_by(10) {
            stats.sample(at(seconds));
            let status = if seconds < 30 { FailReason::Deadline } else { FailReason::Memory };
            stats.record_settled(Status::Failed(status));
        }
        let (time, recent) = stats.recent(at(125)).expect("recent");
        assert_eq!(time, Duration::from_secs(65));
        assert_eq!(recent.failed, [("memory", 7)].into());
        assert_eq!(stats.counts().failed, [("deadline", 3), ("memory", 10)].into());
    }

    #[test]
    fn every_status_has_one_counter_and_the_sum_balances() {
        let stats = CameraStats::default();
        let skipped = SkipReason::ALL.map(Status::Skipped);
        let failed = FailReason::ALL.map(Status::Failed);
        let all = [Status::Analysed, Status::Passthrough].into_iter().chain(skipped).chain(failed);
        let mut records = 0;
        for status in all {
            stats.record_received(0);
            stats.record_settled(status);
            records += 1;
            assert_eq!(stats.counts().settled(), records, "{status:?} is not counted once");
            if let Some(reason) = status.reason() {
                let counts = stats.counts();
                let count = counts.skipped.get(reason).or(counts.failed.get(reason));
                assert_eq!(count, Some(&1), "{reason}");
            }
        }
        assert_eq!(stats.counts().received, records);
    }
}
