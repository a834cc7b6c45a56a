//! How many threads a camera may decode with: what nobody else needs, or what is in its tenant's
//! part.
//!
//! A camera's own thread runs by its claim to a core; threads that libavcodec decodes with have
//! none. So they are given out by what is known of the time just past: each camera tells now and
//! then how many cores it could keep busy, and one that wants more threads gets those for which
//! there are cores left. Where there are none, its tenant may still have some of its part; those of
//! others have more than theirs then. All threads that cameras have beside their own are fewer than
//! there are cores.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

/// This much of a core may be in use already by others when somebody is given it, …
const ASKING: f64 = 0.25;
/// … and this much while somebody has it, so that it does not come and go.
const KEEPING: f64 = 0.5;

/// Cores that are wanted, in thousandths.
#[derive(Debug, Default)]
pub(crate) struct Load(AtomicI64);

/// What one camera wants, and how many threads it decodes with beside its own.
#[derive(Debug, Default)]
pub(crate) struct DecodeShare {
    load: Load,
    helpers: AtomicUsize,
}

/// What all cameras want, and have.
#[derive(Debug, Default)]
pub(crate) struct DecodeThreadPool {
    load: Load,
    helpers: AtomicUsize,
}

impl Load {
    fn cores(&self) -> f64 {
        self.0.load(Relaxed) as f64 / 1000.0
    }

    fn add(&self, thousandths: i64) {
        self.0.fetch_add(thousandths, Relaxed);
    }
}

/// The part of one camera's tenant.
pub(crate) struct Part<'t> {
    /// What all cameras of the tenant want.
    pub load: &'t Load,
    /// How many cores are its part, among those who want any.
    pub cores: f64,
}

impl DecodeThreadPool {
    /// A camera could keep so many cores busy.
    pub fn tell_load(&self, camera: &DecodeShare, tenant: &Load, cores: f64) {
        let now = (cores * 1000.0) as i64;
        let change = now - camera.load.0.swap(now, Relaxed);
        self.load.add(change);
        tenant.add(change);
    }

    /// With how many threads a camera may decode on a machine with so many cores: at least its own.
    pub fn room(&self, camera: &DecodeShare, part: &Part<'_>, cores: usize) -> usize {
        let (own, helpers) = (camera.load.cores(), camera.helpers.load(Relaxed));
        let room = |cores: f64, used: f64| {
            let left = cores - (used - own);
            let room = |slack: f64| (left + slack).max(1.0) as usize;
            room(ASKING).max(room(KEEPING).min(helpers + 1))
        };
        let idle = room(cores as f64, self.load.cores());
        idle.max(room(part.cores, part.load.cores()))
    }

    /// Takes, or gives back, what a camera needs to decode with so many threads on a machine with
    /// so many cores. How many it has then.
    pub fn reserve(&self, camera: &DecodeShare, threads: usize, cores: usize) -> usize {
        let (most, had) = (cores - 1, camera.helpers.load(Relaxed));
        let mut has = had;
        let _ = self.helpers.fetch_update(Relaxed, Relaxed, |all| {
            let others = all - had;
            has = threads.saturating_sub(1).min(most.saturating_sub(others));
            Some(others + has)
        });
        camera.helpers.store(has, Relaxed);
        has + 1
    }
}

impl DecodeShare {
    /// Whether its tenant may keep so many threads busy for this camera although others wait.
    pub fn is_in_part(&self, part: &Part<'_>, threads: usize) -> bool {
        let beside = part.load.cores() - self.load.cores();
        threads as f64 <= part.cores - beside + KEEPING
    }
}
