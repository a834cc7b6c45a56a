//! A state is believed once it has held.

/// What a camera may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ok,
    Covered,
    Defocused,
    Moved,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Covered => "covered",
            Self::Defocused => "defocused",
            Self::Moved => "moved",
        }
    }
}

/// The reported state, and how long another one has been seen in its place.
pub struct Hold {
    frames: u32,
    reported: State,
    seen: State,
    seen_for: u32,
}

impl Hold {
    /// Reports `ok` until another state has been seen on `frames` frames in a row.
    pub fn new(frames: u32) -> Self {
        Self { frames, reported: State::Ok, seen: State::Ok, seen_for: 0 }
    }

    /// The state to report after this one was seen. The way back to `ok` takes as long.
    pub fn report(&mut self, seen: State) -> State {
        if seen == self.seen {
            self.seen_for = self.seen_for.saturating_add(1);
        } else {
            self.seen = seen;
            self.seen_for = 1;
        }
        if self.seen_for >= self.frames {
            self.reported = seen;
        }
        self.reported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flickering_state_is_not_reported() {
        let mut hold = Hold::new(2);
        let seen = [State::Moved, State::Ok, State::Moved, State::Covered];
        assert!(seen.iter().all(|&state| hold.report(state) == State::Ok));
        assert_eq!(hold.report(State::Covered), State::Covered);
        assert_eq!(hold.report(State::Ok), State::Covered);
        assert_eq!(hold.report(State::Ok), State::Ok);
    }
}
