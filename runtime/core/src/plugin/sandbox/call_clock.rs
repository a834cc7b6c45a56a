//! Time within a call: when it has to end, when it has to let others have the core, and how much it
//! has used.
//!
//! The kernel's clock of a thread's CPU time costs as much as a short call. So it is read where
//! calls look at their deadline anyway: what is shorter than a tick is charged by the wall clock.
//!
//! Nobody starts a clock but [`super::instance`], which also ends it.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::UpdateDeadline;

use super::ticker::{NEAR, TICK, Ticker};
use crate::sched::CoreClaim;

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
    claim: Option<Arc<CoreClaim>>,
}

/// A call is over.
pub(crate) struct CallEnd {
    /// When that was.
    pub at: Instant,
    /// How long it had a core. Without a claim to a core: how long it took.
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
            claim: None,
        }
    }

    /// An entry into the plugin begins: from when to when at most.
    pub fn start(&mut self, within: Range<Instant>, claim: Option<&Arc<CoreClaim>>) {
        if !std::mem::replace(&mut self.is_running, true) {
            // Off a camera's thread, and where others may want the core, each tick counts.
            let may_give_way = claim.is_none_or(|claim| claim.begin_call(within.end));
            let is_near = within.end.saturating_duration_since(within.start) < NEAR;
            self.ticker.call_begins(may_give_way || is_near);
        }
        Range { start: self.began, end: self.ends_at } = within;
        (self.seen_at, self.absent) = (self.began, Duration::ZERO);
        // It is the same from call to call, and counting references costs more than to look.
        if self.claim.as_ref().map(Arc::as_ptr) != claim.map(Arc::as_ptr) {
            self.claim = claim.cloned();
        }
    }

    /// When the call has to end, or had to: what others had of its time is given back to it.
    pub fn ends_at(&self) -> Instant {
        self.ends_at
    }

    /// Whether the call has to end: what the host does for a plugin counts too.
    pub fn has_run_out(&self) -> bool {
        Instant::now() >= self.ends_at
    }

    /// The call looks at its deadline, and lets others have the core.
    pub fn tick(&mut self) -> UpdateDeadline {
        if let Some(claim) = &self.claim {
            let was_behind = claim.is_demoted_for_use();
            let absent = absence(claim, self.seen_at);
            let waited = claim.give_way(self.began..self.ends_at);
            self.absent += absent + waited;
            // The time that others had by their better claim is given back; what the operating
            // system took, it took, and so did those who went before a long call.
            self.ends_at += waited + if was_behind { absent } else { Duration::ZERO };
            self.seen_at = Instant::now();
        }
        if self.has_run_out() { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) }
    }

    /// The plugin was left: what comes next is the host's work.
    pub fn end(&mut self) -> CallEnd {
        if std::mem::take(&mut self.is_running) {
            self.ticker.call_ends();
        }
        let at = Instant::now();
        let took = at - self.began;
        let Some(claim) = &self.claim else { return CallEnd { at, used: took } };
        if took > TICK {
            self.absent += absence(claim, self.seen_at);
            self.seen_at = at;
        }
        let used = took.saturating_sub(self.absent);
        claim.end_call(used);
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

/// For how long the thread of a call had no core since it was seen last. What it was charged for
/// may go back to before the call.
fn absence(claim: &CoreClaim, seen_at: Instant) -> Duration {
    let spent = claim.charge();
    spent.absent.min(spent.until - seen_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::Tenant;

    #[test]
    fn ticks_are_needed_from_the_beginning_of_a_call_to_its_end_however_it_ends() {
        let (ticker, now) = (Arc::new(Ticker::default()), Instant::now());
        let calls = || ticker.counts().0;
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
        let claim = Tenant::nobody().claim();
        let _permit = claim.take();
        let within = |length: Duration| Instant::now()..Instant::now() + length;
        let mut clock = CallClock::stopped(&Arc::default());
        clock.start(within(Duration::from_secs(60)), Some(&claim));
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
