//! The cores of the machine, as all cameras share them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::decode_threads::DecodeThreadPool;
use super::demotion::StarvationWatchdog;
use super::fair_share::ActiveTenants;
use super::run_queue::{Contender, RunQueue};

/// Gives out permits for cores, one for each.
pub struct Scheduler {
    queue: Mutex<RunQueue>,
    /// How many are too many, waiting or running, to be looked at without the lock.
    pressure: AtomicUsize,
    /// Among how many tenants the cores are shared.
    pub(super) active: ActiveTenants,
    /// How many cores there are.
    pub(super) cores: usize,
    /// How many cores all cameras could keep busy, and what they decode with.
    pub(super) decode_threads: DecodeThreadPool,
    pub(super) watchdog: Arc<StarvationWatchdog>,
}

impl Scheduler {
    /// Of as many cores as the process may use.
    pub(crate) fn new() -> Arc<Self> {
        Self::with_cores(std::thread::available_parallelism().map_or(1, usize::from))
    }

    pub(crate) fn with_cores(cores: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(RunQueue::new(cores)),
            pressure: AtomicUsize::new(0),
            active: ActiveTenants::new(cores),
            cores,
            decode_threads: DecodeThreadPool::default(),
            watchdog: Arc::default(),
        })
    }

    /// Whether some wait for a permit, or run beyond the number of cores.
    pub(super) fn has_pressure(&self) -> bool {
        self.pressure.load(Ordering::Acquire) > 0
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, RunQueue> {
        self.queue.lock()
    }

    /// Ends a change of the queue, and wakes those who were given a permit.
    pub(super) fn wake(&self, queue: MutexGuard<'_, RunQueue>, given: Vec<Arc<Contender>>) {
        self.pressure.store(queue.pressure(), Ordering::Release);
        drop(queue);
        for contender in given {
            contender.run();
        }
    }
}
