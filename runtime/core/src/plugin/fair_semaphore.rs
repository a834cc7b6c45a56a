//! Permits for what only a few can do at the same time, so that one tenant never has them all.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of permits, of which each tenant has fewer.
pub(crate) struct FairSemaphore {
    all: Arc<Semaphore>,
    per_tenant: usize,
    of_tenants: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A permit, given back when it is dropped.
pub(crate) struct FairPermit {
    // Absent only if the semaphore were closed, which nobody does.
    _all: Option<OwnedSemaphorePermit>,
    _tenants: Option<OwnedSemaphorePermit>,
}

impl FairSemaphore {
    pub fn new(all: usize, per_tenant: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), per_tenant, of_tenants: Mutex::default() }
    }

    /// Waits for a permit. A tenant's come in the order in which they are asked for; among tenants,
    /// each has no more than `per_tenant` in the queue, however many it asks for.
    pub async fn take(&self, tenant: &str) -> FairPermit {
        let tenants = self.of(tenant).acquire_owned().await.ok();
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        FairPermit { _all: all, _tenants: tenants }
    }

    fn of(&self, tenant: &str) -> Arc<Semaphore> {
        let mut tenants = self.of_tenants.lock();
        tenants.retain(|_, permits| permits.strong_count() > 0);
        if let Some(permits) = tenants.get(tenant).and_then(Weak::upgrade) {
            return permits;
        }
        let permits = Arc::new(Semaphore::new(self.per_tenant));
        tenants.insert(tenant.to_owned(), Arc::downgrade(&permits));
        permits
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Whether a permit can be had now.
    fn taken(semaphore: &FairSemaphore, tenant: &str) -> Option<FairPermit> {
        semaphore.take(tenant).now_or_never()
    }

    #[test]
    fn one_tenant_never_has_all_permits() {
        let semaphore = FairSemaphore::new(3, 2);
        let (first, _second) = (taken(&semaphore, "a").unwrap(), taken(&semaphore, "a").unwrap());
        assert!(taken(&semaphore, "a").is_none());
        let _others = taken(&semaphore, "b").unwrap();
        assert!(taken(&semaphore, "c").is_none(), "all are taken");
        drop(first);
        assert!(taken(&semaphore, "c").is_some());
    }

    #[test]
    fn a_tenant_that_asks_for_many_waits_behind_itself_alone() {
        let semaphore = FairSemaphore::new(1, 1);
        let held = taken(&semaphore, "a").unwrap();
        let mut flood: Vec<_> = (0..100).map(|_| Box::pin(semaphore.take("a"))).collect();
        assert!(flood.iter_mut().all(|permit| permit.now_or_never().is_none()));
        let mut other = Box::pin(semaphore.take("b"));
        assert!((&mut other).now_or_never().is_none());
        drop(held);
        assert!((&mut other).now_or_never().is_some(), "before all the others of `a`");
    }

    #[test]
    fn nothing_is_left_of_tenants_that_are_done() {
        let semaphore = FairSemaphore::new(1, 1);
        for number in 0..100 {
            drop(taken(&semaphore, &number.to_string()).unwrap());
        }
        assert!(semaphore.of_tenants.lock().len() <= 1);
    }
}
