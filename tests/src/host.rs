//! What a virtual machine lacks of its cores because its host gives them to others.

use std::iter::Sum;

use procfs::{CurrentSI, KernelStats};
use serde::Serialize;

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
