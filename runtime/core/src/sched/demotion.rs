//! Threads that leave the cores to others for now.
//!
//! Permits are comux's own affair: the operating system knows nothing of them, and threads that
//! need none, such as those that talk to Kafka, would wait behind plugins for milliseconds at each
//! step of a record's way. So a thread may be *demoted*: it then runs on cores that no other thread
//! wants (see [`sched_idle`](super::sched_idle)). Two are:
//!
//! - whose tenant has used more than its part of the cores, while it decodes and calls plugins;
//! - whose plugin takes long. Whoever goes after a long call waits long, whoever goes after a short
//!   one does not: that the short go first costs the long ones little and is worth much to the
//!   others.
//!
//! A core that others want all the time would never be theirs. So a watchdog looks after demoted
//! threads: whose tenant has not had its part, and who was kept from a core for [`STARVED`], is
//! promoted until what it does is done. A long call is promoted of itself for the last moments
//! before its deadline, so that it can be stopped in time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::clock::{nanos, nanos_of};
use super::cpu_time::ThreadClock;
use super::fair_share::FairShare;
use super::sched_idle::{self, ThreadId};

/// A call is long that takes more than this: about what it takes to decode a small frame.
pub(super) const LONG: Duration = Duration::from_millis(2);
/// One call in so many that is long makes a camera's calls long ones.
pub(super) const REMEMBERED: u64 = 8;
/// For so long at most is somebody kept from a core whose tenant has not had its part.
pub(super) const STARVED: Duration = Duration::from_millis(5);
/// How often the watchdog looks.
const ROUND: Duration = Duration::from_millis(5);
/// In the last moments before its deadline a call is not demoted, so that it ends in time. Whoever
/// is kept from a core just before them has been promoted when they are over.
pub(super) const LAST_MOMENTS: Duration = STARVED.saturating_add(ROUND);
/// How long the watchdog's thread may outlive what it watches.
const MOST_IDLE: Duration = Duration::from_secs(1);

/// How a camera's thread stands to the other threads of the machine. But for what is said
/// otherwise, its own thread alone asks and changes it.
#[derive(Debug)]
pub(super) struct Standing {
    fair: Arc<FairShare>,
    /// It leaves the cores to others.
    is_demoted: AtomicBool,
    /// Its tenant had used more than its part when that was looked at last.
    is_exceeded: AtomicBool,
    /// The watchdog looks after it.
    is_watched: AtomicBool,
    /// How long its calls take lately, in nanoseconds of a core.
    usual: AtomicU64,
    /// The watchdog, which sets this, has promoted it.
    is_relieved: AtomicBool,
}

/// Looks after demoted threads.
#[derive(Default)]
pub(super) struct StarvationWatchdog {
    demoted: Mutex<Vec<Demoted>>,
    /// Absent when the operating system gives no thread.
    thread: OnceLock<Option<Thread>>,
}

/// What the watchdog knows of one of them.
struct Demoted {
    standing: Arc<Standing>,
    thread: ThreadId,
    since: Instant,
    clock: ThreadClock,
    /// What the clock showed then.
    cpu: Duration,
}

impl Standing {
    /// That of a thread whose tenant's part this is.
    pub fn new(fair: Arc<FairShare>) -> Arc<Self> {
        Arc::new(Self {
            fair,
            is_demoted: AtomicBool::new(false),
            is_exceeded: AtomicBool::new(false),
            is_watched: AtomicBool::new(false),
            usual: AtomicU64::new(0),
            is_relieved: AtomicBool::new(false),
        })
    }

    /// A long piece of work begins, which locks nothing that others need: demotes the thread if its
    /// tenant has used more than its part.
    pub fn begin_work(self: &Arc<Self>, watchdog: &Arc<StarvationWatchdog>) {
        if self.look_at_use() {
            self.demote(watchdog);
        }
    }

    /// A call of a plugin begins that has to end by `ends_at`, likewise, and also if the camera's
    /// calls are long. Whether it should be demoted.
    pub fn begin_call(
        self: &Arc<Self>,
        watchdog: &Arc<StarvationWatchdog>,
        ends_at: Instant,
    ) -> bool {
        let is_long = self.usual.load(Relaxed) > nanos_of(LONG) && !is_nearly_over(ends_at);
        let is_due = self.look_at_use() || is_long;
        if is_due {
            self.demote(watchdog);
        }
        is_due
    }

    /// A call of a plugin goes on that has lasted since the start of `within` and has to end by its
    /// end: leaves the cores to all other threads if it is long.
    pub fn go_on(self: &Arc<Self>, watchdog: &Arc<StarvationWatchdog>, within: Range<Instant>) {
        let may_stay = self.is_relieved.load(Relaxed) || is_nearly_over(within.end);
        if may_stay {
            self.promote_for_now();
        }
        if self.look_at_use() || !may_stay && within.start.elapsed() > LONG {
            self.demote(watchdog);
        }
    }

    /// A call of a plugin has ended that had a core for so long.
    pub fn remember_call(&self, used: Duration) {
        let usual = self.usual.load(Relaxed);
        self.usual.store((usual - usual / REMEMBERED).max(nanos_of(used)), Relaxed);
    }

    /// Ends what [`Self::begin_work`], [`Self::begin_call`] or [`Self::go_on`] began.
    pub fn promote(&self, watchdog: &StarvationWatchdog) {
        self.promote_for_now();
        if self.is_watched.load(Relaxed) {
            self.is_watched.store(false, Relaxed);
            watchdog.forget(self);
            self.is_relieved.store(false, Relaxed);
        }
    }

    /// Among the others again, for now at least.
    pub fn promote_for_now(&self) {
        if self.is_demoted() {
            self.is_demoted.store(false, Relaxed);
            sched_idle::promote();
        }
    }

    /// Whether the thread leaves the cores to others for now.
    pub fn is_demoted(&self) -> bool {
        self.is_demoted.load(Relaxed)
    }

    /// Whether it does because its tenant has used more than its part, and so perhaps for long.
    pub fn is_demoted_for_use(&self) -> bool {
        self.is_demoted() && self.is_exceeded.load(Relaxed)
    }

    /// Whether its tenant has used more than its part of the cores by `now`. Any thread may ask.
    fn is_exceeded(&self, now: Instant) -> bool {
        self.fair.is_exceeded(nanos(now))
    }

    fn look_at_use(&self) -> bool {
        let is_exceeded = self.is_exceeded(Instant::now());
        self.is_exceeded.store(is_exceeded, Relaxed);
        is_exceeded
    }

    /// Only with somebody who looks after it.
    fn demote(self: &Arc<Self>, watchdog: &Arc<StarvationWatchdog>) {
        if self.is_demoted() || !sched_idle::is_allowed() {
            return;
        }
        if !self.is_watched.load(Relaxed) {
            if !watchdog.watch(self) {
                return;
            }
            self.is_watched.store(true, Relaxed);
        }
        self.is_demoted.store(sched_idle::demote(), Relaxed);
    }
}

fn is_nearly_over(ends_at: Instant) -> bool {
    ends_at.saturating_duration_since(Instant::now()) < LAST_MOMENTS
}

impl StarvationWatchdog {
    /// The calling thread, whose standing this is, is about to be demoted. Whether it is looked
    /// after.
    fn watch(self: &Arc<Self>, standing: &Arc<Standing>) -> bool {
        let begin = || {
            let (name, watchdog) = ("starvation".to_owned(), Arc::downgrade(self));
            let thread = std::thread::Builder::new().name(name).spawn(move || Self::run(&watchdog));
            thread.ok().map(|it| it.thread().clone())
        };
        let Some(thread) = self.thread.get_or_init(begin) else { return false };
        let Some((clock, cpu)) = ThreadClock::of_this_thread() else { return false };
        let (standing, since) = (Arc::clone(standing), Instant::now());
        let entry = Demoted { standing, thread: ThreadId::own(), since, clock, cpu };
        let is_first = {
            let mut demoted = self.demoted.lock();
            demoted.push(entry);
            demoted.len() == 1
        };
        if is_first {
            thread.unpark();
        }
        true
    }

    /// The thread of this standing is promoted for good.
    fn forget(&self, standing: &Standing) {
        self.demoted.lock().retain(|entry| !std::ptr::eq(&raw const *entry.standing, standing));
    }

    fn run(watchdog: &Weak<Self>) {
        while let Some(watchdog) = watchdog.upgrade() {
            let is_needed = watchdog.look(Instant::now());
            drop(watchdog);
            if is_needed {
                std::thread::sleep(ROUND);
            } else {
                std::thread::park_timeout(MOST_IDLE);
            }
        }
    }

    /// Promotes who waited long enough by `now`. Whether there is anybody to look after.
    fn look(&self, now: Instant) -> bool {
        let demoted = self.demoted.lock();
        // Those who are promoted may have been demoted at that very moment: so they are once more.
        for entry in demoted.iter().filter(|entry| entry.is_starved(now)) {
            entry.standing.is_relieved.store(true, Relaxed);
            sched_idle::promote_thread(entry.thread);
        }
        !demoted.is_empty()
    }
}

impl Demoted {
    /// Whether it is to be promoted.
    fn is_starved(&self, now: Instant) -> bool {
        let had = self.clock.now().unwrap_or(self.cpu).saturating_sub(self.cpu);
        let lacked = now.saturating_duration_since(self.since).saturating_sub(had);
        lacked >= STARVED && !self.standing.is_exceeded(now)
    }
}

#[cfg(test)]
impl StarvationWatchdog {
    /// From now on it looks only when a test calls this.
    pub fn look_by_hand(&self, now: Instant) -> bool {
        self.look(now)
    }

    /// Nobody looks of itself.
    pub fn without_thread(&self) {
        let _ = self.thread.set(Some(std::thread::current()));
    }

    pub fn is_idle(&self) -> bool {
        self.demoted.lock().is_empty()
    }
}
