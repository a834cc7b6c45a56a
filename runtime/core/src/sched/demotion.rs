//! Who leaves the cores to other threads for now.
//!
//! Seats are comux's own affair: the operating system knows nothing of them, and threads that need no
//! seat, such as those that talk to Kafka, would wait behind plugins for milliseconds at each step of
//! a record's way. So a thread may *step back*: it then runs on cores that no other thread wants (see
//! [`crate::sched::sched_idle`]). Two do:
//!
//! - whose tenant has used more than its part of the cores, while it decodes and calls plugins;
//! - whose plugin takes long. Whoever goes after a long call waits long, whoever goes after a short one
//!   does not: that the short go first costs the long ones little and is worth much to the others.
//!
//! A core that others want all the time would never be theirs. So an usher looks after those who stand
//! behind: whose tenant has not had its part, and who was kept from a core for [`PATIENCE`], is brought
//! back until what it does is done. A long call comes back of itself for its last moments before its
//! deadline, so that it can be stopped in time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::cpu_time::ThreadClock;
use super::sched_idle::ThreadId;
use super::scheduler::{CoreClaim, Scheduler};
use crate::sched::sched_idle;
use crate::tenancy::nanos_of;

/// A call is long that takes more than this: about what it takes to decode a small picture.
const LONG: Duration = Duration::from_millis(2);
/// One call in so many that is long makes a camera's calls long ones.
const REMEMBERED: u64 = 8;
/// For so long at most is somebody kept from a core whose tenant has not had its part.
const PATIENCE: Duration = Duration::from_millis(5);
/// How often the usher looks.
const ROUND: Duration = Duration::from_millis(5);
/// In the last moments before its deadline a call is among the others, so that it ends in time. Whoever
/// is kept from a core just before them has been brought back when they are over.
const LAST_MOMENTS: Duration = PATIENCE.saturating_add(ROUND);
/// How long the usher may outlive the cores.
const MOST_IDLE: Duration = Duration::from_secs(1);

/// Where a camera's thread stands.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// It leaves the cores to others, as its thread sees it, which alone changes this and what follows.
    is_behind: AtomicBool,
    /// Its tenant had used more than its part when that was looked at last.
    is_exceeded: AtomicBool,
    /// The usher looks after it.
    is_attended: AtomicBool,
    /// How long its calls take lately, in nanoseconds of a core.
    usual: AtomicU64,
    /// The usher has brought it back.
    is_relieved: AtomicBool,
}

/// Looks after those who stand behind others.
#[derive(Default)]
pub(crate) struct StarvationWatchdog {
    behind: Mutex<Vec<Stay>>,
    /// Absent when the operating system gives no thread.
    thread: OnceLock<Option<Thread>>,
}

/// What the usher knows of one of them.
struct Stay {
    seat: Arc<CoreClaim>,
    thread: ThreadId,
    since: Instant,
    clock: ThreadClock,
    /// What the clock showed then.
    cpu: Duration,
}

impl CoreClaim {
    /// A long piece of work begins, which locks nothing that others need: it is done on cores that no
    /// other thread wants, if the tenant has used more than its part.
    pub fn step_back(self: &Arc<Self>) {
        let is_due = self.look_at_use();
        self.step_back_if(is_due);
    }

    /// A call of a plugin begins that has to end by `ends_at`, likewise, and also if the camera's calls are
    /// long. Whether it may have to give way soon: it should stand behind others, or some wait for a seat.
    pub fn begin_call(self: &Arc<Self>, ends_at: Instant) -> bool {
        let usual = self.standing.usual.load(Relaxed);
        let is_long = usual > nanos_of(LONG) && !is_nearly_over(ends_at);
        let is_due = self.look_at_use() || is_long;
        self.step_back_if(is_due);
        is_due || self.cores.has_pressure()
    }

    /// A call of a plugin goes on that has lasted since the start of `within` and has to end by its end:
    /// gives way to those with the better claim by now, and to all other threads if it is long. Returns
    /// for how long the former had the seat. Without a turn it does nothing.
    pub fn give_way(self: &Arc<Self>, within: Range<Instant>) -> Duration {
        if !self.is_seated() {
            return Duration::ZERO;
        }
        let mut waited = Duration::ZERO;
        if self.cores.has_pressure() {
            // Whoever is behind all others must not hold what they may wait for.
            self.come_forward();
            waited = self.let_others();
        }
        let may_stay =
            self.standing.is_relieved.load(Relaxed) || is_nearly_over(within.end + waited);
        if may_stay {
            self.come_forward();
        }
        let is_due = self.look_at_use() || !may_stay && within.start.elapsed() > LONG;
        self.step_back_if(is_due);
        waited
    }

    /// A call of a plugin has ended that had a core for so long.
    pub fn end_call(&self, used: Duration) {
        self.come_back();
        let usual = self.standing.usual.load(Relaxed);
        self.standing.usual.store((usual - usual / REMEMBERED).max(nanos_of(used)), Relaxed);
    }

    /// Ends what [`Self::step_back`], [`Self::begin_call`] or [`Self::give_way`] began.
    pub fn come_back(&self) {
        self.come_forward();
        if self.standing.is_attended.load(Relaxed) {
            self.standing.is_attended.store(false, Relaxed);
            self.cores.usher.leave(self);
            self.standing.is_relieved.store(false, Relaxed);
        }
    }

    /// Threads that `begin` starts run only on cores which nobody else wants, for good, if the operating
    /// system lets the calling thread come back from there.
    pub fn behind_others<T>(&self, begin: impl FnOnce() -> T) -> T {
        // The usher must not bring it back meanwhile.
        self.come_back();
        let is_behind = sched_idle::demote();
        let begun = begin();
        if is_behind {
            sched_idle::promote();
        }
        begun
    }

    /// Whether its thread leaves the cores to others for now.
    pub fn is_behind(&self) -> bool {
        self.standing.is_behind.load(Relaxed)
    }

    /// Whether it does because its tenant has used more than its part, and so perhaps for long.
    pub fn is_behind_for_use(&self) -> bool {
        self.is_behind() && self.standing.is_exceeded.load(Relaxed)
    }

    fn look_at_use(&self) -> bool {
        let is_exceeded = self.is_exceeded(Instant::now());
        self.standing.is_exceeded.store(is_exceeded, Relaxed);
        is_exceeded
    }

    fn step_back_if(self: &Arc<Self>, is_due: bool) {
        if is_due && self.is_seated() && !self.is_behind() && sched_idle::is_allowed() {
            if !self.standing.is_attended.load(Relaxed) {
                if !StarvationWatchdog::attend(self) {
                    return;
                }
                self.standing.is_attended.store(true, Relaxed);
            }
            self.standing.is_behind.store(sched_idle::demote(), Relaxed);
        }
    }

    /// Among the others again, for now at least.
    fn come_forward(&self) {
        if self.is_behind() {
            self.standing.is_behind.store(false, Relaxed);
            sched_idle::promote();
        }
    }
}

fn is_nearly_over(ends_at: Instant) -> bool {
    ends_at.saturating_duration_since(Instant::now()) < LAST_MOMENTS
}

impl StarvationWatchdog {
    /// The calling thread, that of `seat`, is about to step back. Whether anybody looks after it.
    fn attend(seat: &Arc<CoreClaim>) -> bool {
        let (usher, cores) = (&seat.cores.usher, Arc::downgrade(&seat.cores));
        let begin = || {
            let name = "usher".to_owned();
            let thread = std::thread::Builder::new().name(name).spawn(move || Self::run(&cores));
            thread.ok().map(|it| it.thread().clone())
        };
        let Some(thread) = usher.thread.get_or_init(begin) else { return false };
        let Some((clock, cpu)) = ThreadClock::of_this_thread() else { return false };
        let stay = Stay {
            seat: Arc::clone(seat),
            thread: ThreadId::own(),
            since: Instant::now(),
            clock,
            cpu,
        };
        let is_first = {
            let mut behind = usher.behind.lock().unwrap_or_else(PoisonError::into_inner);
            behind.push(stay);
            behind.len() == 1
        };
        if is_first {
            thread.unpark();
        }
        true
    }

    /// The thread of `seat` is back.
    fn leave(&self, seat: &CoreClaim) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.retain(|stay| !std::ptr::eq(&raw const *stay.seat, seat));
    }

    fn run(cores: &Weak<Scheduler>) {
        while let Some(cores) = cores.upgrade() {
            let is_needed = cores.usher.look(Instant::now());
            drop(cores);
            if is_needed {
                std::thread::sleep(ROUND);
            } else {
                std::thread::park_timeout(MOST_IDLE);
            }
        }
    }

    /// Brings back who waited long enough by `now`. Whether there is anybody.
    fn look(&self, now: Instant) -> bool {
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        // Those who were brought back may have stepped back at that very moment: so they are again.
        for stay in behind.iter().filter(|stay| stay.is_due(now)) {
            stay.seat.standing.is_relieved.store(true, Relaxed);
            sched_idle::promote_thread(stay.thread);
        }
        !behind.is_empty()
    }
}

impl Stay {
    /// Whether it is to be brought back.
    fn is_due(&self, now: Instant) -> bool {
        let had = self.clock.now().unwrap_or(self.cpu).saturating_sub(self.cpu);
        let lacked = now.saturating_duration_since(self.since).saturating_sub(had);
        lacked >= PATIENCE && !self.seat.is_exceeded(now)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::sched::scheduler::Share;

    const MILLISECOND: Duration = Duration::from_millis(1);
    /// One that goes on for longer than any test.
    const AGES: Duration = Duration::from_secs(3600);

    /// When calls have to end that have much time.
    fn later() -> Instant {
        Instant::now() + AGES
    }

    fn seat() -> Arc<CoreClaim> {
        CoreClaim::new(&Scheduler::with_seats(1), &Share::new(1.0))
    }

    /// Calls of a plugin have taken so long, and one begins, on a thread that is then blocked until
    /// `look` has ended. It is given what tells whether the thread is behind.
    fn in_a_call(seat: &Arc<CoreClaim>, used: Duration, look: impl FnOnce(&dyn Fn() -> bool)) {
        if !sched_idle::is_allowed() {
            return;
        }
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let _turn = seat.take();
                seat.end_call(used);
                seat.begin_call(later());
                tell.send(nix::unistd::gettid()).unwrap();
                let _ = ended.recv();
                seat.end_call(used);
                assert!(!sched_idle::is_demoted(nix::unistd::gettid()));
            });
            let thread = told.recv().unwrap();
            look(&|| sched_idle::is_demoted(thread));
            drop(end);
        });
        assert!(seat.cores.usher.behind.lock().unwrap().is_empty());
    }

    /// Nobody looks of itself.
    fn without_usher(seat: &CoreClaim) {
        seat.cores.usher.thread.set(Some(std::thread::current())).unwrap();
    }

    #[test]
    fn a_long_call_stands_behind_others_until_it_was_kept_from_a_core_for_long() {
        let seat = seat();
        without_usher(&seat);
        in_a_call(&seat, 3 * MILLISECOND, |is_behind| {
            let began = Instant::now();
            assert!(is_behind());
            assert!(seat.cores.usher.look(began));
            assert!(is_behind());
            seat.cores.usher.look(began + PATIENCE);
            assert!(!is_behind());
        });
        in_a_call(&seat, MILLISECOND, |is_behind| assert!(is_behind(), "it is remembered"));
        in_a_call(&self::seat(), MILLISECOND, |is_behind| assert!(!is_behind(), "it is short"));
    }

    #[test]
    fn whose_tenant_has_had_its_part_stands_behind_others_until_that_is_over() {
        let seat = seat();
        without_usher(&seat);
        seat.charge_helpers(AGES);
        in_a_call(&seat, MILLISECOND, |is_behind| {
            let now = Instant::now();
            seat.cores.usher.look(now + AGES / 2);
            assert!(is_behind());
            seat.cores.usher.look(now + AGES);
            assert!(!is_behind());
        });
    }

    #[test]
    fn somebody_brings_back_who_waits() {
        in_a_call(&seat(), 3 * MILLISECOND, |is_behind| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while is_behind() {
                assert!(Instant::now() < deadline, "it is left behind");
                std::thread::sleep(MILLISECOND);
            }
        });
    }

    #[test]
    fn a_call_that_turns_out_to_be_long_steps_back_once() {
        let seat = seat();
        without_usher(&seat);
        let _turn = seat.take();
        seat.begin_call(later());
        seat.give_way(Instant::now()..later());
        assert!(!seat.is_behind());
        let began = Instant::now().checked_sub(LONG).unwrap();
        seat.give_way(began..later());
        assert_eq!(seat.is_behind(), sched_idle::is_allowed());
        seat.cores.usher.look(Instant::now() + 2 * PATIENCE);
        seat.give_way(began..later());
        assert!(!seat.is_behind(), "it was brought back");
        seat.end_call(LONG);
        seat.begin_call(later());
        seat.give_way(began..later());
        assert_eq!(seat.is_behind(), sched_idle::is_allowed(), "so does the next one");
    }

    #[test]
    fn a_long_call_is_among_the_others_shortly_before_it_has_to_end() {
        let seat = seat();
        without_usher(&seat);
        let _turn = seat.take();
        let began = Instant::now().checked_sub(LONG).unwrap();
        seat.begin_call(later());
        seat.give_way(began..later());
        assert_eq!(seat.is_behind(), sched_idle::is_allowed());
        seat.give_way(began..Instant::now() + LAST_MOMENTS);
        assert!(!seat.is_behind(), "it goes on");
        seat.end_call(2 * LONG);
        seat.begin_call(Instant::now() + LAST_MOMENTS);
        assert!(!seat.is_behind(), "it begins with little time");
        seat.charge_helpers(AGES);
        seat.give_way(began..Instant::now() + LAST_MOMENTS);
        assert_eq!(seat.is_behind(), sched_idle::is_allowed(), "its tenant has had its part");
    }

    #[test]
    fn long_calls_are_forgotten_after_some_short_ones() {
        let seat = seat();
        let _turn = seat.take();
        let is_long_after = |short_ones| {
            seat.end_call(2 * LONG);
            (0..short_ones).for_each(|_| seat.end_call(MILLISECOND));
            seat.begin_call(later());
            seat.is_behind()
        };
        assert_eq!(is_long_after(REMEMBERED / 2), sched_idle::is_allowed());
        assert!(!is_long_after(REMEMBERED));
    }
}
