//! What the host keeps for one plugin instance: the data of its store.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, Store};

use super::clock::{self, CallClock};
use super::engine::Engine;
use super::limits::Limits;
use super::meter::Meter;
use crate::outcome::ResultHeader;
use crate::picture::{Picture, Scaler};
use crate::tenant::Tenant;

/// Bytes of a buffer that is kept whether it is needed or not.
const LEAST_BUFFER: usize = 1024 * 1024;

/// Whose instance this is, for frames and logs.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// The camera's id.
    pub camera: Arc<str>,
    /// The plugin as `name@version`.
    pub plugin: Arc<str>,
}

/// The frame of the call under way.
pub(super) struct CurrentFrame {
    pub picture: Arc<Picture>,
    /// Headers of the input record, then those of earlier plugins.
    pub headers: Vec<ResultHeader>,
    /// Pixel bytes that this call has read, …
    pub bytes_read: u64,
    /// … and may read in all.
    pub most_read: u64,
}

/// The data of one store.
pub(super) struct Guest {
    pub owner: Owner,
    /// What it uses is charged here.
    pub meter: Arc<Meter>,
    pub limits: Limits,
    pub clock: CallClock,
    pub memory: MemoryLimit,
    pub frame: Option<CurrentFrame>,
    /// The picture of the call before; kept once the plugin has asked for motion.
    pub previous: Option<Arc<Picture>>,
    pub wants_motion: bool,
    /// Pictures went by since the last call, for another reason than a gap in the video.
    pub missed_pictures: bool,
    pub scaler: Scaler,
    /// The buffer that pixels are lowered from; reused as soon as the call has copied it.
    pub pixels: Arc<Vec<u8>>,
}

impl Guest {
    pub fn new(engine: &Engine, owner: Owner, meter: Arc<Meter>, limits: Limits) -> Self {
        Self {
            owner,
            meter,
            limits,
            clock: CallClock::stopped(engine.ticker()),
            memory: MemoryLimit { limits, memory: 0, elements: 0, was_hit: false },
            frame: None,
            previous: None,
            wants_motion: false,
            missed_pictures: false,
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
        clock::wind(&mut store);
        store
    }

    /// Goes on where `old` stands.
    pub fn follow(&mut self, old: &Self) {
        self.previous.clone_from(&old.previous);
        // Its first question is answered only if the picture before it was kept.
        self.wants_motion |= old.wants_motion;
        self.missed_pictures |= old.missed_pictures;
    }

    /// The next picture does not follow the one before.
    pub fn miss_pictures(&mut self) {
        self.missed_pictures = true;
        self.previous = None;
    }

    /// The call on `picture` begins.
    pub fn enter(&mut self, picture: Arc<Picture>, headers: Vec<ResultHeader>) {
        if picture.info().discontinuity {
            self.previous = None;
        }
        self.memory.was_hit();
        let most_read = u64::from(self.limits.read_mb) * 1024 * 1024;
        self.frame = Some(CurrentFrame { picture, headers, bytes_read: 0, most_read });
    }

    /// The call is over. Returns how many bytes of pixels it has read.
    pub fn leave(&mut self) -> u64 {
        self.missed_pictures = false;
        let Some(frame) = self.frame.take() else { return 0 };
        let needed = usize::try_from(frame.bytes_read).unwrap_or(usize::MAX);
        if self.pixels.capacity() / 4 > needed.max(LEAST_BUFFER) {
            // One huge read must not be paid for as long as the instance lives.
            self.pixels = Arc::default();
            self.scaler.free_buffers();
        }
        if self.wants_motion {
            self.previous = Some(frame.picture);
        }
        frame.bytes_read
    }
}

/// Bounds what an instance may have, and remembers that a bound was hit, so that the trap which
/// follows is reported as what it is.
pub(super) struct MemoryLimit {
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
        let mut limit = Guest::nobodys(&Engine::new().unwrap(), limits).memory;
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
