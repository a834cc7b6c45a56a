//! The key-frame state machine: what may enter the decoder.
//!
//! A decoder that starts anywhere but at a key frame makes up pictures. After the start, a gap,
//! a decode error or a skip, the gate is shut until the next key frame, and every record it
//! turns away gets the reason for which it was shut.

use crate::outcome::SkipReason;
use crate::packet::Content;

/// Whether an access unit may enter the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Decode,
    /// It may, and pictures are missing before it: the decoder starts afresh.
    DecodeAfresh,
    /// It may not, for this reason.
    Skip(SkipReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting(SkipReason),
    Running,
}

/// Decides what enters the decoder of one camera.
#[derive(Debug)]
pub struct Gate {
    state: State,
    /// In `live` mode: how many records behind the end analysis may be.
    max_offset_diff: Option<u64>,
}

impl Gate {
    /// A gate that waits for its first key frame. `max_offset_diff`: only in `live` mode.
    #[must_use]
    pub fn new(max_offset_diff: Option<u64>) -> Self {
        Self { state: State::Waiting(SkipReason::NoKeyframe), max_offset_diff }
    }

    /// As in [`Gate::new`], from now on.
    pub fn set_lag_limit(&mut self, max_offset_diff: Option<u64>) {
        self.max_offset_diff = max_offset_diff;
    }

    /// Judges an access unit that lies `behind` records before the end of its topic.
    pub fn judge(&mut self, content: Content, behind: u64) -> Passage {
        if content == Content::NoPicture {
            // Parameter sets must reach the decoder before the key frame that needs them.
            return Passage::Decode;
        }
        let lagging = self.max_offset_diff.is_some_and(|most| behind > most);
        if lagging {
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

    /// Pictures after this point can't be trusted until the next key frame.
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

    #[test]
    fn nothing_is_decoded_before_the_first_key_frame() {
        let mut gate = Gate::new(None);
        assert_eq!(gate.judge(DELTA, 0), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(KEY, 0), Passage::DecodeAfresh);
        assert_eq!(gate.judge(DELTA, 1_000_000), Passage::Decode);
    }

    #[test]
    fn a_live_camera_that_lags_goes_on_at_a_key_frame_near_the_end() {
        let mut gate = Gate::new(Some(20));
        assert_eq!(gate.judge(KEY, 0), Passage::DecodeAfresh);
        assert_eq!(gate.judge(DELTA, 21), Passage::Skip(SkipReason::Lag));
        assert_eq!(gate.judge(KEY, 21), Passage::Skip(SkipReason::Lag), "not the newest one");
        assert_eq!(gate.judge(DELTA, 5), Passage::Skip(SkipReason::Lag));
        assert_eq!(gate.judge(KEY, 5), Passage::DecodeAfresh);
        assert_eq!(gate.judge(DELTA, 5), Passage::Decode);
    }

    #[test]
    fn parameter_sets_pass_a_shut_gate() {
        let mut gate = Gate::new(None);
        assert_eq!(gate.judge(Content::NoPicture, 0), Passage::Decode);
        assert_eq!(gate.judge(DELTA, 0), Passage::Skip(SkipReason::NoKeyframe));
    }

    #[test]
    fn a_shut_gate_opens_at_the_next_key_frame() {
        let mut gate = Gate::new(None);
        gate.judge(KEY, 0);
        gate.shut();
        assert_eq!(gate.judge(DELTA, 0), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(KEY, 0), Passage::DecodeAfresh);
    }
}
