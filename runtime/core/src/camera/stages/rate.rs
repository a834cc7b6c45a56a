//! Which frames a camera's `rate` lets through, by the times at which they were recorded. It knows
//! no clock of its own.

use crate::config::Rate;

/// Lets through at most so many frames per second, evenly spaced.
pub(crate) struct RateLimiter {
    interval_us: f64,
    next_us: Option<f64>,
}

impl RateLimiter {
    /// The limiter of a camera's rate. `None`: every frame that is decoded is analysed.
    pub fn of(rate: Rate) -> Option<Self> {
        match rate {
            Rate::PerSecond(rate) => Some(Self::new(rate)),
            Rate::Keyframes | Rate::All => None,
        }
    }

    fn new(per_second: f64) -> Self {
        Self { interval_us: 1e6 / per_second, next_us: None }
    }

    /// From one frame to the next.
    pub fn interval_us(&self) -> f64 {
        self.interval_us
    }

    /// Lets a frame of this time be analysed, or not; if so, it counts.
    pub fn admit(&mut self, time_us: i64) -> bool {
        if self.is_early(time_us) {
            return false;
        }
        let time = time_us as f64;
        let in_time =
            |next: &f64| !self.jumped_back(time, *next) && time - next <= self.interval_us;
        let base = self.next_us.filter(in_time).unwrap_or(time);
        self.next_us = Some(base + self.interval_us);
        true
    }

    /// Whether a frame of this time is left out; it is then, too, if others come before it.
    pub fn is_early(&self, time_us: i64) -> bool {
        let time = time_us as f64;
        // Record times are whole milliseconds: a frame that is early by less is on time.
        self.next_us.is_some_and(|next| time + 1000.0 < next && !self.jumped_back(time, next))
    }

    /// Clocks that jump back, as when a file begins again, must not stop analysis.
    fn jumped_back(&self, time: f64, next: f64) -> bool {
        next - time > 2.0 * self.interval_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analysed(per_second: f64, times_ms: impl Iterator<Item = i64>) -> usize {
        let mut limiter = RateLimiter::new(per_second);
        times_ms.filter(|time| limiter.admit(time * 1000)).count()
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
