//! A camera's claim to a core: how its thread takes one, gives way to others, and is charged.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::clock::nanos;
use super::cpu_time;
use super::decode_threads::{DecodeShare, Part};
use super::demotion::Standing;
use super::run_queue::{Contender, Share};
use super::sched_idle;
use super::scheduler::Scheduler;

/// A camera's claim to a core, for its one thread.
pub struct CoreClaim {
    scheduler: Arc<Scheduler>,
    contender: Arc<Contender>,
    standing: Arc<Standing>,
    /// What it decodes with.
    decode_threads: DecodeShare,
    /// CPU time of the thread up to which it is charged, …
    charged: AtomicU64,
    /// … and when that was.
    charged_at: AtomicU64,
}

/// The core may be used until this is dropped.
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

impl CoreClaim {
    pub(crate) fn new(scheduler: &Arc<Scheduler>, share: &Arc<Share>) -> Arc<Self> {
        Arc::new(Self {
            scheduler: Arc::clone(scheduler),
            contender: Contender::new(share),
            standing: Standing::new(Arc::clone(&share.fair)),
            decode_threads: DecodeShare::default(),
            charged: AtomicU64::new(0),
            charged_at: AtomicU64::new(0),
        })
    }

    /// Waits until the calling thread, which is the camera's, may use a core.
    pub fn take(self: &Arc<Self>) -> CorePermit {
        self.begin();
        CorePermit(Arc::clone(self))
    }

    /// Leaves the core to others for as long as `wait` waits for something else. Without a permit
    /// it does nothing but that.
    pub fn leave_while<T>(self: &Arc<Self>, wait: impl FnOnce() -> T) -> T {
        if !self.contender.is_running() {
            return wait();
        }
        self.end();
        let waited = wait();
        self.begin();
        waited
    }

    fn begin(&self) {
        let now = nanos(Instant::now());
        let share = &self.contender.share;
        self.scheduler.active.arrive(&share.fair, share.weight(), now);
        self.charged.store(cpu_time::of_this_thread(), Ordering::Relaxed);
        self.charged_at.store(now, Ordering::Relaxed);
        let mut queue = self.scheduler.lock();
        queue.arrive(&self.contender);
        let given = queue.give();
        self.scheduler.wake(queue, given);
        self.contender.wait();
    }

    fn end(&self) {
        self.promote();
        self.charge();
        self.contender.stop();
        let mut queue = self.scheduler.lock();
        queue.leave(&self.contender);
        let given = queue.give();
        self.scheduler.wake(queue, given);
    }

    /// Lets those have the core who have the better claim by now. Returns for how long they had it.
    fn let_others(&self) -> Duration {
        let mut queue = self.scheduler.lock();
        if !queue.should_give_way(&self.contender) {
            return Duration::ZERO;
        }
        self.contender.stop();
        queue.leave(&self.contender);
        let mut given = queue.give();
        queue.arrive(&self.contender);
        given.extend(queue.give());
        let begin = Instant::now();
        self.scheduler.wake(queue, given);
        self.contender.wait();
        self.charged_at.store(nanos(Instant::now()), Ordering::Relaxed);
        begin.elapsed()
    }

    // === other threads of the machine ===

    /// A long piece of work begins, which locks nothing that others need: it is done on cores that
    /// no other thread wants, if the tenant has used more than its part. Without a permit it does
    /// nothing.
    pub fn demote(&self) {
        if self.contender.is_running() {
            self.standing.begin_work(&self.scheduler.watchdog);
        }
    }

    /// A call of a plugin begins that has to end by `ends_at`, likewise, and also if the camera's
    /// calls are long. Whether it may have to give way soon: to all others, or to some who wait for
    /// a permit.
    pub fn begin_call(&self, ends_at: Instant) -> bool {
        let is_demoted = self.contender.is_running()
            && self.standing.begin_call(&self.scheduler.watchdog, ends_at);
        is_demoted || self.scheduler.has_pressure()
    }

    /// A call of a plugin goes on that has lasted since the start of `within` and has to end by its
    /// end: gives way to those with the better claim by now, and to all other threads if it is
    /// long. Returns for how long the former had the core. Without a permit it does nothing.
    pub fn give_way(&self, within: Range<Instant>) -> Duration {
        if !self.contender.is_running() {
            return Duration::ZERO;
        }
        let mut waited = Duration::ZERO;
        if self.scheduler.has_pressure() {
            // A demoted thread must not hold what others may wait for.
            self.standing.promote_for_now();
            waited = self.let_others();
        }
        self.standing.go_on(&self.scheduler.watchdog, within.start..within.end + waited);
        waited
    }

    /// A call of a plugin has ended that had a core for so long.
    pub fn end_call(&self, used: Duration) {
        self.promote();
        self.standing.remember_call(used);
    }

    /// Ends what [`Self::demote`], [`Self::begin_call`] or [`Self::give_way`] began.
    pub fn promote(&self) {
        self.standing.promote(&self.scheduler.watchdog);
    }

    /// Threads that `begin` starts run only on cores which nobody else wants, for good, if the
    /// operating system lets the calling thread come back from there.
    pub fn demoted_while<T>(&self, begin: impl FnOnce() -> T) -> T {
        // The watchdog must not promote it meanwhile.
        self.promote();
        let is_demoted = sched_idle::demote();
        let begun = begin();
        if is_demoted {
            sched_idle::promote();
        }
        begun
    }

    /// Whether its thread leaves the cores to others for now.
    pub fn is_demoted(&self) -> bool {
        self.standing.is_demoted()
    }

    /// Whether it does because its tenant has used more than its part, and so perhaps for long.
    pub fn is_demoted_for_use(&self) -> bool {
        self.standing.is_demoted_for_use()
    }

    // === what is charged ===

    /// Charges what its thread, which is the calling one, used since it was charged last.
    pub fn charge(&self) -> Spent {
        let (cpu, until) = (cpu_time::of_this_thread(), Instant::now());
        let now = nanos(until);
        let used = cpu.saturating_sub(self.charged.swap(cpu, Ordering::Relaxed));
        let passed = now.saturating_sub(self.charged_at.swap(now, Ordering::Relaxed));
        self.charge_nanos(used, now);
        let absent = Duration::from_nanos(passed.saturating_sub(used));
        Spent { cpu: Duration::from_nanos(used), absent, until }
    }

    /// Charges what other threads used for it.
    pub fn charge_helpers(&self, cpu: Duration) {
        let used = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        self.charge_nanos(used, nanos(Instant::now()));
    }

    fn charge_nanos(&self, used: u64, now: u64) {
        let at_pace = self.contender.charge(used);
        self.scheduler.active.charge(&self.contender.share.fair, at_pace, now);
    }

    // === threads that decode ===

    /// The camera could keep so many cores busy.
    pub fn tell_load(&self, cores: f64) {
        let (pool, tenant) = (&self.scheduler.decode_threads, &self.contender.share.load);
        pool.tell_load(&self.decode_threads, tenant, cores);
    }

    /// How many threads the camera may decode with, at least its own.
    #[must_use]
    pub fn room_for_threads(&self) -> usize {
        let Scheduler { decode_threads, cores, .. } = &*self.scheduler;
        decode_threads.room(&self.decode_threads, &self.part(), *cores)
    }

    /// Takes, or gives back, what it needs to decode with so many threads. How many it has then.
    pub fn reserve(&self, threads: usize) -> usize {
        let Scheduler { decode_threads, cores, .. } = &*self.scheduler;
        decode_threads.reserve(&self.decode_threads, threads, *cores)
    }

    /// Whether its tenant may keep so many threads busy for this camera although others wait.
    #[must_use]
    pub fn is_in_part(&self, threads: usize) -> bool {
        self.decode_threads.is_in_part(&self.part(), threads)
    }

    /// Its tenant's part.
    fn part(&self) -> Part<'_> {
        let share = &self.contender.share;
        Part { load: &share.load, cores: self.scheduler.active.part(share.weight()) }
    }
}

impl Drop for CoreClaim {
    fn drop(&mut self) {
        self.reserve(1);
        self.tell_load(0.0);
    }
}

impl Drop for CorePermit {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests;
