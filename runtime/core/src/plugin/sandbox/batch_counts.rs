//! How well batches are filled, and what they cost in waiting: written by those who call, read by
//! anyone.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

/// The calls of a plugin that several cameras share.
#[derive(Debug, Default)]
pub struct BatchCounts {
    calls: AtomicU64,
    frames: AtomicU64,
    full: AtomicU64,
    waited_us: AtomicU64,
    longest_wait_us: AtomicU64,
}

/// [`BatchCounts`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct BatchSummary {
    /// Calls, about one frame or several.
    pub calls: u64,
    /// Frames in all calls.
    pub frames: u64,
    /// Frames in a call on average.
    pub occupancy: f64,
    /// The share of calls with a frame of every camera that could be expected to have one.
    pub full: f64,
    /// Microseconds for which a frame waited for others, on average.
    pub mean_wait_us: u64,
    /// The longest of these waits.
    pub longest_wait_us: u64,
}

impl BatchCounts {
    /// A call was made about frames that had waited so long; `full`: nobody was left out.
    pub(crate) fn add(&self, waits: &[Duration], full: bool) {
        self.calls.fetch_add(1, Relaxed);
        self.frames.fetch_add(waits.len() as u64, Relaxed);
        self.full.fetch_add(u64::from(full), Relaxed);
        let micros = |wait: &Duration| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.waited_us.fetch_add(waits.iter().map(micros).sum(), Relaxed);
        let longest = waits.iter().map(micros).max().unwrap_or_default();
        self.longest_wait_us.fetch_max(longest, Relaxed);
    }

    /// The counts now.
    #[must_use]
    pub fn summary(&self) -> BatchSummary {
        let (calls, frames) = (self.calls.load(Relaxed), self.frames.load(Relaxed));
        let per = |count: u64, of: u64| if of == 0 { 0.0 } else { count as f64 / of as f64 };
        BatchSummary {
            calls,
            frames,
            occupancy: per(frames, calls),
            full: per(self.full.load(Relaxed), calls),
            mean_wait_us: self.waited_us.load(Relaxed).checked_div(frames).unwrap_or_default(),
            longest_wait_us: self.longest_wait_us.load(Relaxed),
        }
    }
}
