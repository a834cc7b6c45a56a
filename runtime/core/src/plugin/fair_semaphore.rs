//! Turns at what only a few can do at the same time, so that one tenant never has them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of turns, of which each tenant has fewer.
pub(crate) struct FairSemaphore {
    all: Arc<Semaphore>,
    per_tenant: usize,
    of_tenants: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A turn, given back when it is dropped.
pub(crate) struct FairPermit {
    // Absent only if the turns were closed, which nobody does.
    _all: Option<OwnedSemaphorePermit>,
    _tenants: Option<OwnedSemaphorePermit>,
}

impl FairSemaphore {
    pub fn new(all: usize, per_tenant: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), per_tenant, of_tenants: Mutex::default() }
    }

    /// Waits for a turn. A tenant's come in the order in which they are asked for; among tenants, each
    /// has no more than `per_tenant` in the queue, however many it asks for.
    pub async fn take(&self, tenant: &str) -> FairPermit {
        let tenants = self.of(tenant).acquire_owned().await.ok();
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        FairPermit { _all: all, _tenants: tenants }
    }

    fn of(&self, tenant: &str) -> Arc<Semaphore> {
        let mut tenants = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, turns| turns.strong_count() > 0);
        if let Some(turns) = tenants.get(tenant).and_then(Weak::upgrade) {
            return turns;
        }
        let turns = Arc::new(Semaphore::new(self.per_tenant));
        tenants.insert(tenant.to_owned(), Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Whether a turn can be had now.
    fn taken(turns: &FairSemaphore, tenant: &str) -> Option<FairPermit> {
        turns.take(tenant).now_or_never()
    }

    #[test]
    fn one_tenant_never_has_all_turns() {
        let turns = FairSemaphore::new(3, 2);
        let (first, _second) = (taken(&turns, "a").unwrap(), taken(&turns, "a").unwrap());
        assert!(taken(&turns, "a").is_none());
        let _others = taken(&turns, "b").unwrap();
        assert!(taken(&turns, "c").is_none(), "all are taken");
        drop(first);
        assert!(taken(&turns, "c").is_some());
    }

    #[test]
    fn a_tenant_that_asks_for_many_waits_behind_itself_alone() {
        let turns = FairSemaphore::new(1, 1);
        let held = taken(&turns, "a").unwrap();
        let mut flood: Vec<_> = (0..100).map(|_| Box::pin(turns.take("a"))).collect();
        assert!(flood.iter_mut().all(|turn| turn.now_or_never().is_none()));
        let mut other = Box::pin(turns.take("b"));
        assert!((&mut other).now_or_never().is_none());
        drop(held);
        assert!((&mut other).now_or_never().is_some(), "before all the others of `a`");
    }

    #[test]
    fn nothing_is_left_of_tenants_that_are_done() {
        let turns = FairSemaphore::new(1, 1);
        for number in 0..100 {
            drop(taken(&turns, &number.to_string()).unwrap());
        }
        assert!(turns.of_tenants.lock().unwrap().len() <= 1);
    }
}
