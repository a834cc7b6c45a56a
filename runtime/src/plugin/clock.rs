//! Time within a call: when it has to end, and when it has to let others have the core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{EngineWeak, Store, UpdateDeadline};

use super::guest::Guest;
use crate::tenant::Seat;

/// How often calls look at their deadline.
const TICK: Duration = Duration::from_millis(1);

/// The clock of one store.
pub(super) struct CallClock {
    ends_at: Instant,
    /// The camera's claim to a core, while the call is on its thread.
    seat: Option<Arc<Seat>>,
}

impl CallClock {
    /// A clock that has run out.
    pub fn stopped() -> Self {
        Self { ends_at: Instant::now(), seat: None }
    }

    /// Whether the call has to end: what the host does for a plugin counts too.
    pub fn has_run_out(&self) -> bool {
        Instant::now() >= self.ends_at
    }

    fn tick(&mut self) -> UpdateDeadline {
        if let Some(seat) = &self.seat {
            // The time that others had is given back.
            self.ends_at += seat.give_way();
        }
        if self.has_run_out() { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) }
    }
}

/// Has the plugin in `store` look at its clock with each tick.
pub(super) fn wind(store: &mut Store<Guest>) {
    store.epoch_deadline_callback(|mut store| Ok(store.data_mut().clock.tick()));
}

/// An entry into the plugin in `store` begins, or several do, that have to end by then.
pub(super) fn start(store: &mut Store<Guest>, ends_at: Instant, seat: Option<&Arc<Seat>>) {
    store.data_mut().clock = CallClock { ends_at, seat: seat.cloned() };
    store.set_epoch_deadline(1);
}

/// The plugin in `store` was left: what comes next is the host's work.
pub(super) fn leave(store: &Store<Guest>) {
    if let Some(seat) = &store.data().clock.seat {
        seat.come_back();
    }
}

/// Starts the thread that makes the ticks of an engine. It ends with the engine.
pub(super) fn run(engine: EngineWeak) -> std::io::Result<()> {
    std::thread::Builder::new().name("plugin-clock".into()).spawn(move || {
        raise_priority();
        let mut next = Instant::now() + TICK;
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            let now = Instant::now();
            // Ticks that were missed are over: a call that is late looks at its clock at the next.
            next = (next + TICK).max(now);
            std::thread::sleep(next - now);
        }
    })?;
    Ok(())
}

/// A deadline is as sharp as this thread is punctual. Nothing but that depends on whether it is
/// granted.
fn raise_priority() {
    #[cfg(target_os = "linux")]
    // SAFETY: it takes numbers and touches no memory of ours. On Linux it concerns this thread alone.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
}
