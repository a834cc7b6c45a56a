//! The key-frame state machine: what may enter the decoder.
//!
//! A decoder that starts anywhere but at a key frame makes up frames. After the start, a gap, a
//! decode error or a skip, the gate is shut until the next key frame, and every record it turns
//! away gets the reason for which it was shut. A stream that is refreshed gradually has places to
//! begin as well: what enters there comes out right only some frames later.

use std::time::Duration;

use crate::record::{FailReason, SkipReason};
use crate::video::packet::{Content, Inspection, Lack};

/// Whether an access unit may enter the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Decode,
    /// It may, and frames are missing before it: the decoder starts afresh.
    DecodeAfresh,
    /// It may, so that later frames come out right; its own can't.
    Fill,
    /// Likewise, and the decoder starts afresh.
    FillAfresh,
    /// It may not, for this reason: something that it needs is not there, more than one is in it,
    /// or it is too large. Frames before it are right, those behind it only if `spares_others`.
    Broken {
        /// What is wrong with it.
        reason: FailReason,
        /// No other frame needs this one.
        spares_others: bool,
    },
    /// It may not, for this reason.
    Skip(SkipReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting(SkipReason),
    /// Frames are right from this [`Inspection::position`] on.
    Refreshing {
        right_from: i64,
    },
    /// `skips_leading`: decoding began at the latest key frame, so frames that need what was before
    /// it can't be right.
    Running {
        skips_leading: bool,
    },
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
    max_pixels: u64,
}

impl Gate {
    /// A gate that waits for its first key frame. `limits`: only in `live` mode are there any.
    #[must_use]
    pub fn new(limits: LagLimits) -> Self {
        Self { state: State::Waiting(SkipReason::NoKeyframe), limits, max_pixels: u64::MAX }
    }

    /// The same, and no picture may have more pixels than these.
    #[must_use]
    pub fn at_most(self, max_pixels: u64) -> Self {
        Self { max_pixels, ..self }
    }

    /// As in [`Gate::new`], from now on.
    pub fn set_lag_limits(&mut self, limits: LagLimits) {
        self.limits = limits;
    }

    /// Judges an access unit that comes so late.
    pub fn judge(&mut self, inspection: Inspection, late: Lateness) -> Passage {
        let content = inspection.content;
        if inspection.pixels.is_some_and(|pixels| pixels > self.max_pixels) {
            self.shut();
            return Passage::Broken { reason: FailReason::TooLarge, spares_others: false };
        }
        if inspection.is_repeated {
            return Passage::Skip(SkipReason::Repeated);
        }
        if content == Content::NoPicture {
            // Parameter sets must reach the decoder before the key frame that needs them.
            return Passage::Decode;
        }
        if self.limits.are_exceeded(late) {
            self.state = State::Waiting(SkipReason::Lag);
            return Passage::Skip(SkipReason::Lag);
        }
        match (self.state, content) {
            (State::Waiting(_), Content::KeyPicture | Content::Unknown) => {
                self.state = State::Running { skips_leading: true };
                self.whole(inspection, Passage::DecodeAfresh)
            }
            (State::Waiting(_), Content::RefreshPoint { right_from }) => {
                self.state = State::Refreshing { right_from };
                Passage::FillAfresh
            }
            (State::Waiting(reason), _) => Passage::Skip(reason),
            (State::Refreshing { .. }, Content::KeyPicture) => {
                self.state = State::Running { skips_leading: true };
                self.whole(inspection, Passage::Decode)
            }
            // What a refresh began with is lost again; another one may begin here.
            (
                State::Refreshing { .. } | State::Running { .. },
                Content::RefreshPoint { right_from },
            ) if inspection.lacks == Some(Lack::Reference) => {
                self.state = State::Refreshing { right_from };
                Passage::FillAfresh
            }
            (State::Refreshing { .. }, _) if inspection.lacks.is_some() => {
                if !spares_others(inspection) {
                    self.shut();
                }
                Passage::Skip(SkipReason::NoKeyframe)
            }
            (State::Refreshing { right_from }, _) => {
                if inspection.position.is_none_or(|position| position < right_from) {
                    return Passage::Fill;
                }
                self.state = State::Running { skips_leading: false };
                self.whole(inspection, Passage::Decode)
            }
            (State::Running { skips_leading: true }, _) if inspection.is_leading => {
                Passage::Skip(SkipReason::NoKeyframe)
            }
            (State::Running { .. }, Content::KeyPicture) => {
                self.state = State::Running { skips_leading: false };
                self.whole(inspection, Passage::Decode)
            }
            (State::Running { .. }, _) => self.whole(inspection, Passage::Decode),
        }
    }

    /// Lets an access unit pass if it can be decoded as it is.
    fn whole(&mut self, inspection: Inspection, passage: Passage) -> Passage {
        let reason = if inspection.has_several_pictures {
            FailReason::SeveralPictures
        } else if inspection.lacks.is_some() {
            FailReason::DecodeError
        } else {
            return passage;
        };
        let mut spares_others = spares_others(inspection);
        if !spares_others && inspection.is_leading && inspection.lacks.is_some() {
            // Only others that lead the same key frame can build on it.
            self.state = State::Running { skips_leading: true };
            spares_others = true;
        }
        if !spares_others {
            self.shut();
        }
        Passage::Broken { reason, spares_others }
    }

    /// Stands as `other` does, with its own limits.
    pub fn go_on_behind(&mut self, other: &Self) {
        self.state = other.state;
    }

    /// Frames after this point can't be trusted until the next key frame.
    pub fn shut(&mut self) {
        if !matches!(self.state, State::Waiting(_)) {
            self.state = State::Waiting(SkipReason::NoKeyframe);
        }
    }

    /// Whether decoding is under way.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !matches!(self.state, State::Waiting(_))
    }

    /// Whether what is decoded can't come out right yet.
    #[must_use]
    pub fn is_refreshing(&self) -> bool {
        matches!(self.state, State::Refreshing { .. })
    }
}

/// Whether what an access unit lacks is missing to its own picture alone: of one that no other
/// needs, a part of itself. A picture that did not come may be missing to others as well.
fn spares_others(inspection: Inspection) -> bool {
    inspection.disposable && inspection.lacks == Some(Lack::Slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: Content) -> Inspection {
        Inspection::of(content)
    }

    fn key() -> Inspection {
        of(Content::KeyPicture)
    }

    fn delta() -> Inspection {
        of(Content::Picture)
    }

    const BROKEN: Passage =
        Passage::Broken { reason: FailReason::DecodeError, spares_others: false };
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
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(key(), IN_TIME), Passage::DecodeAfresh);
        assert_eq!(gate.judge(delta(), behind(1_000_000)), Passage::Decode);
    }

    #[test]
    fn a_live_camera_that_lags_goes_on_at_a_key_frame_near_the_end() {
        let mut gate = Gate::new(LagLimits { behind: Some(20), age: None });
        assert_eq!(gate.judge(key(), IN_TIME), Passage::DecodeAfresh);
        assert_eq!(gate.judge(delta(), behind(21)), Passage::Skip(SkipReason::Lag));
        assert_eq!(
            gate.judge(key(), behind(21)),
            Passage::Skip(SkipReason::Lag),
            "not the newest one"
        );
        assert_eq!(gate.judge(delta(), behind(5)), Passage::Skip(SkipReason::Lag));
        assert_eq!(gate.judge(key(), behind(5)), Passage::DecodeAfresh);
        assert_eq!(gate.judge(delta(), behind(5)), Passage::Decode);
    }

    #[test]
    fn a_live_camera_whose_records_are_too_old_goes_on_at_a_key_frame_that_is_young_enough() {
        let age = Some(Duration::from_millis(500));
        let mut gate = Gate::new(LagLimits { behind: Some(20), age });
        assert_eq!(gate.judge(key(), old(500)), Passage::DecodeAfresh);
        assert_eq!(gate.judge(delta(), old(501)), Passage::Skip(SkipReason::Lag));
        assert_eq!(gate.judge(key(), old(501)), Passage::Skip(SkipReason::Lag), "still too old");
        assert_eq!(gate.judge(delta(), old(3)), Passage::Skip(SkipReason::Lag));
        assert_eq!(gate.judge(key(), old(3)), Passage::DecodeAfresh);
        assert_eq!(gate.judge(delta(), behind(21)), Passage::Skip(SkipReason::Lag), "nor too far");
        assert_eq!(gate.judge(key(), behind(20)), Passage::DecodeAfresh, "of no known age");
        gate.set_lag_limits(LagLimits::default());
        assert_eq!(gate.judge(delta(), old(1_000_000)), Passage::Decode);
    }

    #[test]
    fn parameter_sets_pass_a_shut_gate() {
        let mut gate = Gate::new(LagLimits::default());
        assert_eq!(gate.judge(of(Content::NoPicture), IN_TIME), Passage::Decode);
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
    }

    #[test]
    fn a_shut_gate_opens_at_the_next_key_frame() {
        let mut gate = Gate::new(LagLimits::default());
        gate.judge(key(), IN_TIME);
        gate.shut();
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(key(), IN_TIME), Passage::DecodeAfresh);
    }

    fn at(position: i64) -> Inspection {
        Inspection { position: Some(position), ..delta() }
    }

    fn refresh(position: i64, right_from: i64) -> Inspection {
        let content = Content::RefreshPoint { right_from };
        Inspection { position: Some(position), ..of(content) }
    }

    #[test]
    fn a_refreshed_stream_is_right_some_frames_behind_where_it_was_joined() {
        let mut gate = Gate::new(LagLimits::default());
        assert_eq!(gate.judge(at(7), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(refresh(8, 10), IN_TIME), Passage::FillAfresh);
        assert!(gate.is_running() && gate.is_refreshing());
        assert_eq!(gate.judge(refresh(9, 15), IN_TIME), Passage::Fill, "the first one counts");
        assert_eq!(gate.judge(at(10), IN_TIME), Passage::Decode);
        assert_eq!(gate.judge(refresh(11, 15), IN_TIME), Passage::Decode);
        assert!(!gate.is_refreshing());
        let mut gate = Gate::new(LagLimits::default());
        assert_eq!(gate.judge(refresh(8, 10), IN_TIME), Passage::FillAfresh);
        assert_eq!(gate.judge(key(), IN_TIME), Passage::Decode, "whatever was before");
    }

    #[test]
    fn a_loss_spoils_a_refresh_and_the_next_one_mends_it() {
        let lacks = |inspection| Inspection { lacks: Some(Lack::Reference), ..inspection };
        let mut gate = Gate::new(LagLimits::default());
        gate.judge(refresh(8, 20), IN_TIME);
        assert_eq!(gate.judge(lacks(at(9)), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(at(20), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(lacks(refresh(21, 30)), IN_TIME), Passage::FillAfresh);
        assert_eq!(gate.judge(lacks(refresh(25, 34)), IN_TIME), Passage::FillAfresh);
        assert_eq!(gate.judge(at(30), IN_TIME), Passage::Fill);
        assert_eq!(gate.judge(at(34), IN_TIME), Passage::Decode);
        assert_eq!(gate.judge(lacks(refresh(35, 44)), IN_TIME), Passage::FillAfresh);
    }

    #[test]
    fn a_picture_that_lacks_something_is_broken_and_so_is_what_needs_it() {
        let lacks = |inspection| Inspection { lacks: Some(Lack::Slice), ..inspection };
        let mut gate = Gate::new(LagLimits::default());
        assert_eq!(gate.judge(lacks(delta()), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(lacks(key()), IN_TIME), BROKEN);
        assert_eq!(gate.judge(key(), IN_TIME), Passage::DecodeAfresh);
        let unneeded = Inspection { disposable: true, ..lacks(delta()) };
        let spares = Passage::Broken { reason: FailReason::DecodeError, spares_others: true };
        assert_eq!(gate.judge(unneeded, IN_TIME), spares);
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Decode);
        let misses = Inspection { lacks: Some(Lack::Reference), ..unneeded };
        assert_eq!(gate.judge(misses, IN_TIME), BROKEN);
        assert_eq!(gate.judge(key(), IN_TIME), Passage::DecodeAfresh);
        assert_eq!(gate.judge(lacks(delta()), IN_TIME), BROKEN);
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
    }

    #[test]
    fn a_picture_that_is_too_large_never_passes_nor_does_what_needs_it() {
        let of_size = |pixels, inspection| Inspection { pixels: Some(pixels), ..inspection };
        let too_large = Passage::Broken { reason: FailReason::TooLarge, spares_others: false };
        let mut gate = Gate::new(LagLimits::default()).at_most(100);
        assert_eq!(gate.judge(of_size(101, key()), IN_TIME), too_large);
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(of_size(101, of(Content::NoPicture)), IN_TIME), too_large, "hidden");
        assert_eq!(gate.judge(of_size(101, refresh(8, 10)), IN_TIME), too_large);
        assert_eq!(gate.judge(of_size(100, key()), IN_TIME), Passage::DecodeAfresh);
        assert_eq!(gate.judge(of_size(101, delta()), IN_TIME), too_large);
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
    }

    #[test]
    fn leading_pictures_are_left_out_where_decoding_began() {
        let leading = Inspection { is_leading: true, ..delta() };
        let mut gate = Gate::new(LagLimits::default());
        gate.judge(key(), IN_TIME);
        assert_eq!(gate.judge(leading, IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Decode);
        assert_eq!(gate.judge(key(), IN_TIME), Passage::Decode);
        assert_eq!(gate.judge(leading, IN_TIME), Passage::Decode, "all was there before");
        let lacks = Inspection { lacks: Some(Lack::Reference), ..leading };
        let spares = Passage::Broken { reason: FailReason::DecodeError, spares_others: true };
        assert_eq!(gate.judge(lacks, IN_TIME), spares);
        assert_eq!(gate.judge(leading, IN_TIME), Passage::Skip(SkipReason::NoKeyframe));
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Decode);
    }

    #[test]
    fn a_record_that_comes_twice_is_left_out_and_harms_nothing() {
        let repeated = |inspection| Inspection { is_repeated: true, ..inspection };
        let mut gate = Gate::new(LagLimits::default());
        gate.judge(key(), IN_TIME);
        assert_eq!(gate.judge(repeated(key()), IN_TIME), Passage::Skip(SkipReason::Repeated));
        assert_eq!(gate.judge(repeated(delta()), IN_TIME), Passage::Skip(SkipReason::Repeated));
        assert_eq!(gate.judge(delta(), IN_TIME), Passage::Decode);
    }
}
