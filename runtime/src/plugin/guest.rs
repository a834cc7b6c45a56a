//! What the host keeps for one plugin instance: the data of its store.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::limits::{Limits, READ_BYTES_PER_FRAME};
use super::log::LogBudget;
use super::metrics::MetricsBook;
use crate::outcome::ResultHeader;
use crate::picture::{Picture, Scaler};

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
    /// Pixel bytes that this call may still read.
    pub read_budget: u64,
}

/// The data of one store.
pub(super) struct Guest {
    pub owner: Owner,
    pub memory: MemoryLimit,
    pub log_budget: LogBudget,
    pub metrics: Arc<MetricsBook>,
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
    pub fn new(owner: Owner, limits: Limits, metrics: Arc<MetricsBook>) -> Self {
        Self {
            owner,
            memory: MemoryLimit::new(limits),
            log_budget: LogBudget::default(),
            metrics,
            frame: None,
            previous: None,
            wants_motion: false,
            missed_pictures: false,
            scaler: Scaler::default(),
            pixels: Arc::default(),
        }
    }

    /// Goes on where `old` stands.
    pub fn follow(&mut self, old: &Self) {
        self.previous.clone_from(&old.previous);
        // Its first question is answered only if the picture before it was kept.
        self.wants_motion |= old.wants_motion;
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
        let read_budget = READ_BYTES_PER_FRAME;
        self.frame = Some(CurrentFrame { picture, headers, read_budget });
    }

    /// The call is over.
    pub fn leave(&mut self) {
        let frame = self.frame.take();
        self.missed_pictures = false;
        if self.wants_motion {
            self.previous = frame.map(|frame| frame.picture);
        }
    }
}

/// Bounds the linear memories of an instance, all together, and remembers that the bound was hit, so that the trap which follows is
/// reported as what it is.
pub(super) struct MemoryLimit {
    most: usize,
    granted: usize,
    pub hit: bool,
}

impl MemoryLimit {
    fn new(limits: Limits) -> Self {
        Self { most: limits.memory_mb.get() as usize * 1024 * 1024, granted: 0, hit: false }
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = (self.granted.saturating_sub(current)).saturating_add(desired);
        let fits = total <= self.most;
        if fits {
            self.granted = total;
        }
        self.hit |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Tables hold function pointers; 100,000 is far beyond what a compiler emits.
        Ok(desired <= 100_000)
    }

    fn memories(&self) -> usize {
        // A module has one; its adapters share it.
        4
    }

    fn tables(&self) -> usize {
        // One for the module's function pointers, one for the adapters'.
        8
    }

    fn instances(&self) -> usize {
        // A component is a handful of core instances: the module, its adapters and shims.
        32
    }
}
