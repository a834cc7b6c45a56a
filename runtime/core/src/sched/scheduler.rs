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
//! be, until one of those who use more gives way. A plugin gives way in the middle of a call, within a
//! millisecond if others waited when it began, or its tenant had used more than its share, and else
//! within some ten; a decoder when its picture is done.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::decode_threads::{DecodeThreadPool, DecodeThreads, Load};
use super::demotion::{Standing, StarvationWatchdog};
use super::fair_share::{ActiveTenants, FairShare};
use crate::sched::cpu_time;
use crate::tenancy::nanos;

/// How far behind the others' virtual time somebody who was idle begins.
const CREDIT: u64 = 20_000_000;
/// Whoever is behind by so much is served although all seats are taken.
const URGENT: u64 = 10_000_000;
/// Equals relieve each other this often.
const SLICE: u64 = 5_000_000;
/// A safety net: whoever is given a seat is woken.
const NAP: Duration = Duration::from_millis(100);

/// The seats.
pub struct Scheduler {
    line: Mutex<RunQueue>,
    /// How many are too many, waiting or seated, to be looked at without the lock.
    pressure: AtomicUsize,
    /// Among how many tenants the cores are shared.
    crowd: ActiveTenants,
    /// How many cores are a seat each.
    count: usize,
    /// How many cores all cameras could keep busy, and what they decode with.
    pub(crate) crews: DecodeThreadPool,
    /// Looks after those who leave the cores to others.
    pub(crate) usher: StarvationWatchdog,
}

/// A tenant's part.
#[derive(Debug)]
pub(crate) struct Share {
    /// How fast its time goes by: 1 for a tenant of average weight, 2 for one of half of that.
    pace: f64,
    /// Nanoseconds of CPU time at this pace.
    used: AtomicU64,
    /// The virtual time among its cameras.
    floor: AtomicU64,
    /// What it used of its part of the cores.
    fair: FairShare,
    /// How many cores its cameras could keep busy.
    pub(crate) load: Load,
}

/// A camera's claim to a core, for its one thread.
pub struct CoreClaim {
    pub(crate) cores: Arc<Scheduler>,
    pub(crate) share: Arc<Share>,
    /// What it decodes with.
    pub(crate) crew: DecodeThreads,
    /// Nanoseconds of CPU time.
    used: AtomicU64,
    /// CPU time of the thread up to which it is charged, …
    charged: AtomicU64,
    /// … and when that was.
    charged_at: AtomicU64,
    is_seated: AtomicBool,
    /// Whether its thread leaves the cores to others for now.
    pub(crate) standing: Standing,
    thread: Mutex<Option<Thread>>,
}

/// The seat is taken until this is dropped.
#[must_use]
pub struct CorePermit(Arc<CoreClaim>);

/// What a camera's thread did with the time since it was charged last.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// It used so much CPU time, …
    pub cpu: Duration,
    /// … and for so long it had no core, or waited for something.
    pub absent: Duration,
    /// Until when.
    pub until: Instant,
}

struct RunQueue {
    seats: usize,
    /// The virtual time of all: that of the tenant which was served last.
    floor: u64,
    seated: Vec<Arc<CoreClaim>>,
    waiting: Vec<Arc<CoreClaim>>,
}

impl Scheduler {
    /// As many seats as the process may use cores.
    pub(crate) fn new() -> Arc<Self> {
        Self::with_seats(std::thread::available_parallelism().map_or(1, usize::from))
    }

    pub(crate) fn with_seats(seats: usize) -> Arc<Self> {
        let line = RunQueue { seats, floor: 0, seated: Vec::new(), waiting: Vec::new() };
        let (line, pressure) = (Mutex::new(line), AtomicUsize::new(0));
        let (crowd, crews, usher) =
            (ActiveTenants::new(seats), DecodeThreadPool::default(), StarvationWatchdog::default());
        Arc::new(Self { line, pressure, crowd, count: seats, crews, usher })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether some wait for a seat, or sit where there is none.
    pub(crate) fn has_pressure(&self) -> bool {
        self.pressure.load(Ordering::Acquire) > 0
    }

    fn lock(&self) -> MutexGuard<'_, RunQueue> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a change of the line, and wakes those who were given a seat.
    fn wake(&self, line: MutexGuard<'_, RunQueue>, given: Vec<Arc<CoreClaim>>) {
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
        let (fair, load) = (FairShare::default(), Load::default());
        Arc::new(Self { pace, used, floor, fair, load })
    }
}

impl CoreClaim {
    pub(crate) fn new(cores: &Arc<Scheduler>, share: &Arc<Share>) -> Arc<Self> {
        Arc::new(Self {
            cores: Arc::clone(cores),
            share: Arc::clone(share),
            crew: DecodeThreads::default(),
            used: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            charged_at: AtomicU64::new(0),
            is_seated: AtomicBool::new(false),
            standing: Standing::default(),
            thread: Mutex::default(),
        })
    }

    /// Waits until the calling thread, which is the camera's, may use a core.
    pub fn take(self: &Arc<Self>) -> CorePermit {
        self.sit_down();
        CorePermit(Arc::clone(self))
    }

    /// Leaves the seat to others for as long as `wait` waits for something else than a core. Without a
    /// turn it does nothing but that.
    pub fn leave_while<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        if !self.is_seated() {
            return wait();
        }
        self.stand_up();
        let waited = wait();
        self.sit_down();
        waited
    }

    fn sit_down(self: &Arc<Self>) {
        let now = nanos(Instant::now());
        self.cores.crowd.arrive(&self.share.fair, self.share.pace.recip(), now);
        self.charged.store(cpu_time::of_this_thread(), Ordering::Relaxed);
        self.charged_at.store(now, Ordering::Relaxed);
        let mut line = self.cores.lock();
        line.arrive(self);
        let given = line.give();
        self.cores.wake(line, given);
        self.wait();
    }

    fn stand_up(self: &Arc<Self>) {
        self.come_back();
        self.charge();
        self.is_seated.store(false, Ordering::Relaxed);
        let mut line = self.cores.lock();
        line.leave(self);
        let given = line.give();
        self.cores.wake(line, given);
    }

    /// Lets those have the seat who have the better claim by now. Returns for how long they had it.
    pub(crate) fn let_others(self: &Arc<Self>) -> Duration {
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

    /// Whether its thread has a seat.
    pub(crate) fn is_seated(&self) -> bool {
        self.is_seated.load(Ordering::Relaxed)
    }

    /// Whether its tenant has used more than its part of the cores by `now`.
    pub(crate) fn is_exceeded(&self, now: Instant) -> bool {
        self.share.fair.is_exceeded(nanos(now))
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

    /// Charges what its thread, which is the calling one, used since it was charged last.
    pub fn charge(&self) -> Spent {
        let (cpu, until) = (cpu_time::of_this_thread(), Instant::now());
        let now = nanos(until);
        let used = cpu.saturating_sub(self.charged.swap(cpu, Ordering::Relaxed));
        let passed = now.saturating_sub(self.charged_at.swap(now, Ordering::Relaxed));
        let at_pace = self.add(used);
        self.cores.crowd.charge(&self.share.fair, at_pace, now);
        let absent = Duration::from_nanos(passed.saturating_sub(used));
        Spent { cpu: Duration::from_nanos(used), absent, until }
    }

    /// Charges what other threads used for it.
    pub fn charge_helpers(&self, cpu: Duration) {
        let at_pace = self.add(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX));
        self.cores.crowd.charge(&self.share.fair, at_pace, nanos(Instant::now()));
    }

    /// How many cores are its tenant's part, among those who want any.
    pub(crate) fn part(&self) -> f64 {
        self.cores.crowd.part(self.share.pace.recip())
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

impl Drop for CorePermit {
    fn drop(&mut self) {
        let Self(seat) = self;
        seat.stand_up();
    }
}

impl RunQueue {
    fn arrive(&mut self, seat: &Arc<CoreClaim>) {
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

    fn leave(&mut self, seat: &Arc<CoreClaim>) {
        self.seated.retain(|other| !Arc::ptr_eq(other, seat));
    }

    /// Gives seats to those with the best claim, as long as there are any.
    fn give(&mut self) -> Vec<Arc<CoreClaim>> {
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

    fn has_seat_for(&self, seat: &CoreClaim) -> bool {
        let is_urgent = || self.seated.iter().any(|other| seat.is_before(other, URGENT));
        self.seated.len() < self.seats || (self.seated.len() < 2 * self.seats && is_urgent())
    }

    fn should_give_way(&self, seat: &CoreClaim) -> bool {
        if self.seated.len() > self.seats {
            // Somebody urgent was served: the last of those who are seated makes room.
            return !self.seated.iter().any(|other| seat.is_before(other, 0));
        }
        self.waiting.iter().any(|other| other.is_before(seat, SLICE))
    }
}

#[cfg(test)]
mod tests;
