//! What the machine adds to what is measured on it.

use std::fs;
use std::iter::Sum;

use procfs::{CurrentSI, KernelStats};
use serde::Serialize;

/// Whether the kernel shares the cores between sessions before it shares them between threads.
///
/// Then some versions of it have its own threads wait behind a busy session for hundreds of
/// milliseconds, and whoever waits for those: see `docs/src/operate.md`.
#[must_use]
pub fn groups_sessions() -> bool {
    let setting = fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled");
    setting.is_ok_and(|value| value.trim() == "1")
}

/// What the cores were used for in some time, in the kernel's ticks.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Cores {
    all: u64,
    /// Wanted here and not given: `steal` in proc(5).
    taken: u64,
}

impl Cores {
    /// Since the machine started.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn now() -> Self {
        let times = KernelStats::current().expect("/proc/stat").total;
        let taken = times.steal.unwrap_or(0);
        let optional = [times.iowait, times.irq, times.softirq];
        let used = times.user + times.nice + times.system + times.idle;
        Self { all: used + optional.into_iter().flatten().sum::<u64>() + taken, taken }
    }

    #[cfg(test)]
    pub(crate) fn of(all: u64, taken: u64) -> Self {
        Self { all, taken }
    }

    /// Between `earlier` and this.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { all: self.all - earlier.all, taken: self.taken - earlier.taken }
    }

    /// The part of them that the host took.
    #[must_use]
    pub fn share_taken(self) -> f64 {
        self.taken as f64 / self.all.max(1) as f64
    }
}

impl Sum for Cores {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            all: sum.all + one.all,
            taken: sum.taken + one.taken,
        })
    }
}
