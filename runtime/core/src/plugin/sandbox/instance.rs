//! An instance in its store, and the one way into it.
//!
//! Whatever runs a plugin's code goes through [`Instance::start`] or [`Instance::enter`]. They see
//! to it that the clock runs as long as the plugin does and no longer, that ticks are made
//! meanwhile, and that what was used is charged: nobody else can start a clock, and nobody can
//! forget to stop one. What a plugin is asked, and what becomes of an instance that is lost, is for
//! those to say who enter.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;

use super::call_clock::CallEnd;
use super::exports::{Exports, LinkedComponent};
use super::failure::Trapped;
use super::frame_view::LentFrame;
use super::host_state::{ALL_FUEL, HostState};
use crate::sched::{CoreClaim, cpu_time};

/// An instance. After an entry that failed it must not be entered again.
pub(crate) struct Instance {
    store: Store<HostState>,
    exports: Exports,
}

/// On what terms a plugin's code runs.
pub(crate) struct Entry<'a> {
    /// When that begins, and when it has to be over.
    pub within: Range<Instant>,
    /// The calling thread's claim to a core, where it has one.
    pub claim: Option<&'a Arc<CoreClaim>>,
    /// Who charges what it uses.
    pub charge: Charge,
    /// Bytes that may come out of the plugin, where these are others than for one frame.
    pub output_bytes: Option<usize>,
}

/// Who charges what an entry uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// The entry itself: by the thread's clock, to the instance's meter.
    Meter,
    /// Who enters, from [`CallEnd::used`]: frames of several cameras may share it.
    Caller,
}

/// An entry that is over.
pub(crate) struct Left<T> {
    pub answer: Result<T, Trapped>,
    pub end: CallEnd,
}

impl Instance {
    /// Makes an instance and calls it for the first time, in one entry.
    pub fn start<T>(
        component: &LinkedComponent,
        state: HostState,
        entry: Entry<'_>,
        first: impl FnOnce(&Exports, &mut Store<HostState>) -> wasmtime::Result<T>,
    ) -> Left<(Self, T)> {
        let mut store = state.into_store(component.engine());
        let Left { answer, end } = enter(&mut store, entry, |store| {
            let exports = component.instantiate(store)?;
            let answer = first(&exports, store)?;
            Ok((exports, answer))
        });
        let answer = answer.map(|(exports, answer)| (Self { store, exports }, answer));
        Left { answer, end }
    }

    /// Calls it.
    #[inline]
    pub fn enter<T>(
        &mut self,
        entry: Entry<'_>,
        call: impl FnOnce(&Exports, &mut Store<HostState>) -> wasmtime::Result<T>,
    ) -> Left<T> {
        let Self { store, exports } = self;
        enter(store, entry, |store| call(exports, store))
    }

    /// Frames that the next entry is about; the handles that stand for them there.
    pub fn lend(&mut self, frames: impl IntoIterator<Item = LentFrame>) -> Range<u32> {
        self.store.data_mut().imports.frames.lend(frames)
    }

    /// The frames that were lent.
    pub fn take_back(&mut self) -> impl Iterator<Item = LentFrame> {
        self.store.data_mut().imports.frames.take_back()
    }

    /// What the last entry left of its time, for another one that has to be over with it.
    pub fn time_left(&self) -> Range<Instant> {
        Instant::now()..self.store.data().imports.context.clock.ends_at()
    }

    /// Bytes of its linear memory.
    pub fn memory_bytes(&self) -> u64 {
        self.store.data().memory.bytes()
    }
}

// It is on the way of every frame, and small once it is inlined.
#[inline]
fn enter<T>(
    store: &mut Store<HostState>,
    entry: Entry<'_>,
    call: impl FnOnce(&mut Store<HostState>) -> wasmtime::Result<T>,
) -> Left<T> {
    let Entry { within, claim, charge, output_bytes } = entry;
    let began = (charge == Charge::Meter).then(cpu_time::of_this_thread);
    if let Some(bytes) = output_bytes {
        store.set_hostcall_fuel(bytes);
    }
    let state = store.data_mut();
    // What an earlier entry was refused is not about this one.
    state.memory.was_hit();
    state.imports.log.take_last_error();
    state.clock_mut().start(within, claim);
    store.set_epoch_deadline(1);
    if store.data().counts_fuel {
        // It fails only in engines that do not count.
        let _ = store.set_fuel(ALL_FUEL);
    }
    // Should this panic, the instance is dropped, and the clock with it.
    let answer = call(store);
    let end = store.data_mut().clock_mut().end();
    if store.data().counts_fuel {
        let left = store.get_fuel().unwrap_or(ALL_FUEL);
        store.data().imports.context.meter.charge_fuel(ALL_FUEL - left);
    }
    if let Some(began) = began {
        let used = cpu_time::of_this_thread().saturating_sub(began);
        let meter = &store.data().imports.context.meter;
        meter.charge_cpu(Instant::now(), Duration::from_nanos(used));
    }
    if output_bytes.is_some() {
        let bytes = store.data().imports.context.limits.output_bytes();
        store.set_hostcall_fuel(bytes);
    }
    match answer {
        Ok(answer) => Left { answer: Ok(answer), end },
        Err(error) => Left { answer: Err(trapped(error, store.data_mut())), end },
    }
}

#[cold]
fn trapped(error: wasmtime::Error, state: &mut HostState) -> Trapped {
    Trapped {
        error,
        was_memory_refused: state.memory.was_hit(),
        last_error: state.imports.log.take_last_error(),
        output_bytes: state.imports.context.limits.output_bytes(),
    }
}
