//! What a tenant may use per second: paid after the fact, so that nobody has to know beforehand
//! what a frame will cost.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::sched::{nanos, nanos_of};

/// What may be used at once after a pause, as time: quotas hold on average over a second.
const BURST: Duration = Duration::from_secs(1);

/// So many units per second. Without a lock: it is looked at with each record.
#[derive(Debug)]
pub struct TokenBucket {
    nanos_per_unit: Option<f64>,
    /// The time in nanoseconds by which what was used is paid for.
    paid_at: AtomicU64,
}

impl TokenBucket {
    /// `None`: as much as one likes.
    #[must_use]
    pub fn new(per_second: Option<f64>) -> Self {
        Self { nanos_per_unit: per_second.map(|units| 1e9 / units), paid_at: AtomicU64::new(0) }
    }

    /// Whether something may be used now.
    #[must_use]
    pub fn has_room(&self, now: Instant) -> bool {
        self.nanos_per_unit.is_none() || self.paid_at.load(Relaxed) <= nanos(now) + nanos_of(BURST)
    }

    /// Something was used.
    pub fn charge(&self, now: Instant, units: f64) {
        let Some(nanos_per_unit) = self.nanos_per_unit else { return };
        let (now, cost) = (nanos(now), (units * nanos_per_unit) as u64);
        let _ = self
            .paid_at
            .fetch_update(Relaxed, Relaxed, |paid_at| Some(paid_at.max(now).saturating_add(cost)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_average_no_more_is_used_than_the_budget_allows() {
        let budget = TokenBucket::new(Some(1000.0));
        let start = Instant::now();
        let mut used = 0;
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            if budget.has_room(now) {
                budget.charge(now, 5.0);
                used += 5;
            }
        }
        // Ten seconds, and one at once.
        assert!((10_990..=11_010).contains(&used), "{used}");
    }

    #[test]
    fn what_costs_more_than_a_second_is_paid_off_before_the_next() {
        let budget = TokenBucket::new(Some(1.0));
        let start = Instant::now();
        assert!(budget.has_room(start));
        budget.charge(start, 5.0);
        assert!(!budget.has_room(start + Duration::from_millis(3900)));
        assert!(budget.has_room(start + Duration::from_millis(4100)));
    }

    #[test]
    fn without_a_number_there_is_always_room() {
        let budget = TokenBucket::new(None);
        budget.charge(Instant::now(), 1e18);
        assert!(budget.has_room(Instant::now()));
    }
}
