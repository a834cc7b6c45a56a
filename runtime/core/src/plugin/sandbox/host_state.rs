//! What the host keeps for one plugin instance: the data of its store.

use std::sync::Arc;

use wasmtime::Store;

use super::call_clock::CallClock;
use super::imports::{Imports, InstanceContext, Owner};
use super::memory_limit::MemoryLimit;
use super::meter::Meter;
use super::ticker::Ticker;
use crate::policy::Limits;

/// What a call may use in an engine that counts instructions: they are there to be counted, and
/// time is what bounds a call.
pub(crate) const ALL_FUEL: u64 = u64::MAX;

/// The data of one store.
pub(crate) struct HostState {
    pub imports: Imports,
    pub memory: MemoryLimit,
    /// The engine counts instructions.
    pub counts_fuel: bool,
}

impl HostState {
    /// Of an instance that has yet to be made, whose calls look at their deadline with these ticks.
    pub fn new(ticker: &Arc<Ticker>, owner: Owner, meter: Arc<Meter>, limits: Limits) -> Self {
        let clock = CallClock::stopped(ticker);
        let context = InstanceContext { owner, meter, limits, clock };
        let (imports, memory) = (Imports::new(context), MemoryLimit::new(limits));
        Self { imports, memory, counts_fuel: false }
    }

    /// A store in which the limits hold. Its clock has yet to be started.
    pub fn into_store(self, engine: &wasmtime::Engine) -> Store<Self> {
        let limits = self.imports.context.limits;
        let mut store = Store::new(engine, self);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.output_bytes());
        store.set_max_component_handles(limits.handles as usize);
        store.data_mut().counts_fuel = store.set_fuel(ALL_FUEL).is_ok();
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().clock_mut().tick()));
        store
    }

    /// The clock of its calls.
    pub fn clock_mut(&mut self) -> &mut CallClock {
        &mut self.imports.context.clock
    }
}

impl AsMut<Imports> for HostState {
    fn as_mut(&mut self) -> &mut Imports {
        &mut self.imports
    }
}
