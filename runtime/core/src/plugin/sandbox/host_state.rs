//! What the host keeps for one plugin instance: the data of its store.

use std::ops::Range;
use std::sync::Arc;

use wasmtime::component::Resource;
use wasmtime::{ResourceLimiter, Store};

use super::deadline::CallClock;
use super::engine::Engine;
use super::frame_view::LentFrame;
use super::meter::Meter;
use crate::plugin::sandbox::bindings::FrameHandle;
use crate::plugin::sandbox::deadline;
use crate::policy::Limits;
use crate::tenancy::Tenant;
use crate::video::frame::Scaler;

/// Bytes of a buffer that is kept whether it is needed or not.
const LEAST_BUFFER: usize = 1024 * 1024;

/// Whose instance this is, for logs.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// The camera's id; of an instance that several share, another word.
    pub camera: Arc<str>,
    /// The plugin as `name@version`.
    pub plugin: Arc<str>,
}

/// The data of one store.
pub(crate) struct HostState {
    pub owner: Owner,
    /// What it uses is charged here.
    pub meter: Arc<Meter>,
    pub limits: Limits,
    pub clock: CallClock,
    pub memory: MemoryLimit,
    /// The frames of the call under way, …
    frames: Vec<LentFrame>,
    /// … and the handle that stands for the first of them. Each call has others than the one before.
    first_handle: u32,
    pub scaler: Scaler,
    /// The buffer that pixels are lowered from; reused as soon as the call has copied it.
    pub pixels: Arc<Vec<u8>>,
}

impl HostState {
    pub fn new(engine: &Engine, owner: Owner, meter: Arc<Meter>, limits: Limits) -> Self {
        Self {
            owner,
            meter,
            limits,
            clock: CallClock::stopped(engine.ticker()),
            memory: MemoryLimit { limits, memory: 0, elements: 0, was_hit: false },
            frames: Vec::new(),
            first_handle: 0,
            scaler: Scaler::default(),
            pixels: Arc::default(),
        }
    }

    /// That of a plugin which runs on no camera.
    pub fn nobodys(engine: &Engine, limits: Limits) -> Self {
        let owner = Owner { tenant: "".into(), camera: "".into(), plugin: "".into() };
        let meter = Meter::new(Tenant::nobody(), String::new(), &limits);
        Self::new(engine, owner, Arc::new(meter), limits)
    }

    /// A store in which the limits hold. Its clock has yet to be started.
    pub fn store(engine: &Engine, guest: Self) -> Store<Self> {
        let limits = guest.limits;
        let mut store = Store::new(engine.wasmtime(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(limits.output_bytes());
        store.set_max_component_handles(limits.handles as usize);
        deadline::wind(&mut store);
        store
    }

    /// A call begins, with these frames. Returns the handles that stand for them.
    pub fn enter(&mut self, frames: impl IntoIterator<Item = LentFrame>) -> Range<u32> {
        self.memory.was_hit();
        self.frames.extend(frames);
        let count = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        self.first_handle..self.first_handle.wrapping_add(count)
    }

    /// The call is over: its frames are given back.
    pub fn leave(&mut self) -> impl Iterator<Item = LentFrame> {
        let most_read = self.frames.iter().map(|frame| frame.bytes_read).max().unwrap_or_default();
        let needed = usize::try_from(most_read).unwrap_or(usize::MAX);
        if self.pixels.capacity() / 4 > needed.max(LEAST_BUFFER) {
            // One huge read must not be paid for as long as the instance lives.
            self.pixels = Arc::default();
            self.scaler.free_buffers();
        }
        let count = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        self.first_handle = self.first_handle.wrapping_add(count);
        self.frames.drain(..)
    }

    /// Where the frame of a handle is.
    fn place(&self, handle: &Resource<FrameHandle>) -> usize {
        handle.rep().wrapping_sub(self.first_handle) as usize
    }

    /// The frame of a handle.
    pub fn lent(&self, handle: &Resource<FrameHandle>) -> wasmtime::Result<&LentFrame> {
        self.frames.get(self.place(handle)).ok_or_else(call_is_over)
    }

    /// As [`Self::lent`], to change what is known of it, with the rest of what reading takes.
    pub fn reading(
        &mut self,
        handle: &Resource<FrameHandle>,
    ) -> wasmtime::Result<(&mut LentFrame, &CallClock, &mut Scaler, &mut Arc<Vec<u8>>)> {
        let place = self.place(handle);
        let frame = self.frames.get_mut(place).ok_or_else(call_is_over)?;
        Ok((frame, &self.clock, &mut self.scaler, &mut self.pixels))
    }
}

fn call_is_over() -> wasmtime::Error {
    wasmtime::format_err!("a frame was asked after the call that it was lent for")
}

/// Bounds what an instance may have, and remembers that a bound was hit, so that the trap which
/// follows is reported as what it is.
pub(crate) struct MemoryLimit {
    limits: Limits,
    /// Bytes of all linear memories. They never shrink.
    memory: usize,
    /// Elements of all tables.
    elements: usize,
    was_hit: bool,
}

impl MemoryLimit {
    /// Bytes of linear memory that the instance has.
    pub fn bytes(&self) -> u64 {
        self.memory as u64
    }

    /// Whether a bound was hit since this was asked last.
    pub fn was_hit(&mut self) -> bool {
        std::mem::take(&mut self.was_hit)
    }

    /// Whether something may grow, of all of which there is `total`.
    fn grow(total: &mut usize, (current, desired): (usize, usize), most: usize) -> bool {
        let grown = total.saturating_sub(current).saturating_add(desired);
        let fits = grown <= most;
        if fits {
            *total = grown;
        }
        fits
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let most = self.limits.memory_bytes();
        let fits = Self::grow(&mut self.memory, (current, desired), most);
        self.was_hit |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let most = self.limits.table_elements as usize;
        let fits = Self::grow(&mut self.elements, (current, desired), most);
        self.was_hit |= !fits;
        Ok(fits)
    }

    fn memories(&self) -> usize {
        self.limits.memories as usize
    }

    fn tables(&self) -> usize {
        self.limits.tables as usize
    }

    fn instances(&self) -> usize {
        self.limits.instances as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_and_all_tables_together_are_bounded() {
        let limits = Limits { memory_mb: 2, table_elements: 100, ..Limits::default() };
        let mut limit = HostState::nobodys(&Engine::new().unwrap(), limits).memory;
        let mut memory = |current, desired| limit.memory_growing(current, desired, None).unwrap();
        const MIB: usize = 1 << 20;
        assert!(memory(0, MIB));
        assert!(memory(0, MIB / 2), "a second one");
        assert!(!memory(MIB, 2 * MIB));
        assert!(memory(MIB, MIB * 3 / 2));
        assert!(!memory(0, 1), "nothing is left for a third");
        assert_eq!(limit.bytes(), 2 * MIB as u64);
        assert!(limit.was_hit());
        assert!(!limit.was_hit(), "since it was asked");
        let mut table = |current, desired| limit.table_growing(current, desired, None).unwrap();
        assert!(table(0, 60));
        assert!(!table(0, 41));
        assert!(table(60, 100));
        assert!(limit.was_hit());
    }
}
