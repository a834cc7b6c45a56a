//! When a plugin that keeps failing is left out, and when it is tried again.
//!
//! A failure costs its camera up to two deadlines: the call, and the instance that takes over. The
//! breaker bounds how much of a camera's time that can be. After too many failures it *opens*, and
//! records pass as `quarantined`. When the back-off is over a single frame *probes* the plugin: if
//! that fails too the back-off doubles, else the breaker closes. What fails again soon after goes on
//! where the back-off was.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::policy::{BreakerSettings, BreakerState};

/// After so much running without being opened, the back-off begins anew at its shortest.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// More are not kept in mind, whatever the settings say.
const MOST_FAILURES: u32 = 1000;

/// The circuit breaker of one plugin on one camera.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// For how long it was open last, and when it was closed again.
    last: Option<(Duration, Instant)>,
}

#[derive(Debug)]
enum State {
    Closed { failures: VecDeque<Instant> },
    Open { until: Instant, backoff: Duration },
    Probing { backoff: Duration },
}

impl Breaker {
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed { failures: VecDeque::new() }, last: None }
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
        self.state = State::Open { until: now + backoff, backoff };
        Some(backoff)
    }

    pub fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing { .. } => BreakerState::Probing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn it_opens_after_repeated_failures_and_not_for_rare_ones() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        let start = Instant::now();
        for failure in 0..20 {
            let now = start + Duration::from_secs(3 * failure);
            assert_eq!(breaker.failed(now, false), None, "every third second is rare");
        }
        let mut breaker = Breaker::new(BreakerSettings::default());
        for failure in 0..4 {
            assert_eq!(breaker.failed(start + millis(failure), false), None);
        }
        assert_eq!(breaker.failed(start + millis(4), false), Some(millis(1000)));
        assert!(!breaker.admits(start + millis(1003)));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_fatal_failure_opens_it_at_once() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        assert!(breaker.failed(Instant::now(), true).is_some());
    }

    #[test]
    fn probes_that_fail_double_the_back_off_up_to_its_longest() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        let mut now = Instant::now();
        let mut backoff = breaker.failed(now, true).unwrap();
        let mut all = vec![backoff.as_secs()];
        for _ in 0..8 {
            assert!(!breaker.admits(now + backoff - millis(1)));
            now += backoff;
            assert!(breaker.admits(now), "one frame probes");
            assert_eq!(breaker.state(), BreakerState::Probing);
            backoff = breaker.failed(now, false).unwrap();
            all.push(backoff.as_secs());
        }
        assert_eq!(all, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_probe_that_succeeds_closes_it_and_a_good_run_forgets_the_back_off() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        let mut now = Instant::now();
        assert_eq!(breaker.failed(now, true), Some(millis(1000)));
        for (good_run, expected) in [(1000, 2000), (9000, 4000), (10_000, 1000), (20_000, 1000)] {
            now += Duration::from_secs(60);
            assert!(breaker.admits(now));
            breaker.succeeded(now);
            assert_eq!(breaker.state(), BreakerState::Closed);
            now += millis(good_run);
            assert_eq!(breaker.failed(now, true), Some(millis(expected)), "after {good_run} ms");
        }
    }
}
