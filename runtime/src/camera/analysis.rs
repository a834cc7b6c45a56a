//! A camera's plugins, and which pictures they see.

use std::sync::Arc;
use std::time::Instant;

use crate::config::Rate;
use crate::outcome::{Outcome, ResultHeader, Status};
use crate::picture::Picture;
use crate::plugin::{CallFailure, Instance};

/// The chain of plugins that analyses a camera's pictures.
pub struct Analysis {
    plugins: Vec<Instance>,
    /// The plugins' identities, as in the header `comux-plugin`.
    identities: String,
    pace: Option<Pace>,
}

/// A plugin failed on a picture.
pub(super) struct Failure<'a> {
    pub plugin: &'a str,
    pub failure: CallFailure,
}

impl Analysis {
    /// A chain of plugins that run in this order, at most as often as `rate` says.
    #[must_use]
    pub fn new(plugins: Vec<Instance>, rate: Option<Rate>) -> Self {
        let identities: Vec<&str> = plugins.iter().map(Instance::identity).collect();
        let identities = identities.join(",");
        let pace = match rate {
            Some(Rate::PerSecond(rate)) => Some(Pace::new(rate)),
            Some(Rate::Keyframes) | None => None,
        };
        Self { plugins, identities, pace }
    }

    /// Whether there is nothing to run, so that nothing needs decoding.
    pub(super) fn is_empty(&self) -> bool {
        self.plugins.is_empty()
    }

    /// Whether the rate lets a picture of this time be analysed; if so, it counts.
    pub(super) fn is_due(&mut self, time_us: i64) -> bool {
        self.pace.as_mut().is_none_or(|pace| pace.is_due(time_us))
    }

    /// Runs every plugin on a picture, one failing or not. The first failure is the record's
    /// reason; results of the other plugins stay. Gives the microseconds that it took.
    pub(super) fn run(
        &mut self,
        picture: &Arc<Picture>,
        input_headers: Vec<ResultHeader>,
        mut report: impl FnMut(Failure<'_>),
    ) -> (Outcome, u64) {
        let begin = Instant::now();
        let mut status = Status::Analysed;
        let mut results: Vec<ResultHeader> = Vec::new();
        for plugin in &mut self.plugins {
            let seen = input_headers.iter().chain(&results).cloned().collect();
            match plugin.on_frame(picture, seen) {
                Ok(headers) => results.extend(headers),
                Err(failure) => {
                    if status == Status::Analysed {
                        status = Status::Failed(failure.reason);
                    }
                    report(Failure { plugin: plugin.identity(), failure });
                }
            }
        }
        let plugins = Some(self.identities.clone());
        let outcome = Outcome { status, plugins, headers: results, timing: None };
        let took = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        (outcome, took)
    }
}

/// Lets through at most so many pictures per second, evenly spaced.
struct Pace {
    interval_us: f64,
    next_us: Option<f64>,
}

impl Pace {
    fn new(per_second: f64) -> Self {
        Self { interval_us: 1e6 / per_second, next_us: None }
    }

    fn is_due(&mut self, time_us: i64) -> bool {
        let time = time_us as f64;
        let Some(next) = self.next_us else {
            self.next_us = Some(time + self.interval_us);
            return true;
        };
        // Clocks that jump back, as when a file begins again, must not stop analysis.
        let jumped_back = next - time > 2.0 * self.interval_us;
        // Record times are whole milliseconds: a picture that is early by less is on time.
        if time + 1000.0 < next && !jumped_back {
            return false;
        }
        let late = time - next > self.interval_us;
        let base = if late || jumped_back { time } else { next };
        self.next_us = Some(base + self.interval_us);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analysed(per_second: f64, times_ms: impl Iterator<Item = i64>) -> usize {
        let mut pace = Pace::new(per_second);
        times_ms.filter(|time| pace.is_due(time * 1000)).count()
    }

    #[test]
    fn a_rate_below_the_camera_s_is_kept_and_one_above_changes_nothing() {
        let ten_seconds_at_25 = || (0..250).map(|frame| frame * 40);
        assert_eq!(analysed(5.0, ten_seconds_at_25()), 50);
        assert_eq!(analysed(10.0, ten_seconds_at_25()), 100);
        assert_eq!(analysed(25.0, ten_seconds_at_25()), 250);
        assert_eq!(analysed(60.0, ten_seconds_at_25()), 250);
        let ten_seconds_at_30 = (0..300).map(|frame| frame * 1000 / 30);
        assert_eq!(analysed(30.0, ten_seconds_at_30), 300);
    }

    #[test]
    fn a_clock_that_jumps_neither_stops_analysis_nor_lets_a_burst_through() {
        let then_back = (0..25).map(|frame| 1_000_000 + frame * 40).chain((0..25).map(|f| f * 40));
        assert_eq!(analysed(5.0, then_back), 10);
        let then_ahead = (0..25).map(|f| f * 40).chain((0..25).map(|f| 1_000_000 + f * 40));
        assert_eq!(analysed(5.0, then_ahead), 10);
    }
}
