//! Whether records that could leave wait for the next ones, to leave with them.
//!
//! A record that leaves alone is a request to the broker, and an answer, of its own. Where a camera
//! is far behind anyway, a few records more make no difference to who waits for them.

use std::time::{Duration, Instant};

/// A camera is far behind when so many records wait: a second of most cameras.
const FAR: u64 = 25;
/// So many leave together. An idempotent producer of librdkafka begins no request while so many
/// messages of a partition are on their way, and its thread spins for as long as others wait for
/// that (`RD_KAFKA_IDEMP_MAX_INFLIGHT` in `rd_kafka_toppar_producer_serve`).
pub(crate) const MOST: usize = 5;
/// So long after the ones before, they leave however many there are.
const LONGEST: Duration = Duration::from_millis(50);

/// The records of one camera that could leave, and wait.
#[derive(Debug)]
pub(crate) struct Linger {
    /// When some left last.
    left_at: Instant,
    /// Some wait.
    is_waiting: bool,
    /// How many records waited behind the one that came last.
    behind: u64,
}

impl Linger {
    pub fn new(now: Instant) -> Self {
        Self { left_at: now, is_waiting: false, behind: 0 }
    }

    /// A record comes, behind which so many wait.
    pub fn record_comes(&mut self, behind: u64) {
        self.behind = behind;
    }

    /// How many leave now at most, where `ready` could, or more than [`MOST`].
    pub fn leaving(&mut self, ready: usize, now: Instant) -> usize {
        let is_far = self.behind >= FAR;
        self.is_waiting = is_far && (1..MOST).contains(&ready) && now - self.left_at < LONGEST;
        if self.is_waiting || ready == 0 {
            return 0;
        }
        self.left_at = now;
        if is_far { MOST } else { usize::MAX }
    }

    /// All of them leave, since no record comes. Whether any waited for that.
    pub fn all_leave(&mut self) -> bool {
        std::mem::take(&mut self.is_waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many leave after each record, each taking so long and making so many ready, while the
    /// last has so many behind it.
    fn leaving(ready: &[usize], each: Duration, behind: usize) -> Vec<usize> {
        let (mut now, mut linger, mut waiting) = (Instant::now(), Linger::new(Instant::now()), 0);
        let step = |(number, more): (usize, &usize)| {
            linger.record_comes((behind + ready.len() - 1 - number) as u64);
            now += each;
            waiting += more;
            let left = linger.leaving(waiting.min(MOST), now).min(waiting);
            waiting -= left;
            left
        };
        ready.iter().enumerate().map(step).collect()
    }

    const QUICK: Duration = Duration::from_millis(4);

    #[test]
    fn who_keeps_up_gives_out_each_record_at_once() {
        assert_eq!(leaving(&[1; FAR as usize], QUICK, 0), [1; FAR as usize]);
    }

    #[test]
    fn who_is_far_behind_gives_out_several_at_once_and_the_last_ones_one_by_one() {
        let left = leaving(&[1; FAR as usize + 12], QUICK, 0);
        assert_eq!(left[..14], [0, 0, 0, 0, 5, 0, 0, 0, 0, 5, 0, 0, 3, 1]);
    }

    #[test]
    fn never_more_leave_together_than_may_be_on_their_way() {
        assert_eq!(leaving(&[0, 3, 0, 3, 0, 3, 0, 0, 3], QUICK, 1000), [0, 0, 0, 5, 0, 0, 0, 0, 5]);
        assert_eq!(leaving(&[13, 1, 1, 1], QUICK, 1000), [5, 5, 5, 0]);
    }

    #[test]
    fn slow_work_makes_nobody_wait_for_it() {
        let [slow, slower] = [20, 200].map(Duration::from_millis);
        assert_eq!(leaving(&[1; 8], slow, 1000), [0, 0, 3, 0, 0, 3, 0, 0]);
        assert_eq!(leaving(&[1; 4], slower, 1000), [1, 1, 1, 1]);
    }
}
