//! Which frames go into one call, and when it is made.
//!
//! Frames come one at a time from each camera, and a camera gives no other before it has the
//! answer: so a call has at most one frame of each. A *round* begins with the first frame and ends
//! in a call. It is over
//!
//! - when all have come that can be expected, or as many as there may be;
//! - when the next one is further away than half of the shortest interval among those that wait:
//!   then it belongs to the next round, and the cameras' own rhythm shows where one ends;
//! - when one has waited for as long as its camera can afford without falling behind.
//!
//! A camera is expected one interval after its last frame, and no longer once it is half an
//! interval late: whoever pauses or is gone is waited for once. Intervals are counted over a span
//! of frames, not estimated from the last one, so that a frame which is late does not upset them.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Frames over which a camera's interval is counted, …
const SPAN: usize = 16;
/// … and the fewest that say anything.
const LEAST_SPAN: usize = 4;
/// How far a camera may be behind its own pace because its frames waited: a fraction of its
/// interval. It is more than what frames of a network are early or late.
const SLACK: f64 = 0.25;
/// How much the latest call counts in what calls are supposed to take.
const LATEST: f64 = 0.125;

/// A camera, by the number that it was given.
pub(crate) type Member = u64;

/// What is known of the cameras that share a plugin, and who of them waits.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// The most frames in one call.
    most: usize,
    /// The longest wait.
    longest: Duration,
    rhythms: HashMap<Member, Rhythm>,
    waiting: Vec<Candidate>,
    /// How long a call takes.
    call: Duration,
}

/// When a camera's frames come.
#[derive(Debug, Default)]
struct Rhythm {
    arrivals: VecDeque<Instant>,
    /// When its latest frame would have come at the camera's own pace. Waiting makes the next frame
    /// come late, and so looks like a slower pace; measured from here, what a frame is late
    /// shortens its wait, and no camera falls behind for good.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Candidate {
    member: Member,
    /// When it can't wait any longer.
    until: Instant,
    /// The time between two frames of this camera.
    interval: Option<Duration>,
}

/// When a round is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Now; with all frames that could be expected, or without some.
    Now {
        /// Nobody was left out who could be expected.
        full: bool,
    },
    /// Then, if nobody comes before.
    At(Instant),
}

impl Rounds {
    pub fn new(most: usize, longest: Duration) -> Self {
        let (rhythms, waiting) = (HashMap::new(), Vec::new());
        Self { most, longest, rhythms, waiting, call: Duration::ZERO }
    }

    /// A camera takes part from now on.
    pub fn join(&mut self, member: Member) {
        self.rhythms.insert(member, Rhythm::default());
    }

    /// A camera takes part no longer.
    pub fn leave(&mut self, member: Member) {
        self.rhythms.remove(&member);
    }

    /// A frame of this camera is here, and goes alone.
    pub fn pass(&mut self, member: Member, now: Instant) {
        self.rhythms.entry(member).or_default().beat(now);
    }

    /// A frame of this camera waits for its round; so long was spent on it before.
    pub fn wait(&mut self, member: Member, now: Instant, busy: Duration) {
        let rhythm = self.rhythms.entry(member).or_default();
        rhythm.beat(now);
        let interval = rhythm.interval();
        // Without a rhythm there is nothing to wait by, and nobody waits for longer than an
        // interval.
        let until = match (interval, rhythm.due) {
            (Some(interval), Some(due)) => {
                let paced = due + interval.mul_f64(1.0 + SLACK);
                let slack = paced.saturating_duration_since(now + busy + self.call);
                now + slack.min(interval).min(self.longest)
            }
            _ => now,
        };
        self.waiting.push(Candidate { member, until, interval });
    }

    /// When the round is over; `None` when there is none.
    pub fn over(&self, now: Instant) -> Option<Over> {
        let until = self.waiting.iter().map(|waiting| waiting.until).min()?;
        if self.waiting.len() >= self.most {
            return Some(Over::Now { full: true });
        }
        let next = self
            .rhythms
            .iter()
            .filter(|(member, _)| !self.is_waiting(**member))
            .filter_map(|(_, rhythm)| rhythm.expected(now))
            .min_by_key(|expected| expected.at);
        let Some(next) = next else { return Some(Over::Now { full: true }) };
        let shortest = self.waiting.iter().filter_map(|waiting| waiting.interval).min();
        let within = shortest.unwrap_or_default() / 2;
        if now >= until || next.at > now + within {
            return Some(Over::Now { full: false });
        }
        Some(Over::At(until.min(next.late_at)))
    }

    fn is_waiting(&self, member: Member) -> bool {
        self.waiting.iter().any(|waiting| waiting.member == member)
    }

    /// The round is over: those who waited are called with, as many as may be.
    pub fn close(&mut self) -> Vec<Member> {
        let count = self.waiting.len().min(self.most);
        self.waiting.drain(..count).map(|waiting| waiting.member).collect()
    }

    /// A call took so long.
    pub fn called(&mut self, took: Duration) {
        self.call = self.call.mul_f64(1.0 - LATEST) + took.mul_f64(LATEST);
    }
}

/// When a camera's next frame can be expected.
struct Expected {
    at: Instant,
    /// From then on it is not expected any more.
    late_at: Instant,
}

impl Rhythm {
    fn beat(&mut self, now: Instant) {
        if self.arrivals.len() > SPAN {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(now);
        let due = self.due.zip(self.interval()).map(|(due, interval)| {
            let (next, slack) = (due + interval, interval.mul_f64(2.0 * SLACK));
            // It is faster than it seemed, or has paused.
            if now < next || now > next + slack { now } else { next }
        });
        self.due = Some(due.unwrap_or(now));
    }

    /// The mean time between two frames of the last ones.
    fn interval(&self) -> Option<Duration> {
        let (first, last) = (self.arrivals.front()?, self.arrivals.back()?);
        let intervals = self.arrivals.len() - 1;
        (intervals >= LEAST_SPAN).then(|| (*last - *first) / intervals as u32)
    }

    fn expected(&self, now: Instant) -> Option<Expected> {
        let interval = self.interval()?;
        let at = *self.arrivals.back()? + interval;
        let late_at = at + interval / 2;
        (now < late_at).then_some(Expected { at, late_at })
    }
}

#[cfg(test)]
mod tests;
