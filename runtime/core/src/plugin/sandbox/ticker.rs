//! The ticks by which calls look at their deadline: made by one thread for all calls of an engine,
//! and only while calls run that need them.
//!
//! It knows how many calls run and nothing else of them. That each call which begins also ends is
//! for [`super::call_clock`] to see to.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use wasmtime::EngineWeak;

/// How often calls look at their deadline.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// How often it is looked whether calls run that need ticks. Most calls are shorter than a tick,
/// and to wake a thread for each costs more than they do.
const ROUND: Duration = Duration::from_millis(10);
/// A call whose deadline is as near as this needs ticks at once.
pub(super) const NEAR: Duration = ROUND.saturating_mul(4);
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
    /// What the thread does, as a [`TickRate`].
    rate: AtomicU8,
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
                // Ticks that were missed are over: a call that is late looks at its clock at the
                // next.
                next = (next + TICK).max(now);
                std::thread::sleep(next - now);
                continue;
            }
            let begun = self.begun.load(Ordering::Relaxed);
            quiet = if begun == seen { quiet + 1 } else { 0 };
            seen = begun;
            let (rate, longest) = match quiet {
                ..QUIET_ROUNDS => (TickRate::Rounds, ROUND),
                // A hundred wake-ups a second would be most of what an idle process does. The
                // engine may end meanwhile.
                _ => (TickRate::Sleeps, MOST_IDLE),
            };
            // Either a call that begins now sees the rate, or it is seen here: both write first and
            // then look, in one order that all threads agree on.
            self.rate.store(rate as u8, Ordering::SeqCst);
            if self.begun.load(Ordering::SeqCst) == seen {
                std::thread::park_timeout(longest);
            }
            self.rate.store(TickRate::Ticks as u8, Ordering::SeqCst);
        }
    }

    /// `is_urgent`: it needs ticks from its beginning on.
    pub fn call_begins(&self, is_urgent: bool) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        let rate = self.rate.load(Ordering::SeqCst);
        let is_late = rate == TickRate::Sleeps as u8 || is_urgent && rate == TickRate::Rounds as u8;
        if is_late && let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub fn call_ends(&self) {
        self.calls.fetch_sub(1, Ordering::Release);
    }
}

/// A deadline is as sharp as this thread is punctual. Nothing but that depends on whether it is
/// granted.
fn raise_priority() {
    #[cfg(target_os = "linux")]
    // SAFETY: it takes numbers and touches no memory of ours. On Linux it concerns this thread
    // alone.
    let _ = unsafe { nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, -20) };
}

#[cfg(test)]
impl Ticker {
    /// How many calls run, and how many have begun.
    pub fn counts(&self) -> (usize, usize) {
        (self.calls.load(Ordering::Acquire), self.begun.load(Ordering::Acquire))
    }
}
