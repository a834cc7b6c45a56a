//! Which instances are shared, and by whom: each is started when the first camera asks for it, and
//! gone with the last that uses it.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::handle::SharedHandle;
use super::shared_instance::SharedInstance;
use crate::plugin::instance::supervised::{InstanceSpec, SupervisedInstance};
use crate::plugin::sandbox::{ConfigureError, Engine, LoadedPlugin, Meter, Owner};
use crate::policy::{Digest, Limits};
use crate::tenancy::Tenant;

/// The instances that cameras share now.
#[derive(Default)]
pub(crate) struct SharedInstances {
    slots: Mutex<Vec<(Key, Arc<Slot>)>>,
}

/// Where a shared instance is, or will be: locked while it is started.
type Slot = Mutex<Weak<SharedInstance>>;

/// Who shares an instance.
#[derive(Clone, PartialEq)]
struct Key {
    tenant: Arc<str>,
    digest: Digest,
    config: String,
    limits: Limits,
}

impl SharedInstances {
    /// A handle to the instance of this tenant, plugin, configuration and limits, which is started
    /// when there is none.
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
        let slot = self.slot(key);
        let mut slot = slot.lock();
        if let Some(shared) = slot.upgrade() {
            return Ok(SharedHandle::to(shared));
        }
        let plugin = format!("{}@{}", loaded.name, loaded.version).into();
        // Lines of its log are about no one camera.
        let owner = Owner { tenant: Arc::clone(&tenant.id), camera: "(several)".into(), plugin };
        let meter = Meter::new(Arc::clone(tenant), loaded.identity.clone(), &limits);
        let (engine, loaded, meter) = (engine.clone(), Arc::clone(loaded), Arc::new(meter));
        let charged = Arc::clone(&meter);
        let spec = InstanceSpec { engine, loaded, owner, config, limits, meter: charged };
        let shared =
            Arc::new(SharedInstance::around(SupervisedInstance::start(spec)?, meter, limits));
        *slot = Arc::downgrade(&shared);
        Ok(SharedHandle::to(shared))
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        // Those that nobody uses, or is about to use.
        slots.retain(|(_, slot)| Arc::strong_count(slot) > 1 || slot.lock().strong_count() > 0);
        if let Some((_, slot)) = slots.iter().find(|(known, _)| *known == key) {
            return Arc::clone(slot);
        }
        let slot = Arc::<Slot>::default();
        slots.push((key, Arc::clone(&slot)));
        slot
    }
}
