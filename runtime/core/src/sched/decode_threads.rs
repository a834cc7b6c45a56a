//! How many threads a camera may decode with: what nobody else needs, or what is in its tenant's part.
//!
//! A camera's own thread takes turns on the cores by its [`Seat`]; threads that libavcodec decodes with
//! take none. So they are given out by what is known of the time just past: each camera tells now and then
//! how many cores it could keep busy, and one that wants more threads gets those for which there are cores left.
//! Where there are none, its tenant may still have some of its part; those of others have more than theirs
//! then. All threads that cameras have beside their own are fewer than there are cores.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use super::scheduler::CoreClaim;

/// This much of a core may be in use already by others when somebody is given it, …
const ASKING: f64 = 0.25;
/// … and this much while somebody has it, so that it does not come and go.
const KEEPING: f64 = 0.5;

/// Cores that are wanted, in thousandths.
#[derive(Debug, Default)]
pub(crate) struct Load(AtomicI64);

/// What one camera wants, and how many threads it decodes with beside its own.
#[derive(Debug, Default)]
pub(crate) struct DecodeThreads {
    load: Load,
    helpers: AtomicUsize,
}

/// What all cameras want, and have.
#[derive(Debug, Default)]
pub(crate) struct DecodeThreadPool {
    load: Load,
    helpers: AtomicUsize,
}

impl Load {
    fn cores(&self) -> f64 {
        self.0.load(Relaxed) as f64 / 1000.0
    }

    fn add(&self, thousandths: i64) {
        self.0.fetch_add(thousandths, Relaxed);
    }
}

impl CoreClaim {
    /// The camera could keep so many cores busy.
    pub fn tell_load(&self, cores: f64) {
        let now = (cores * 1000.0) as i64;
        let change = now - self.crew.load.0.swap(now, Relaxed);
        self.cores.crews.load.add(change);
        self.share.load.add(change);
    }

    /// How many threads the camera may decode with, at least its own.
    #[must_use]
    pub fn room_for_threads(&self) -> usize {
        let (own, helpers) = (self.crew.load.cores(), self.crew.helpers.load(Relaxed));
        let room = |cores: f64, used: f64| {
            let left = cores - (used - own);
            let room = |slack: f64| (left + slack).max(1.0) as usize;
            room(ASKING).max(room(KEEPING).min(helpers + 1))
        };
        let idle = room(self.cores.count() as f64, self.cores.crews.load.cores());
        idle.max(room(self.part(), self.share.load.cores()))
    }

    /// Takes, or gives back, what it needs to decode with so many threads. How many it has then.
    pub fn reserve(&self, threads: usize) -> usize {
        let (most, had) = (self.cores.count() - 1, self.crew.helpers.load(Relaxed));
        let mut has = had;
        let _ = self.cores.crews.helpers.fetch_update(Relaxed, Relaxed, |all| {
            let others = all - had;
            has = threads.saturating_sub(1).min(most.saturating_sub(others));
            Some(others + has)
        });
        self.crew.helpers.store(has, Relaxed);
        has + 1
    }

    /// Whether its tenant may keep so many threads busy for this camera although others wait.
    #[must_use]
    pub fn is_in_part(&self, threads: usize) -> bool {
        let beside = self.share.load.cores() - self.crew.load.cores();
        threads as f64 <= self.part() - beside + KEEPING
    }
}

impl Drop for CoreClaim {
    fn drop(&mut self) {
        self.reserve(1);
        self.tell_load(0.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::sched::scheduler::{Scheduler, Share};

    fn cameras(cores: usize, tenants: &[usize]) -> Vec<Arc<CoreClaim>> {
        let cores = Scheduler::with_seats(cores);
        let of_tenant = |&count: &usize| {
            let share = Share::new(1.0);
            (0..count).map(|_| CoreClaim::new(&cores, &share)).collect::<Vec<_>>()
        };
        let seats: Vec<_> = tenants.iter().flat_map(of_tenant).collect();
        // Twice: between two of the first, another second may begin.
        seats.iter().chain(&seats).for_each(|seat| drop(seat.take()));
        seats
    }

    #[test]
    fn one_camera_may_use_all_cores_and_many_have_one_each() {
        let one = &cameras(4, &[1])[0];
        one.tell_load(1.0);
        assert_eq!(one.room_for_threads(), 4);
        let many = cameras(4, &[8]);
        many.iter().for_each(|seat| seat.tell_load(0.5));
        assert!(many.iter().all(|seat| seat.room_for_threads() == 1));
    }

    #[test]
    fn threads_are_given_back_when_others_need_the_cores() {
        let [busy, other] = &cameras(2, &[2])[..] else { panic!("two") };
        busy.tell_load(1.0);
        assert_eq!((busy.room_for_threads(), busy.reserve(2)), (2, 2));
        busy.tell_load(2.0);
        other.tell_load(0.4);
        assert_eq!(busy.room_for_threads(), 2, "not for so little");
        assert_eq!(other.room_for_threads(), 1);
        other.tell_load(0.6);
        assert_eq!(busy.room_for_threads(), 1);
        assert_eq!(busy.reserve(1), 1);
        busy.tell_load(1.0);
        other.tell_load(0.4);
        assert_eq!(busy.room_for_threads(), 1, "nor for so little");
    }

    #[test]
    fn a_tenant_s_part_is_its_own_though_others_use_more_than_theirs() {
        let [modest, greedy @ ..] = &cameras(4, &[1, 6])[..] else { panic!("seven") };
        modest.tell_load(1.0);
        greedy.iter().for_each(|seat| seat.tell_load(0.5));
        assert_eq!(modest.room_for_threads(), 2);
        assert!(modest.is_in_part(2) && !modest.is_in_part(3));
        assert!(greedy.iter().all(|seat| seat.room_for_threads() == 1));
    }

    #[test]
    fn a_camera_that_ends_leaves_its_cores_to_others() {
        let mut seats = cameras(4, &[2]);
        let (stays, ends) = (seats.remove(0), seats.remove(0));
        ends.tell_load(3.0);
        assert_eq!(ends.reserve(4), 4);
        stays.tell_load(1.0);
        assert_eq!((stays.room_for_threads(), stays.reserve(4)), (1, 1));
        drop(ends);
        assert_eq!((stays.room_for_threads(), stays.reserve(4)), (4, 4));
    }

    proptest! {
        /// Whoever asks for whatever and in whichever order, there are never more than cores.
        #[test]
        fn all_together_have_fewer_helpers_than_cores(
            cores in 1..9_usize,
            asked in proptest::collection::vec((0..5_usize, 0..20_usize), 1..100),
        ) {
            let seats = cameras(cores, &[2, 3]);
            let mut has = [1; 5];
            for (camera, threads) in asked {
                has[camera] = seats[camera].reserve(threads);
                prop_assert!(has[camera] <= threads.max(1));
                prop_assert!(has.iter().map(|threads| threads - 1).sum::<usize>() < cores);
            }
            seats.iter().for_each(|seat| { seat.reserve(1); });
            prop_assert_eq!(seats[0].reserve(cores), cores);
        }
    }
}
