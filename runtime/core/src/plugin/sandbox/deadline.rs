//! Time within a call: when it has to end, when it has to let others have the core, and how much it
//! has used.
//!
//! The kernel's clock of a thread's CPU time costs as much as a short call. So it is read where
//! calls look at their deadline anyway: what is shorter than a tick is charged by the wall clock.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use wasmtime::{EngineWeak, Store, UpdateDeadline};

use super::host_state::HostState;
use crate::sched::CoreClaim;

/// How often calls look at their deadline.
const TICK: Duration = Duration::from_millis(1);
/// How often it is looked whether calls run that need ticks. Most calls are shorter than a tick, and to
/// wake a thread for each costs more than they do.
const ROUND: Duration = Duration::from_millis(10);
/// A call whose deadline is as near as this needs ticks at once.
const NEAR: Duration = ROUND.saturating_mul(4);
/// After so many rounds without a call nobody looks any more.
const QUIET_ROUNDS: u32 = 100;
/// How long the thread that ticks may outlive its engine.
const MOST_IDLE: Duration = Duration::from_secs(1);

/// Makes the ticks of an engine while calls run that need them.
#[derive(Default)]
pub(crate) struct Ticker {
    /// How many calls run.
    calls: AtomicUsize,
    /// How many have begun.
    begun: AtomicUsize,
    /// What the thread does, as a [`Pace`].
    pace: AtomicU8,
    thread: OnceLock<Thread>,
}

/// How often the thread that ticks wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum TickRate {
    /// Each tick.
    Ticks,
    /// Each round.
    Rounds,
    /// When it is woken.
    Sleeps,
}

/// The clock of one store.
pub(crate) struct CallClock {
    ticker: Arc<Ticker>,
    /// A call runs, and needs ticks.
    is_running: bool,
    began: Instant,
    ends_at: Instant,
    /// When it was looked at last, …
    seen_at: Instant,
    /// … and for how long the call had no core by then.
    absent: Duration,
    /// The camera's claim to a core, while the call is on its thread.
    seat: Option<Arc<CoreClaim>>,
}

/// A call is over.
pub(crate) struct CallEnd {
    /// When that was.
    pub at: Instant,
    /// How long it had a core. Without a seat: how long it took.
    pub used: Duration,
}

impl CallEnd {
    /// That of a call which did not come about.
    pub fn immediate(at: Instant) -> Self {
        Self { at, used: Duration::ZERO }
    }
}

impl CallClock {
    /// A clock that has run out.
    pub fn stopped(ticker: &Arc<Ticker>) -> Self {
        let now = Instant::now();
        Self {
            ticker: Arc::clone(ticker),
            is_running: false,
            began: now,
            ends_at: now,
            seen_at: now,
            absent: Duration::ZERO,
            seat: None,
        }
    }

    fn start(&mut self, within: Range<Instant>, seat: Option<&Arc<CoreClaim>>) {
        if !std::mem::replace(&mut self.is_running, true) {
            // Off a camera's thread, and where others may want the core, each tick counts.
            let may_give_way = seat.is_none_or(|seat| seat.begin_call(within.end));
            let is_near = within.end.saturating_duration_since(within.start) < NEAR;
            self.ticker.call_begins(may_give_way || is_near);
        }
        Range { start: self.began, end: self.ends_at } = within;
        (self.seen_at, self.absent) = (self.began, Duration::ZERO);
        // It is the same from call to call, and counting references costs more than to look.
        if self.seat.as_ref().map(Arc::as_ptr) != seat.map(Arc::as_ptr) {
            self.seat = seat.cloned();
        }
    }

    /// Whether the call has to end: what the host does for a plugin counts too.
    pub fn has_run_out(&self) -> bool {
        Instant::now() >= self.ends_at
    }

    fn tick(&mut self) -> UpdateDeadline {
        if let Some(seat) = &self.seat {
            let was_behind = seat.is_behind_for_use();
            let absent = absence(seat, self.seen_at);
            let waited = seat.give_way(self.began..self.ends_at);
            self.absent += absent + waited;
            // The time that others had by their better claim is given back; what the operating system
            // took, it took, and so did those who went before a long call.
            self.ends_at += waited + if was_behind { absent } else { Duration::ZERO };
            self.seen_at = Instant::now();
        }
        if self.has_run_out() { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) }
    }

    fn end(&mut self) -> CallEnd {
        if std::mem::take(&mut self.is_running) {
            self.ticker.call_ends();
        }
        let at = Instant::now();
        let took = at - self.began;
        let Some(seat) = &self.seat else { return CallEnd { at, used: took } };
        if took > TICK {
            self.absent += absence(seat, self.seen_at);
            self.seen_at = at;
        }
        let used = took.saturating_sub(self.absent);
        seat.end_call(used);
        CallEnd { at, used }
    }
}

impl Drop for CallClock {
    fn drop(&mut self) {
        if self.is_running {
            self.ticker.call_ends();
        }
    }
}

/// For how long the thread of a call had no core since it was seen last. What it was charged for may
/// go back to before the call.
fn absence(seat: &CoreClaim, seen_at: Instant) -> Duration {
    let spent = seat.charge();
    spent.absent.min(spent.until - seen_at)
}

/// Has the plugin in `store` look at its clock with each tick.
pub(crate) fn wind(store: &mut Store<HostState>) {
    store.epoch_deadline_callback(|mut store| Ok(store.data_mut().clock.tick()));
}

/// An entry into the plugin in `store` begins, or several do: from when to when at most.
pub(crate) fn start(
    store: &mut Store<HostState>,
    within: Range<Instant>,
    seat: Option<&Arc<CoreClaim>>,
) {
    store.data_mut().clock.start(within, seat);
    store.set_epoch_deadline(1);
}

/// The plugin in `store` was left: what comes next is the host's work.
pub(crate) fn leave(store: &mut Store<HostState>) -> CallEnd {
    store.data_mut().clock.end()
}

impl Ticker {
    /// Starts the thread that makes the ticks of an engine. It ends with the engine.
    pub fn start(engine: EngineWeak) -> std::io::Result<Arc<Self>> {
        let ticker = Arc::new(Self::default());
        let own = Arc::clone(&ticker);
        let name = "plugin-clock".to_owned();
        let thread = std::thread::Builder::new().name(name).spawn(move || own.run(&engine))?;
        ticker.thread.get_or_init(|| thread.thread().clone());
        Ok(ticker)
    }

    fn run(&self, engine: &EngineWeak) {
        raise_priority();
        let (mut next, mut seen, mut quiet) = (Instant::now() + TICK, 0, 0);
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            if self.calls.load(Ordering::Acquire) > 0 {
                let now = Instant::now();
                // Ticks that were missed are over: a call that is late looks at its clock at the next.
                next = (next + TICK).max(now);
                std::thread::sleep(next - now);
                continue;
            }
            let begun = self.begun.load(Ordering::Relaxed);
            quiet = if begun == seen { quiet + 1 } else { 0 };
            seen = begun;
            let (pace, longest) = match quiet {
                ..QUIET_ROUNDS => (TickRate::Rounds, ROUND),
                // A hundred wake-ups a second would be most of what an idle process does. The engine may
                // end meanwhile.
                _ => (TickRate::Sleeps, MOST_IDLE),
            };
            // Either a call that begins now sees the pace, or it is seen here: both write first and then
            // look, in one order that all threads agree on.
            self.pace.store(pace as u8, Ordering::SeqCst);
            if self.begun.load(Ordering::SeqCst) == seen {
                std::thread::park_timeout(longest);
            }
            self.pace.store(TickRate::Ticks as u8, Ordering::SeqCst);
        }
    }

    /// `is_urgent`: it needs ticks from its beginning on.
    fn call_begins(&self, is_urgent: bool) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        let pace = self.pace.load(Ordering::SeqCst);
        let is_late = pace == TickRate::Sleeps as u8 || is_urgent && pace == TickRate::Rounds as u8;
        if is_late && let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn call_ends(&self) {
        self.calls.fetch_sub(1, Ordering::Release);
    }
}

/// A deadline is as sharp as this thread is punctual. Nothing but that depends on whether it is
/// granted.
fn raise_priority() {
    #[cfg(target_os = "linux")]
    // SAFETY: it takes numbers and touches no memory of ours. On Linux it concerns this thread alone.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::Tenant;

    #[test]
    fn ticks_are_needed_from_the_beginning_of_a_call_to_its_end_however_it_ends() {
        let (ticker, now) = (Arc::new(Ticker::default()), Instant::now());
        let calls = || ticker.calls.load(Ordering::Acquire);
        let (mut ended, mut dropped) = (CallClock::stopped(&ticker), CallClock::stopped(&ticker));
        for clock in [&mut ended, &mut dropped] {
            clock.start(now..now, None);
            clock.start(now..now, None);
        }
        assert_eq!(calls(), 2);
        ended.end();
        ended.end();
        assert_eq!(calls(), 1);
        drop(dropped);
        drop(ended);
        assert_eq!(calls(), 0);
    }

    #[test]
    fn a_call_is_charged_for_the_core_that_it_had_and_not_for_its_wait() {
        let seat = Tenant::nobody().seat();
        let _turn = seat.take();
        let within = |length: Duration| Instant::now()..Instant::now() + length;
        let mut clock = CallClock::stopped(&Arc::default());
        clock.start(within(Duration::from_secs(60)), Some(&seat));
        std::thread::sleep(Duration::from_millis(50));
        // Between ticks, at one, and after it.
        assert!(matches!(clock.tick(), UpdateDeadline::Continue(1)));
        std::thread::sleep(Duration::from_millis(50));
        let began = clock.began;
        let CallEnd { at, used } = clock.end();
        let took = at - began;
        assert!(took >= Duration::from_millis(100), "{took:?}");
        assert!(used < took / 2, "{used:?} of {took:?}");
    }

    #[test]
    fn a_call_of_no_camera_is_charged_for_all_that_it_took() {
        let now = Instant::now();
        let mut clock = CallClock::stopped(&Arc::default());
        clock.start(now..now + Duration::from_millis(1), None);
        std::thread::sleep(Duration::from_millis(5));
        let CallEnd { at, used } = clock.end();
        assert_eq!(used, at - now);
        assert!(clock.has_run_out());
        assert!(matches!(clock.tick(), UpdateDeadline::Interrupt));
    }
}
