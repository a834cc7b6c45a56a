//! Who may use a core: tenants by their weights, and within a tenant its cameras alike.
//!
//! Camera threads are more than cores, and the operating system would share the cores between
//! *threads*: a tenant with a hundred busy cameras would get a hundred times the share of one with a
//! single camera. So a camera takes a seat before it decodes and analyses a record, and there are as
//! many seats as cores. While there are free seats nobody waits. When they are short, the seat goes
//! to the tenant that has used least for its weight, and among its cameras to the one that has.
//!
//! This is start-time fair queueing (Goyal, Vin, Cheng, 1996) with CPU time as the service: each
//! tenant has a *virtual time*, its CPU time divided by its weight (relative to the average, so that
//! times mean the same whatever numbers people choose), and whoever was idle is lifted to
//! the virtual time of the others, less a small credit, so that nobody saves up. Thanks to the
//! credit, whoever uses less than its share is served at once: beyond the number of seats if need
//! be, until one of those who use more gives way. A plugin gives way within a millisecond, in the
//! middle of a call; a decoder when its picture is done.
//!
//! Seats are comux's own affair: the operating system knows nothing of them, and threads that need no
//! seat, such as those that talk to Kafka, would wait behind plugins for milliseconds at each step of
//! a record's way. So whoever uses more than its share *steps back* while it decodes and analyses:
//! its thread then runs on cores that no other thread wants (see [`super::background`]).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::background;
use super::budget::nanos;
use super::cpu;
use super::fair::{Crowd, FairShare};

/// How far behind the others' virtual time somebody who was idle begins.
const CREDIT: u64 = 20_000_000;
/// Whoever is behind by so much is served although all seats are taken.
const URGENT: u64 = 10_000_000;
/// Equals relieve each other this often.
const SLICE: u64 = 5_000_000;
/// A safety net: whoever is given a seat is woken.
const NAP: Duration = Duration::from_millis(100);

/// The seats.
pub struct Cores {
    line: Mutex<Line>,
    /// How many are too many, waiting or seated, to be looked at without the lock.
    pressure: AtomicUsize,
    /// Among how many tenants the cores are shared.
    crowd: Crowd,
}

/// A tenant's part.
#[derive(Debug)]
pub(super) struct Share {
    /// How fast its time goes by: 1 for a tenant of average weight, 2 for one of half of that.
    pace: f64,
    /// Nanoseconds of CPU time at this pace.
    used: AtomicU64,
    /// The virtual time among its cameras.
    floor: AtomicU64,
    /// What it used of its part of the cores.
    fair: FairShare,
}

/// A camera's claim to a core, for its one thread.
pub struct Seat {
    cores: Arc<Cores>,
    share: Arc<Share>,
    /// Nanoseconds of CPU time.
    used: AtomicU64,
    /// CPU time of the thread up to which it is charged, …
    charged: AtomicU64,
    /// … and when that was.
    charged_at: AtomicU64,
    is_seated: AtomicBool,
    /// Its thread leaves the cores to others for now.
    is_behind: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

/// The seat is taken until this is dropped.
#[must_use]
pub struct Turn(Arc<Seat>);

struct Line {
    seats: usize,
    /// The virtual time of all: that of the tenant which was served last.
    floor: u64,
    seated: Vec<Arc<Seat>>,
    waiting: Vec<Arc<Seat>>,
}

impl Cores {
    /// As many seats as the process may use cores.
    pub(super) fn new() -> Arc<Self> {
        Self::with_seats(std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn with_seats(seats: usize) -> Arc<Self> {
        let line = Line { seats, floor: 0, seated: Vec::new(), waiting: Vec::new() };
        let (line, pressure) = (Mutex::new(line), AtomicUsize::new(0));
        Arc::new(Self { line, pressure, crowd: Crowd::new(seats) })
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a change of the line, and wakes those who were given a seat.
    fn wake(&self, line: MutexGuard<'_, Line>, given: Vec<Arc<Seat>>) {
        self.pressure.store(line.pressure(), Ordering::Release);
        drop(line);
        for seat in given {
            seat.is_seated.store(true, Ordering::Release);
            if let Some(thread) = &*seat.thread.lock().unwrap_or_else(PoisonError::into_inner) {
                thread.unpark();
            }
        }
    }
}

impl Share {
    pub fn new(pace: f64) -> Arc<Self> {
        let (used, floor) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { pace, used, floor, fair: FairShare::default() })
    }
}

impl Seat {
    pub(super) fn new(cores: &Arc<Cores>, share: &Arc<Share>) -> Arc<Self> {
        Arc::new(Self {
            cores: Arc::clone(cores),
            share: Arc::clone(share),
            used: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            charged_at: AtomicU64::new(0),
            is_seated: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            thread: Mutex::default(),
        })
    }

    /// Waits until the calling thread, which is the camera's, may use a core.
    pub fn take(self: &Arc<Self>) -> Turn {
        let now = nanos(Instant::now());
        self.cores.crowd.arrive(&self.share.fair, self.share.pace.recip(), now);
        self.charged.store(cpu::of_this_thread(), Ordering::Relaxed);
        self.charged_at.store(now, Ordering::Relaxed);
        let mut line = self.cores.lock();
        line.arrive(self);
        let given = line.give();
        self.cores.wake(line, given);
        self.wait();
        Turn(Arc::clone(self))
    }

    /// Gives way in the midst of a turn, to others with the better claim by now, or to all other
    /// threads. Returns for how long it had no core. Without a turn it does nothing.
    pub fn give_way(self: &Arc<Self>) -> Duration {
        if !self.is_seated.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let without_core = self.charge();
        // Whoever is behind all others must not hold what they may wait for.
        let waited = if self.cores.pressure.load(Ordering::Acquire) == 0 {
            Duration::ZERO
        } else {
            self.come_back();
            self.let_others()
        };
        self.step_back();
        without_core + waited
    }

    /// Lets those have the seat who have the better claim.
    fn let_others(self: &Arc<Self>) -> Duration {
        let mut line = self.cores.lock();
        if !line.should_give_way(self) {
            return Duration::ZERO;
        }
        self.is_seated.store(false, Ordering::Relaxed);
        line.leave(self);
        let mut given = line.give();
        line.arrive(self);
        given.extend(line.give());
        let begin = Instant::now();
        self.cores.wake(line, given);
        self.wait();
        self.charged_at.store(nanos(Instant::now()), Ordering::Relaxed);
        begin.elapsed()
    }

    /// Leaves the cores to other threads from now on, if its tenant has used more than its part.
    /// What follows must be long, and must not lock what others need.
    pub fn step_back(&self) {
        let is_seated = self.is_seated.load(Ordering::Relaxed);
        let is_behind = self.is_behind.load(Ordering::Relaxed);
        if is_seated && !is_behind && self.share.fair.is_exceeded(nanos(Instant::now())) {
            self.is_behind.store(background::step_back(), Ordering::Relaxed);
        }
    }

    /// Ends what [`Self::step_back`] began.
    pub fn come_back(&self) {
        if self.is_behind.swap(false, Ordering::Relaxed) {
            background::come_back();
        }
    }

    fn wait(&self) {
        if self.is_seated.load(Ordering::Acquire) {
            return;
        }
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        while !self.is_seated.load(Ordering::Acquire) {
            std::thread::park_timeout(NAP);
        }
    }

    /// Charges what was used since it was charged last. Returns for how long other threads had the
    /// core meanwhile, if that was to be: plugins do not wait for anything else.
    fn charge(&self) -> Duration {
        let (cpu, now) = (cpu::of_this_thread(), nanos(Instant::now()));
        let spent = cpu.saturating_sub(self.charged.swap(cpu, Ordering::Relaxed));
        let passed = now.saturating_sub(self.charged_at.swap(now, Ordering::Relaxed));
        let at_pace = self.add(spent);
        self.cores.crowd.charge(&self.share.fair, at_pace, now);
        if self.is_behind.load(Ordering::Relaxed) {
            Duration::from_nanos(passed.saturating_sub(spent))
        } else {
            Duration::ZERO
        }
    }

    fn add(&self, spent: u64) -> u64 {
        self.used.fetch_add(spent, Ordering::Relaxed);
        let at_pace = (spent as f64 * self.share.pace).ceil() as u64;
        self.share.used.fetch_add(at_pace, Ordering::Relaxed);
        at_pace
    }

    /// Whose turn it is: the lowest has the best claim.
    fn claim(&self) -> (u64, u64) {
        (self.share.used.load(Ordering::Relaxed), self.used.load(Ordering::Relaxed))
    }

    /// Whether this one should be served before `other` by more than `margin`.
    fn is_before(&self, other: &Self, margin: u64) -> bool {
        let ((of_tenant, own), (of_others, others)) = (self.claim(), other.claim());
        if Arc::ptr_eq(&self.share, &other.share) {
            own + margin < others
        } else {
            of_tenant + margin < of_others
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Self(seat) = self;
        seat.come_back();
        seat.charge();
        seat.is_seated.store(false, Ordering::Relaxed);
        let mut line = seat.cores.lock();
        line.leave(seat);
        let given = line.give();
        seat.cores.wake(line, given);
    }
}

impl Line {
    fn arrive(&mut self, seat: &Arc<Seat>) {
        let share = &seat.share;
        share.used.fetch_max(self.floor.saturating_sub(CREDIT), Ordering::Relaxed);
        let floor = share.floor.load(Ordering::Relaxed);
        seat.used.fetch_max(floor.saturating_sub(CREDIT), Ordering::Relaxed);
        self.waiting.push(Arc::clone(seat));
    }

    /// How many wait, or sit where there is no seat.
    fn pressure(&self) -> usize {
        self.waiting.len() + self.seated.len().saturating_sub(self.seats)
    }

    fn leave(&mut self, seat: &Arc<Seat>) {
        self.seated.retain(|other| !Arc::ptr_eq(other, seat));
    }

    /// Gives seats to those with the best claim, as long as there are any.
    fn give(&mut self) -> Vec<Arc<Seat>> {
        let mut given = Vec::new();
        loop {
            let best = self.waiting.iter().enumerate().min_by_key(|(_, seat)| seat.claim());
            let Some((place, seat)) = best else { return given };
            if !self.has_seat_for(seat) {
                return given;
            }
            let (of_tenant, own) = seat.claim();
            self.floor = self.floor.max(of_tenant);
            seat.share.floor.fetch_max(own, Ordering::Relaxed);
            let seat = self.waiting.swap_remove(place);
            self.seated.push(Arc::clone(&seat));
            given.push(seat);
        }
    }

    fn has_seat_for(&self, seat: &Seat) -> bool {
        let is_urgent = || self.seated.iter().any(|other| seat.is_before(other, URGENT));
        self.seated.len() < self.seats || (self.seated.len() < 2 * self.seats && is_urgent())
    }

    fn should_give_way(&self, seat: &Seat) -> bool {
        if self.seated.len() > self.seats {
            // Somebody urgent was served: the last of those who are seated makes room.
            return !self.seated.iter().any(|other| seat.is_before(other, 0));
        }
        self.waiting.iter().any(|other| other.is_before(seat, SLICE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    /// Cameras that always have work, each of so many milliseconds; a millisecond at a time goes by
    /// on each core. Nobody blocks: the line alone is under test.
    struct Simulation {
        cores: Arc<Cores>,
        cameras: Vec<SimulatedCamera>,
    }

    struct SimulatedCamera {
        seat: Arc<Seat>,
        work: u64,
        left: u64,
        done: u64,
        /// Milliseconds from one piece of work to the next; 0: always.
        period: u64,
        arrived: u64,
        longest_wait: u64,
    }

    impl Simulation {
        fn new(seats: usize) -> Self {
            Self { cores: Cores::with_seats(seats), cameras: Vec::new() }
        }

        fn tenant(&mut self, pace: f64, cameras: usize, work: u64, period: u64) {
            let share = Share::new(pace);
            for _ in 0..cameras {
                let seat = Seat::new(&self.cores, &share);
                let (left, done, arrived, longest_wait) = (0, 0, 0, 0);
                self.cameras.push(SimulatedCamera {
                    seat,
                    work,
                    left,
                    done,
                    period,
                    arrived,
                    longest_wait,
                });
            }
        }

        /// CPU milliseconds of each camera after so many milliseconds.
        fn run(&mut self, milliseconds: u64) -> Vec<u64> {
            for now in 0..milliseconds {
                let mut line = self.cores.lock();
                for camera in &mut self.cameras {
                    let is_due = camera.period == 0 || now % camera.period == 0;
                    if camera.left == 0 && is_due {
                        (camera.left, camera.arrived) = (camera.work, now);
                        line.arrive(&camera.seat);
                    }
                }
                line.give();
                // The operating system lets those who were served first go on.
                let seats = line.seats;
                let on_a_core: Vec<_> = line.seated.iter().rev().take(seats).cloned().collect();
                for camera in &mut self.cameras {
                    if !on_a_core.iter().any(|seat| Arc::ptr_eq(seat, &camera.seat)) {
                        continue;
                    }
                    camera.seat.add(MILLISECOND);
                    camera.done += 1;
                    camera.left -= 1;
                    if camera.left == 0 {
                        let took = now + 1 - camera.arrived;
                        camera.longest_wait = camera.longest_wait.max(took - camera.work);
                        line.leave(&camera.seat);
                    } else if line.should_give_way(&camera.seat) {
                        line.leave(&camera.seat);
                        line.give();
                        line.arrive(&camera.seat);
                    }
                }
            }
            self.cameras.iter().map(|camera| camera.done).collect()
        }
    }

    #[test]
    fn tenants_share_by_weight_however_many_cameras_they_have() {
        let mut simulation = Simulation::new(2);
        simulation.tenant(1.0, 30, 200, 0);
        simulation.tenant(1.0, 3, 7, 0);
        simulation.tenant(0.5, 5, 20, 0);
        let used = simulation.run(20_000);
        let (of_a, rest) = used.split_at(30);
        let (of_b, of_c) = rest.split_at(3);
        let sum = |used: &[u64]| used.iter().sum::<u64>();
        for (used, expected) in [(of_a, 10_000), (of_b, 10_000), (of_c, 20_000)] {
            assert!(sum(used).abs_diff(expected) < expected / 50, "{} of {expected}", sum(used));
            let alike = sum(used) / used.len() as u64;
            assert!(used.iter().all(|one| one.abs_diff(alike) <= 20), "{used:?}");
        }
    }

    #[test]
    fn whoever_uses_less_than_its_share_hardly_waits_for_those_who_use_more() {
        let mut simulation = Simulation::new(2);
        simulation.tenant(1.0, 20, 200, 0);
        simulation.tenant(1.0, 1, 8, 40);
        let used = simulation.run(20_000);
        assert_eq!(used.last(), Some(&4000), "it has all that it wants");
        let modest = simulation.cameras.last().unwrap();
        assert!(modest.longest_wait <= 1, "{} ms", modest.longest_wait);
    }

    #[test]
    fn seats_that_nobody_else_wants_are_for_whoever_wants_them() {
        let mut simulation = Simulation::new(2);
        simulation.tenant(1.0, 2, 10, 0);
        assert_eq!(simulation.run(1000), [1000, 1000]);
        assert_eq!(simulation.cores.lock().pressure(), 0);
    }

    #[test]
    fn threads_take_turns_and_none_is_forgotten() {
        let cores = Cores::with_seats(1);
        let shares = [Share::new(1.0), Share::new(1.0)];
        let taken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for number in 0..8 {
                let seat = Seat::new(&cores, &shares[number % 2]);
                let taken = &taken;
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _turn = seat.take();
                        taken.fetch_add(1, Ordering::Relaxed);
                        seat.give_way();
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 1600);
        let line = cores.lock();
        assert_eq!((line.seated.len(), line.waiting.len()), (0, 0));
    }
}
