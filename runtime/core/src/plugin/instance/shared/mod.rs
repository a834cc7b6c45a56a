//! Plugins that take frames of several cameras in one call: one instance for all cameras of a tenant
//! on which the plugin runs with the same configuration and limits.
//!
//! A camera's thread that has a frame waits here until its round is over (see [`rounds`]), without a
//! seat at a core. Whoever finds a round over makes the call, on its own thread: there is no thread
//! beside the cameras', and nobody to wake before work can begin.
//!
//! A trap in a call about several frames may be any one's: all of them fail, but it counts against
//! nobody. For a while their cameras then are called alone, so that the next trap shows whose it is,
//! and the others go on.

mod counts;
mod rounds;
mod shared_instance;

pub use counts::BatchCounts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::plugin::instance::camera_plugin::FrameCall;
use crate::plugin::instance::supervised::{InstanceSpec, SupervisedInstance};
use crate::plugin::sandbox::FrameView;
use crate::plugin::sandbox::Meter;
use crate::plugin::sandbox::Owner;
use crate::plugin::sandbox::imports::MetricsBook;
use crate::plugin::sandbox::{Blame, ConfigureError};
use crate::plugin::sandbox::{Engine, LoadedPlugin};
use crate::policy::Digest;
use crate::policy::Limits;
use crate::record::ResultHeader;
use crate::sched::CoreClaim;
use crate::tenancy::Tenant;
use crate::video::frame::Frame;
use rounds::Member;
use shared_instance::{Answered, PendingFrame, SharedInstance};

/// Frames that a camera is called with alone after one of its calls failed: at any usual rate enough
/// for the camera to show whether it was its fault.
const ALONE: u32 = 50;

/// The shared instances of an engine.
#[derive(Default)]
pub(crate) struct SharedInstances {
    tables: Mutex<Vec<(Key, Arc<Place>)>>,
}

/// Where a shared instance is, or will be: locked while it is started.
type Place = Mutex<Weak<SharedInstance>>;

/// Who shares an instance.
#[derive(Clone, PartialEq)]
struct Key {
    tenant: Arc<str>,
    digest: Digest,
    config: String,
    limits: Limits,
}

/// A camera's place at a shared instance.
pub(crate) struct SharedHandle {
    table: Arc<SharedInstance>,
    member: Member,
    /// So many of its frames are yet to be called about alone.
    alone: u32,
}

impl SharedInstances {
    /// A place at the instance of this tenant, plugin, configuration and limits, which is started when
    /// there is none.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn join(
        &self,
        engine: &Engine,
        loaded: &Arc<LoadedPlugin>,
        tenant: &Arc<Tenant>,
        (config, limits): (String, Limits),
    ) -> Result<SharedHandle, ConfigureError> {
        let key = Key {
            tenant: Arc::clone(&tenant.id),
            digest: loaded.digest,
            config: config.clone(),
            limits,
        };
        let place = self.place(key);
        let mut place = lock(&place);
        if let Some(table) = place.upgrade() {
            return Ok(SharedHandle::at(table));
        }
        let plugin = format!("{}@{}", loaded.name, loaded.version).into();
        // Lines of its log are about no one camera.
        let owner = Owner { tenant: Arc::clone(&tenant.id), camera: "(several)".into(), plugin };
        let meter = Meter::new(Arc::clone(tenant), loaded.identity.clone(), &limits);
        let (engine, loaded, meter) = (engine.clone(), Arc::clone(loaded), Arc::new(meter));
        let charged = Arc::clone(&meter);
        let recipe = InstanceSpec { engine, loaded, owner, config, limits, meter: charged };
        let table =
            Arc::new(SharedInstance::around(SupervisedInstance::start(recipe)?, meter, limits));
        *place = Arc::downgrade(&table);
        Ok(SharedHandle::at(table))
    }

    fn place(&self, key: Key) -> Arc<Place> {
        let mut tables = lock(&self.tables);
        // Those that nobody uses, or is about to use.
        tables.retain(|(_, place)| Arc::strong_count(place) > 1 || lock(place).strong_count() > 0);
        if let Some((_, place)) = tables.iter().find(|(known, _)| *known == key) {
            return Arc::clone(place);
        }
        let place = Arc::<Place>::default();
        tables.push((key, Arc::clone(&place)));
        place
    }
}

impl SharedHandle {
    fn at(table: Arc<SharedInstance>) -> Self {
        let member = table.join();
        Self { table, member, alone: 0 }
    }

    /// What the plugin tells of itself.
    pub fn metrics(&self) -> Arc<MetricsBook> {
        Arc::clone(&self.table.meter().metrics)
    }

    /// The calls that were made.
    pub fn counts(&self) -> Arc<BatchCounts> {
        Arc::clone(self.table.counts())
    }

    /// Has a frame analysed, together with those of other cameras, or `alone`.
    pub fn call(
        &mut self,
        (frame, sight): ((Arc<Frame>, Vec<ResultHeader>), &mut FrameView),
        seat: &Arc<CoreClaim>,
        now: Instant,
        alone: bool,
    ) -> FrameCall {
        let alone = alone || self.alone > 0;
        self.alone = self.alone.saturating_sub(1);
        let busy = Duration::from_micros(frame.0.info().decode_us);
        let frame = sight.lend(frame, self.table.limits());
        let waiting = PendingFrame { member: self.member, frame, since: now, alone };
        let answered = self.table.answer(waiting, busy, seat);
        let Answered { result, frame, end, memory, waited } = answered;
        if let Err((_, Blame::Unattributed)) = result {
            self.alone = ALONE;
        }
        let bytes_read = frame.as_ref().map(|frame| frame.bytes_read).unwrap_or_default();
        match frame {
            Some(frame) => sight.take_back(frame),
            None => sight.miss_pictures(),
        }
        FrameCall { result, end, bytes_read, memory, waited }
    }
}

impl Drop for SharedHandle {
    fn drop(&mut self) {
        self.table.leave(self.member);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
