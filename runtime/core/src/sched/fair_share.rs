//! Who has used more of the cores than its part of them, among those who want any.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::clock::nanos_of;

/// Who wanted a core within this time is one among whom the cores are shared.
const ROUND: Duration = Duration::from_secs(1);
/// How much may be used ahead: a group of pictures that comes at once is no excess.
const BURST: Duration = Duration::from_millis(50);

/// The tenants that want cores.
#[derive(Debug)]
pub(crate) struct ActiveTenants {
    cores: f64,
    round: Mutex<Round>,
    /// The bits of an `f64`: how much time goes by while a tenant of average weight uses its part
    /// of one nanosecond on all cores.
    per_nanosecond: AtomicU64,
}

/// The weights of those who came.
#[derive(Debug)]
struct Round {
    number: u64,
    now: f64,
    before: f64,
}

/// One tenant's part.
#[derive(Debug, Default)]
pub(crate) struct FairShare {
    /// The round in which it came last; the first is 1.
    round: AtomicU64,
    /// The time by which what it used is its part.
    paid_at: AtomicU64,
}

impl ActiveTenants {
    pub fn new(cores: usize) -> Self {
        let cores = cores as f64;
        let round = Mutex::new(Round { number: 0, now: 0.0, before: 0.0 });
        Self { cores, round, per_nanosecond: AtomicU64::new((1.0 / cores).to_bits()) }
    }

    /// Somebody of this weight, relative to the average, wants a core at `now`, in nanoseconds.
    pub fn arrive(&self, share: &FairShare, weight: f64, now: u64) {
        let number = now / nanos_of(ROUND) + 1;
        if share.round.swap(number, Relaxed) == number {
            return;
        }
        let mut round = self.round.lock();
        if round.number != number {
            round.before = if round.number + 1 == number { round.now } else { 0.0 };
            (round.number, round.now) = (number, 0.0);
        }
        round.now += weight;
        let per_nanosecond = round.now.max(round.before) / self.cores;
        self.per_nanosecond.store(per_nanosecond.to_bits(), Relaxed);
    }

    /// How many cores are the part of somebody of this weight.
    pub fn part(&self, weight: f64) -> f64 {
        (weight / f64::from_bits(self.per_nanosecond.load(Relaxed))).min(self.cores)
    }

    /// `share` used so many nanoseconds at its pace.
    pub fn charge(&self, share: &FairShare, at_pace: u64, now: u64) {
        let per_nanosecond = f64::from_bits(self.per_nanosecond.load(Relaxed));
        let cost = (at_pace as f64 * per_nanosecond) as u64;
        let paid = |paid_at: u64| Some(paid_at.max(now).saturating_add(cost));
        let _ = share.paid_at.fetch_update(Relaxed, Relaxed, paid);
    }
}

impl FairShare {
    /// Whether it has used more than its part.
    pub fn is_exceeded(&self, now: u64) -> bool {
        self.paid_at.load(Relaxed) > now + nanos_of(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    /// Tenants that use so many thousandths of a core for five seconds: who has exceeded its part
    /// by then.
    fn exceeding(cores: usize, tenants: &[(f64, u64)]) -> Vec<bool> {
        let active = ActiveTenants::new(cores);
        let shares: Vec<FairShare> = tenants.iter().map(|_| FairShare::default()).collect();
        let mut exceeding = vec![false; tenants.len()];
        for millisecond in 0..5000 {
            let now = millisecond * MILLISECOND;
            for ((share, &(weight, used)), exceeds) in
                shares.iter().zip(tenants).zip(&mut exceeding)
            {
                active.arrive(share, weight, now);
                let at_pace = (used * MILLISECOND / 1000) as f64 / weight;
                active.charge(share, at_pace as u64, now);
                *exceeds = share.is_exceeded(now);
            }
        }
        exceeding
    }

    #[test]
    fn whoever_is_alone_may_use_all_cores() {
        assert_eq!(exceeding(2, &[(1.0, 2000)]), [false]);
        assert_eq!(exceeding(8, &[(0.3, 7900)]), [false]);
    }

    #[test]
    fn whoever_uses_more_than_its_part_is_found_and_the_others_are_not() {
        let modest = (1.0, 200);
        assert_eq!(
            exceeding(2, &[modest, (1.0, 1000), modest, modest]),
            [false, true, false, false]
        );
        assert_eq!(exceeding(2, &[(1.0, 1000), (1.0, 1000)]), [false, false]);
        assert_eq!(exceeding(2, &[(0.5, 900), (1.5, 1100)]), [true, false], "by weight");
    }

    #[test]
    fn a_burst_is_no_excess_and_an_excess_is_forgotten() {
        let (active, share) = (ActiveTenants::new(1), FairShare::default());
        active.arrive(&share, 1.0, 0);
        active.charge(&share, 40 * MILLISECOND, 0);
        assert!(!share.is_exceeded(0));
        active.charge(&share, 40 * MILLISECOND, 0);
        assert!(share.is_exceeded(0));
        assert!(!share.is_exceeded(31 * MILLISECOND));
    }
}
