//! When a plugin that keeps failing is left out, and when it is tried again.
//!
//! A failure costs its camera up to two deadlines: the call, and the instance that takes over. The
//! breaker bounds how much of a camera's time that can be. After too many failures it *opens*, and
//! records pass as `quarantined`. When the back-off is over a single frame *probes* the plugin: if
//! that fails too the back-off doubles, else the breaker closes. What fails again soon after goes
//! on where the back-off was.
//!
//! What fails on many cameras fails on all of them at once, and must not come back at once: each
//! stays open for up to a fifth less than its back-off, how much less depends on the camera.
//! Nothing here looks at a clock or draws lots: times and the seed are passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::policy::{BreakerSettings, BreakerState};

/// After so much running without being opened, the back-off begins anew at its shortest.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// The part of a back-off by which it may be shorter.
const JITTER: f64 = 0.2;

/// More are not kept in mind, whatever the settings say.
const MOST_FAILURES: u32 = 1000;

/// The circuit breaker of one plugin on one camera.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// For how long it was open last, and when it was closed again.
    last: Option<(Duration, Instant)>,
    /// What its jitter is made of.
    seed: u64,
    /// How often it was opened.
    opened: u64,
}

#[derive(Debug)]
enum State {
    Closed { failures: VecDeque<Instant> },
    Open { until: Instant, backoff: Duration },
    Probing { backoff: Duration },
}

impl Breaker {
    /// One that is closed. Breakers with different seeds stay open for different times.
    pub fn new(settings: BreakerSettings, seed: u64) -> Self {
        let state = State::Closed { failures: VecDeque::new() };
        Self { settings, state, last: None, seed, opened: 0 }
    }

    /// Takes other settings from now on.
    pub fn set(&mut self, settings: BreakerSettings) {
        self.settings = settings;
    }

    /// Whether the plugin may be called now.
    pub fn admits(&mut self, now: Instant) -> bool {
        match self.state {
            State::Open { until, .. } if now < until => false,
            State::Open { backoff, .. } => {
                self.state = State::Probing { backoff };
                true
            }
            State::Closed { .. } | State::Probing { .. } => true,
        }
    }

    /// A call gave a result.
    pub fn succeeded(&mut self, now: Instant) {
        if let State::Probing { backoff } = self.state {
            self.last = Some((backoff, now));
            self.state = State::Closed { failures: VecDeque::new() };
        }
    }

    /// A call failed; `fatal`: it will fail again. Returns for how long the breaker opens, if it
    /// does.
    pub fn failed(&mut self, now: Instant, fatal: bool) -> Option<Duration> {
        let longest = Duration::from_millis(self.settings.max_backoff_ms.into());
        let shortest = Duration::from_millis(self.settings.backoff_ms.into()).min(longest);
        let backoff = match &mut self.state {
            State::Probing { backoff } | State::Open { backoff, .. } => (*backoff * 2).min(longest),
            State::Closed { failures } => {
                let within = Duration::from_secs(self.settings.within_s.into());
                failures.push_back(now);
                while failures.front().is_some_and(|then| now.duration_since(*then) > within) {
                    failures.pop_front();
                }
                let most = self.settings.failures.min(MOST_FAILURES) as usize;
                if failures.len() < most && !fatal {
                    return None;
                }
                match self.last {
                    Some((last, closed)) if now.duration_since(closed) < GOOD_RUN => {
                        (last * 2).min(longest)
                    }
                    _ => shortest,
                }
            }
        };
        self.opened += 1;
        let open_for = backoff.mul_f64(1.0 - JITTER * fraction(self.seed, self.opened));
        self.state = State::Open { until: now + open_for, backoff };
        Some(open_for)
    }

    pub fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing { .. } => BreakerState::Probing,
        }
    }
}

/// A number from 0 to 1, as good as drawn by lot, of a seed and of how often one was asked for:
/// splitmix64 (Steele, Lea, Flood, 2014).
fn fraction(seed: u64, count: u64) -> f64 {
    let mut bits = seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn with_seed(seed: u64) -> Breaker {
        Breaker::new(BreakerSettings::default(), seed)
    }

    /// Whether `open_for` is this back-off, up to a fifth less.
    fn is_backoff(open_for: Duration, backoff: Duration) -> bool {
        (backoff.mul_f64(1.0 - JITTER)..=backoff).contains(&open_for)
    }

    #[test]
    fn breakers_that_open_together_do_not_probe_together() {
        let now = Instant::now();
        let open_for = |seed| with_seed(seed).failed(now, true).unwrap();
        let mut times: Vec<Duration> = (0..1000).map(open_for).collect();
        assert!(times.iter().all(|time| is_backoff(*time, millis(1000))), "{times:?}");
        times.sort_unstable();
        // Spread evenly there would be five in each millisecond.
        let most = times.chunk_by(|one, next| one.as_millis() == next.as_millis()).map(<[_]>::len);
        assert!(most.max() < Some(25), "{times:?}");
        assert_eq!(open_for(7), open_for(7), "the same camera's is the same");
    }

    #[test]
    fn it_opens_after_repeated_failures_and_not_for_rare_ones() {
        let mut breaker = with_seed(1);
        let start = Instant::now();
        for failure in 0..20 {
            let now = start + Duration::from_secs(3 * failure);
            assert_eq!(breaker.failed(now, false), None, "every third second is rare");
        }
        let mut breaker = with_seed(1);
        for failure in 0..4 {
            assert_eq!(breaker.failed(start + millis(failure), false), None);
        }
        let open_for = breaker.failed(start + millis(4), false).unwrap();
        assert!(is_backoff(open_for, millis(1000)), "{open_for:?}");
        assert!(!breaker.admits(start + millis(3) + open_for));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_fatal_failure_opens_it_at_once() {
        let mut breaker = with_seed(1);
        assert!(breaker.failed(Instant::now(), true).is_some());
    }

    #[test]
    fn probes_that_fail_double_the_back_off_up_to_its_longest() {
        let mut breaker = with_seed(1);
        let mut now = Instant::now();
        let mut open_for = breaker.failed(now, true).unwrap();
        for expected in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert!(is_backoff(open_for, Duration::from_secs(expected)), "{open_for:?}");
            assert!(!breaker.admits(now + open_for - millis(1)));
            now += open_for;
            assert!(breaker.admits(now), "one frame probes");
            assert_eq!(breaker.state(), BreakerState::Probing);
            open_for = breaker.failed(now, false).unwrap();
        }
    }

    #[test]
    fn a_probe_that_succeeds_closes_it_and_a_good_run_forgets_the_back_off() {
        let mut breaker = with_seed(1);
        let mut now = Instant::now();
        assert!(is_backoff(breaker.failed(now, true).unwrap(), millis(1000)));
        for (good_run, expected) in [(1000, 2000), (9000, 4000), (10_000, 1000), (20_000, 1000)] {
            now += Duration::from_secs(60);
            assert!(breaker.admits(now));
            breaker.succeeded(now);
            assert_eq!(breaker.state(), BreakerState::Closed);
            now += millis(good_run);
            let open_for = breaker.failed(now, true).unwrap();
            assert!(is_backoff(open_for, millis(expected)), "after {good_run} ms: {open_for:?}");
        }
    }
}
