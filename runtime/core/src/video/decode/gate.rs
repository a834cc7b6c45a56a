//! The key-frame state machine: what may enter the decoder.
//!
//! A decoder that starts anywhere but at a key frame makes up frames. After the start, a gap,
//! a decode error or a skip, the gate is shut until the next key frame, and every record it
//! turns away gets the reason for which it was shut.

use std::time::Duration;

use crate::record::SkipReason;
use crate::video::packet::Content;

/// Whether an access unit may enter the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Decode,
    /// It may, and frames are missing before it: the decoder starts afresh.
    DecodeAfresh,
    /// It may not, for this reason.
    Skip(SkipReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting(SkipReason),
    Running,
}

/// How late an access unit comes to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lateness {
    /// How many records lie between it and the end of its topic.
    pub behind: u64,
    /// How long ago its record was made, as far as that is known.
    pub age: Option<Duration>,
}

/// How late may still be decoded. What is absent is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LagLimits {
    /// So many records may lie behind it.
    pub behind: Option<u64>,
    /// So old may its record be.
    pub age: Option<Duration>,
}

impl LagLimits {
    fn are_exceeded(self, late: Lateness) -> bool {
        self.behind.is_some_and(|most| late.behind > most)
            || self.age.zip(late.age).is_some_and(|(most, age)| age > most)
    }
}

/// Decides what enters the decoder of one camera.
#[derive(Debug)]
pub struct Gate {
    state: State,
    limits: LagLimits,
}

impl Gate {
    /// A gate that waits for its first key frame. `limits`: only in `live` mode are there any.
    #[must_use]
    pub fn new(limits: LagLimits) -> Self {
        Self { state: State::Waiting(SkipReason::NoKeyframe), limits }
    }

    /// As in [`Gate::new`], from now on.
    pub fn set_lag_limits(&mut self, limits: LagLimits) {
        self.limits = limits;
    }

    /// Judges an access unit that comes so late.
    pub fn judge(&mut self, content: Content, late: Lateness) -> Passage {
        if content == Content::NoPicture {
            // Parameter sets must reach the decoder before the key frame that needs them.
            return Passage::Decode;
        }
        if self.limits.are_exceeded(late) {
            self.state = State::Waiting(SkipReason::Lag);
            return Passage::Skip(SkipReason::Lag);
        }
        match (self.state, content) {
            (State::Running, _) => Passage::Decode,
            (State::Waiting(_), Content::KeyPicture | Content::Unknown) => {
                self.state = State::Running;
                Passage::DecodeAfresh
            }
            (State::Waiting(reason), _) => Passage::Skip(reason),
        }
    }

    /// Frames after this point can't be trusted until the next key frame.
    pub fn shut(&mut self) {
        if self.state == State::Running {
            self.state = State::Waiting(SkipReason::NoKeyframe);
        }
    }

    /// Whether decoding is under way.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Content = Content::KeyPicture;
    const DELTA: Content = Content::Picture;
    const IN_TIME: Lateness = Lateness { behind: 0, age: None };

    fn behind(behind: u64) -> Lateness {
        Lateness { behind, age: None }
    }

    fn old(millis: u64) -> Lateness {
        Lateness { behind: 0, age: Some(Duration::from_millis(millis)) }
    }

    #[test]
    fn nothing_is_decoded_before_the_first_key_frame() {
        let mut gate = Gate::new(LagLimits::default());
        assert_eq!(gate.judge(DELTA, IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(KEY, IN_TIME), Passage::DecodeAfresh);
        assert_eq!(gate.judge(DELTA, behind(1_000_000)), Passage::Decode);
    }

    #[test]
    fn a_live_camera_that_lags_goes_on_at_a_key_frame_near_the_end() {
        let mut gate = Gate::new(LagLimits { behind: Some(20), age: None });
        assert_eq!(gate.judge(KEY, IN_TIME), Passage::DecodeAfresh);
        assert_eq!(gate.judge(DELTA, behind(21)), Passage::Skip(SkipReason::Lag));
        assert_eq!(
            gate.judge(KEY, behind(21)),
            Passage::Skip(SkipReason::Lag),
            "not the newest one"
        );
        assert_eq!(gate.judge(DELTA, behind(5)), Passage::Skip(SkipReason::Lag));
        assert_eq!(gate.judge(KEY, behind(5)), Passage::DecodeAfresh);
        assert_eq!(gate.judge(DELTA, behind(5)), Passage::Decode);
    }

    #[test]
    fn a_live_camera_whose_records_are_too_old_goes_on_at_a_key_frame_that_is_young_enough() {
        let age = Some(Duration::from_millis(500));
        let mut gate = Gate::new(LagLimits { behind: Some(20), age });
        assert_eq!(gate.judge(KEY, old(500)), Passage::DecodeAfresh);
        assert_eq!(gate.judge(DELTA, old(501)), Passage::Skip(SkipReason::Lag));
        assert_eq!(gate.judge(KEY, old(501)), Passage::Skip(SkipReason::Lag), "still too old");
        assert_eq!(gate.judge(DELTA, old(3)), Passage::Skip(SkipReason::Lag));
        assert_eq!(gate.judge(KEY, old(3)), Passage::DecodeAfresh);
        assert_eq!(gate.judge(DELTA, behind(21)), Passage::Skip(SkipReason::Lag), "nor too far");
        assert_eq!(gate.judge(KEY, behind(20)), Passage::DecodeAfresh, "of no known age");
        gate.set_lag_limits(LagLimits::default());
        assert_eq!(gate.judge(DELTA, old(1_000_000)), Passage::Decode);
    }

    #[test]
    fn parameter_sets_pass_a_shut_gate() {
        let mut gate = Gate::new(LagLimits::default());
        assert_eq!(gate.judge(Content::NoPicture, IN_TIME), Passage::Decode);
        assert_eq!(gate.judge(DELTA, IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
    }

    #[test]
    fn a_shut_gate_opens_at_the_next_key_frame() {
        let mut gate = Gate::new(LagLimits::default());
        gate.judge(KEY, IN_TIME);
        gate.shut();
        assert_eq!(gate.judge(DELTA, IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(KEY, IN_TIME), Passage::DecodeAfresh);
    }
}
