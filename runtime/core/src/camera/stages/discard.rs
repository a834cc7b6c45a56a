//! What need not be decoded, because the rate leaves out its frame anyway.

use super::rate::RateLimiter;
use crate::config::Rate;
use crate::video::packet::{Content, Inspection};

/// Key frames come a little irregularly: by this share of the interval they may be too far apart.
const SLACK: f64 = 0.1;
/// So many key frames in a row must be close enough: in a burst behind a stall, some are.
const ENOUGH: u32 = 4;

/// Tells which access units of a camera need no decoding.
pub(crate) struct Discard {
    /// When the latest key frame was recorded.
    key_at_us: Option<i64>,
    /// How many key frames in a row came no later than the next frame was wanted.
    frequent: u32,
    only_keys: bool,
}

impl Discard {
    pub fn new(rate: Rate) -> Self {
        Self { key_at_us: None, frequent: 0, only_keys: rate == Rate::Keyframes }
    }

    /// Whether nothing but key frames is decoded, each on its own.
    pub fn only_keys(&self) -> bool {
        self.only_keys
    }

    /// A key frame comes: those up to the next one are needed, unless key frames come as often as
    /// frames are wanted.
    pub fn key_frame(&mut self, time_us: i64, rate_limiter: Option<&RateLimiter>) {
        let before = self.key_at_us.replace(time_us);
        if let (Some(before), Some(rate_limiter)) = (before, rate_limiter) {
            let is_near = (time_us - before) as f64 <= rate_limiter.interval_us() * (1.0 + SLACK);
            self.frequent = if is_near { self.frequent.saturating_add(1) } else { 0 };
            self.only_keys = self.frequent >= ENOUGH;
        }
    }

    /// Whether the rate leaves out the frame, and nobody needs it for another one. `time_us`: when
    /// it was recorded, if it is to be analysed at all.
    pub fn leaves_out(
        &self,
        inspection: Inspection,
        time_us: Option<i64>,
        rate_limiter: Option<&RateLimiter>,
    ) -> bool {
        let too_early = || {
            rate_limiter
                .zip(time_us)
                .is_some_and(|(rate_limiter, time)| rate_limiter.is_early(time))
        };
        match inspection.content {
            Content::KeyPicture => self.only_keys && too_early(),
            Content::Picture | Content::RefreshPoint { .. } => {
                self.only_keys || (inspection.disposable && too_early())
            }
            // A second field goes where the first one went.
            Content::Continuation | Content::NoPicture | Content::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn of(content: Content) -> Inspection {
        Inspection::of(content)
    }

    /// Whether key frames alone are decoded, behind each of those that come at these times.
    fn behind_each(rate_limiter: &RateLimiter, times: &[i64]) -> Vec<bool> {
        let mut discard = Discard::new(Rate::All);
        let mut behind = |&time: &i64| {
            discard.key_frame(time, Some(rate_limiter));
            discard.only_keys()
        };
        times.iter().map(&mut behind).collect()
    }

    #[test]
    fn key_frames_are_enough_as_soon_as_they_are_sure_to_come_often_enough() {
        let rate_limiter = RateLimiter::of(Rate::PerSecond(0.5)).unwrap();
        let regular = [0, 2, 4, 6, 8, 10].map(|second| second * SECOND + second % 3 * 1000);
        assert_eq!(behind_each(&rate_limiter, &regular), [false, false, false, false, true, true]);
        // One that is late: what is due meanwhile comes from all frames again.
        let late = [0, 2, 4, 6, 8, 12, 14, 16, 18, 20].map(|second| second * SECOND);
        let behind = [false, false, false, false, true, false, false, false, false, true];
        assert_eq!(behind_each(&rate_limiter, &late), behind);
        // A burst behind a stall.
        let burst = [0, 5 * SECOND, 5 * SECOND + 40, 5 * SECOND + 80, 8 * SECOND, 11 * SECOND];
        assert_eq!(behind_each(&rate_limiter, &burst), [false; 6]);
    }

    #[test]
    fn what_others_need_is_decoded_and_so_is_what_may_be_due() {
        let mut rate_limiter = RateLimiter::of(Rate::PerSecond(1.0)).unwrap();
        assert!(rate_limiter.admit(0));
        let discard = Discard::new(Rate::PerSecond(1.0));
        let leaves_out =
            |inspection, time| discard.leaves_out(inspection, time, Some(&rate_limiter));
        let disposable = Inspection { disposable: true, ..of(Content::Picture) };
        assert!(leaves_out(disposable, Some(SECOND / 2)));
        assert!(!leaves_out(disposable, Some(SECOND)));
        assert!(!leaves_out(disposable, None), "what fills the decoder");
        assert!(!leaves_out(of(Content::Picture), Some(SECOND / 2)));
        assert!(!leaves_out(of(Content::KeyPicture), Some(SECOND / 2)));
    }

    #[test]
    fn a_rate_of_key_frames_needs_no_others_and_no_rate_needs_all() {
        let keys = Discard::new(Rate::Keyframes);
        assert!(keys.leaves_out(of(Content::Picture), Some(0), None));
        assert!(keys.leaves_out(of(Content::Picture), None, None));
        assert!(!keys.leaves_out(of(Content::KeyPicture), Some(0), None));
        let all = Discard::new(Rate::All);
        let disposable = Inspection { disposable: true, ..of(Content::Picture) };
        assert!(!all.leaves_out(disposable, Some(0), None));
    }
}
