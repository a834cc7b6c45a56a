//! How many threads a camera's decoder should have, judged by what its decoding took lately.
//!
//! One is best while it keeps up: each further one delays every result by a frame. It does not keep
//! up where records have waited behind the present one for a whole window, and much of that time
//! went into the decoder. It could do with one again where nothing waited for a while, and all that
//! the camera does would have fitted into one thread with some room to spare.

use std::time::{Duration, Instant};

/// What is judged at once: longer than a burst behind a hiccup of the network takes to decode, and
/// short against the time in which a live camera falls so far behind that it skips.
const WINDOW: Duration = Duration::from_millis(500);
/// Fewer records than these come in one fetch also where nothing is late.
const WAITING: u64 = 5;
/// So large a share of a window makes another thread worth while: it would take over at least a
/// part of it.
const MUCH: f64 = 0.4;
/// So many cores are some room to spare in one thread.
const FITS: f64 = 0.8;
/// For so many windows it must have kept up.
const CALM: u32 = 4;

/// What a camera did with the time lately.
#[derive(Debug)]
pub(crate) struct DecodeLoad {
    since: Instant,
    /// How long its thread had something to do.
    working: Duration,
    /// How long its thread was in the decoder.
    decoding: Duration,
    frames: u32,
    /// The fewest records that waited behind one that came; `None`: none came.
    waiting: Option<u64>,
    is_overloaded: bool,
    /// Windows in a row in which one thread would have been enough.
    calm: u32,
}

impl DecodeLoad {
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            working: Duration::ZERO,
            decoding: Duration::ZERO,
            frames: 0,
            waiting: None,
            is_overloaded: false,
            calm: 0,
        }
    }

    /// A record came, and so many wait behind it.
    pub fn record_came(&mut self, waiting: u64) {
        self.waiting = Some(self.waiting.map_or(waiting, |fewest| fewest.min(waiting)));
    }

    /// The camera's thread had something to do for so long, the wait for a core included.
    pub fn worked(&mut self, took: Duration) {
        self.working += took;
    }

    /// The camera's thread was in the decoder for so long.
    pub fn decoded(&mut self, took: Duration) {
        self.decoding += took;
    }

    /// A frame came out.
    pub fn frame_came(&mut self) {
        self.frames += 1;
    }

    /// For how long the present window has been open, once that is long enough.
    pub fn window(&self, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.since);
        (passed >= WINDOW).then_some(passed)
    }

    /// The window ends, and was `passed` long; all that was done for the camera in it, `threads`
    /// decoding, took so many cores. Gives how many it would have liked to have.
    pub fn end_window(&mut self, now: Instant, passed: Duration, threads: usize, used: f64) -> f64 {
        let share_of = |time: Duration| time.as_secs_f64() / passed.as_secs_f64();
        let share = share_of(self.decoding);
        let waiting = self.waiting.unwrap_or_default();
        if waiting >= WAITING {
            // Where nothing is decoded, nothing can be told: a live camera skips to a key frame.
            if self.frames > 0 {
                self.is_overloaded |= share >= MUCH;
                self.calm = 0;
            }
        } else {
            self.is_overloaded = false;
            self.calm = if used < FITS { self.calm.saturating_add(1) } else { 0 };
        }
        // Others may have had the cores that it wanted: what it used says little then.
        let liked = match threads {
            _ if self.is_overloaded => threads as f64,
            1 => share_of(self.working),
            _ => used,
        };
        *self = Self { is_overloaded: self.is_overloaded, calm: self.calm, ..Self::new(now) };
        liked
    }

    /// How many threads should decode from here on, where `now` do and there is room for `room`.
    pub fn wanted(&self, now: usize, room: usize) -> usize {
        let wanted = if self.is_overloaded {
            room
        } else if self.calm >= CALM {
            1
        } else {
            now.min(room)
        };
        wanted.max(1)
    }

    /// Another number of threads decodes from here on: what was before says nothing of them.
    pub fn begin_anew(&mut self, now: Instant) {
        *self = Self { is_overloaded: self.is_overloaded, ..Self::new(now) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One window: records waiting, the share in the decoder, frames, cores that were used.
    type Window = (Option<u64>, f64, u32, f64);

    fn after(windows: impl IntoIterator<Item = Window>) -> DecodeLoad {
        let mut now = Instant::now();
        let mut load = DecodeLoad::new(now);
        for (waiting, share, frames, used) in windows {
            waiting.into_iter().for_each(|waiting| load.record_came(waiting));
            load.decoded(WINDOW.mul_f64(share));
            (0..frames).for_each(|_| load.frame_came());
            now += WINDOW;
            let passed = load.window(now).expect("it is over");
            load.end_window(now, passed, 4, used);
        }
        load
    }

    const BEHIND: Window = (Some(100), 0.9, 50, 1.0);
    const KEEPS_UP: Window = (Some(0), 0.9, 50, 0.6);

    #[test]
    fn a_camera_that_is_behind_because_of_its_decoder_wants_what_room_there_is() {
        let load = after([BEHIND]);
        assert_eq!((load.wanted(1, 8), load.wanted(1, 1), load.wanted(2, 3)), (8, 1, 3));
        // Its plugins are what takes long.
        assert_eq!(after([(Some(100), 0.3, 50, 1.0)]).wanted(1, 8), 1);
        // Busy, but it keeps up.
        assert_eq!(after([(Some(4), 0.95, 50, 1.0)]).wanted(1, 8), 1);
        assert_eq!(after([]).wanted(1, 8), 1);
    }

    #[test]
    fn one_record_that_did_not_wait_is_enough_to_keep_up() {
        let mut load = DecodeLoad::new(Instant::now());
        for waiting in [60, 30, 4, 60] {
            load.record_came(waiting);
        }
        load.decoded(WINDOW);
        load.frame_came();
        load.end_window(Instant::now(), WINDOW, 1, 1.0);
        assert_eq!(load.wanted(1, 8), 1);
    }

    #[test]
    fn a_live_camera_that_skips_is_still_one_that_did_not_keep_up() {
        let skips = (Some(40), 0.0, 0, 0.1);
        assert_eq!(after([BEHIND, skips, skips]).wanted(1, 2), 2);
        assert_eq!(after([skips, skips]).wanted(1, 2), 1);
    }

    #[test]
    fn it_goes_back_to_one_when_it_has_kept_up_for_a_while_with_room_to_spare() {
        let then = |window: Window, times: usize| {
            let windows = std::iter::once(BEHIND).chain(std::iter::repeat_n(window, times));
            after(windows).wanted(4, 4)
        };
        let calm = CALM as usize;
        assert_eq!((then(KEEPS_UP, calm - 1), then(KEEPS_UP, calm)), (4, 1));
        let silent = (None, 0.0, 0, 0.0);
        assert_eq!((then(silent, calm - 1), then(silent, calm)), (4, 1));
        // It keeps up because of the threads.
        assert_eq!(then((Some(0), 0.4, 50, 1.3), 100), 4);
        // It is behind, but no longer because of its decoder.
        assert_eq!(then((Some(100), 0.3, 50, 1.3), 100), 4);
    }

    #[test]
    fn it_tells_what_it_would_have_liked_although_others_had_the_cores() {
        let now = Instant::now();
        let window = |waiting, threads| {
            let mut load = DecodeLoad::new(now);
            load.record_came(waiting);
            load.frame_came();
            load.worked(WINDOW.mul_f64(0.75));
            load.decoded(WINDOW.mul_f64(0.75));
            load.end_window(now, WINDOW, threads, 0.25)
        };
        assert_eq!((window(0, 1), window(0, 4)), (0.75, 0.25));
        assert_eq!((window(100, 1), window(100, 4)), (1.0, 4.0));
    }

    #[test]
    fn others_who_need_the_cores_get_them() {
        assert_eq!(after([BEHIND]).wanted(4, 1), 1);
        assert_eq!(after([KEEPS_UP]).wanted(4, 2), 2);
        assert_eq!(after([KEEPS_UP]).wanted(4, 0), 1);
    }

    proptest! {
        #[test]
        fn it_is_never_more_than_there_is_room_for(
            windows in proptest::collection::vec(
                (proptest::option::of(0..50_u64), 0.0..1.0, 0..3_u32, 0.0..2.0), 0..20),
            now in 1..17_usize,
            room in 0..17_usize,
        ) {
            let wanted = after(windows.clone()).wanted(now, room);
            prop_assert!(wanted >= 1 && wanted <= room.max(1));
            // Who always kept up never has more than it had.
            if windows.iter().all(|(waiting, ..)| waiting.is_none_or(|it| it < WAITING)) {
                prop_assert!(wanted <= now);
            }
        }
    }
}
