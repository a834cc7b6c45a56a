//! Tenants at run time: what each uses, what it may use, and its share of the cores.
//!
//! Quotas are kept in two ways. What is *held* (instances and their memory) is taken when a plugin
//! is asked for, and refused with the numbers when there is none left. What is *spent* (CPU time,
//! bytes) is paid after the fact, and who is in debt waits or is skipped. Both are kept twice, for
//! the tenant and for the host as a whole. Where the host's budget is spent, a tenant still has its
//! fair part of it, by weight: one tenant's use never reduces another's part.

mod token_bucket;
mod usage;

pub use token_bucket::TokenBucket;

pub use usage::{Usage, UsageCounts};

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::policy::{CoreCount, Quota};
use crate::record::FailReason;
use crate::sched::{CoreClaim, Scheduler, Share};

/// All tenants of a host.
pub struct Tenants {
    known: BTreeMap<Arc<str>, Arc<Tenant>>,
}

/// A tenant: whatever its cameras and plugins use is charged to it.
pub struct Tenant {
    /// Its id.
    pub id: Arc<str>,
    /// What it may use.
    pub quota: Quota,
    budgets: Budgets,
    /// Its part of what the host may spend.
    fair: Budgets,
    host: Arc<Budgets>,
    share: Arc<Share>,
    scheduler: Arc<Scheduler>,
    usage: Usage,
}

/// What may be used, and what is left of it.
struct Budgets {
    quota: Quota,
    cpu: TokenBucket,
    decode: TokenBucket,
    headers: TokenBucket,
    log: TokenBucket,
    output: TokenBucket,
    held: Mutex<Held>,
}

/// What is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    instances: u32,
    memory_mb: u32,
}

/// A plugin instance's place within the quota, given back when this is dropped.
pub struct Reservation {
    tenant: Arc<Tenant>,
    memory_mb: u32,
}

/// There is no room for one more plugin instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaExceeded {
    /// The tenant has as many instances as it may have.
    #[error("tenant `{tenant}` has {held} plugin instances, and its quota is {most}")]
    Instances {
        /// The tenant.
        tenant: Arc<str>,
        /// How many it has.
        held: u32,
        /// How many it may have.
        most: u32,
    },
    /// The tenant's instances may take as much memory as it may have.
    #[error(
        "tenant `{tenant}` has {held} of the {most} MiB that are its plugins' quota, and this one \
         may grow to {wanted} MiB; set a lower limit `memory_mb`, or delete a camera"
    )]
    Memory {
        /// The tenant.
        tenant: Arc<str>,
        /// How much its instances may take.
        held: u32,
        /// How much it may have.
        most: u32,
        /// How much this one wants.
        wanted: u32,
    },
    /// The host is full. Who has how much of it is not told.
    #[error(
        "this host has no room for a plugin instance of {wanted} MiB: [quota] allows {instances} \
         instances and {memory_mb} MiB for all tenants together"
    )]
    Host {
        /// How much memory this one wants.
        wanted: u32,
        /// How many instances there may be.
        instances: u32,
        /// How much memory there is.
        memory_mb: u32,
    },
}

impl Tenants {
    /// Tenants with their weights and quotas, and what all of them together may use.
    #[must_use]
    pub fn new(terms: Vec<(Arc<str>, u32, Quota)>, all: Quota) -> Self {
        let (host, cores) = (Arc::new(Budgets::new(all, 1.0)), Scheduler::new());
        let weights = terms.iter().map(|(_, weight, _)| f64::from(*weight)).sum::<f64>();
        let count = terms.len() as f64;
        let tenant = |(id, weight, quota): (Arc<str>, u32, Quota)| {
            let part = f64::from(weight) / weights;
            let pace = 1.0 / (part * count);
            let tenant = Tenant::new((Arc::clone(&id), quota), (part, pace), &host, &cores);
            (id, Arc::new(tenant))
        };
        Self { known: terms.into_iter().map(tenant).collect() }
    }

    /// The tenant of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Tenant>> {
        self.known.get(id).cloned()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.known.values()
    }
}

impl Tenant {
    /// `part`: of what the host may spend, a fraction. `pace`: see [`Share`].
    fn new(
        (id, quota): (Arc<str>, Quota),
        (part, pace): (f64, f64),
        host: &Arc<Budgets>,
        cores: &Arc<Scheduler>,
    ) -> Self {
        Self {
            id,
            quota,
            budgets: Budgets::new(quota, 1.0),
            fair: Budgets::new(host.quota, part),
            host: Arc::clone(host),
            share: Share::new(pace),
            scheduler: Arc::clone(cores),
            usage: Usage::default(),
        }
    }

    /// A tenant without others beside it and without a quota, for a plugin that is tried alone.
    #[must_use]
    pub fn nobody() -> Arc<Self> {
        let host = Arc::new(Budgets::new(Quota::default(), 1.0));
        Arc::new(Self::new(("".into(), Quota::default()), (1.0, 1.0), &host, &Scheduler::new()))
    }

    /// A camera's claim to a core.
    #[must_use]
    pub fn claim(&self) -> Arc<CoreClaim> {
        CoreClaim::new(&self.scheduler, &self.share)
    }

    /// What all its plugins have used since the start of the node.
    #[must_use]
    pub fn usage(&self) -> UsageCounts {
        self.usage.counts()
    }

    // === what is spent ===

    /// Whether its quota lets a frame be decoded now.
    #[must_use]
    pub fn may_decode(&self, now: Instant) -> bool {
        self.has_room(|budgets| budgets.decode.has_room(now))
    }

    /// Whether its quota lets a frame be analysed now.
    #[must_use]
    pub fn may_analyse(&self, now: Instant) -> bool {
        self.has_room(|budgets| budgets.cpu.has_room(now) && budgets.headers.has_room(now))
    }

    /// Whether its quota lets a record be output now.
    #[must_use]
    pub fn may_output(&self, now: Instant) -> bool {
        self.has_room(|budgets| budgets.output.has_room(now))
    }

    /// Whether faster decoding could spend what it, or all together, may use per second, so that
    /// frames are skipped which would not have been.
    #[must_use]
    pub fn is_rationed(&self) -> bool {
        [&self.quota, &self.host.quota].iter().any(|quota| {
            quota.decode.is_some() || quota.cpu.is_some() || quota.header_kb_per_s.is_some()
        })
    }

    /// CPU time went into decoding.
    pub fn charge_decode(&self, now: Instant, cpu: Duration) {
        self.spend(|budgets| budgets.decode.charge(now, cpu.as_secs_f64()));
        self.usage.add_decode(cpu);
    }

    /// A plugin was called with a frame: CPU time, bytes of pixels, bytes of its memory.
    pub fn charge_call(&self, now: Instant, cpu: Duration, bytes_read: u64, memory: u64) {
        self.spend(|budgets| budgets.cpu.charge(now, cpu.as_secs_f64()));
        self.usage.add_call(cpu, bytes_read, memory);
    }

    /// A plugin used CPU time otherwise.
    pub fn charge_cpu(&self, now: Instant, cpu: Duration) {
        self.spend(|budgets| budgets.cpu.charge(now, cpu.as_secs_f64()));
        self.usage.add_cpu(cpu);
    }

    /// A plugin was compiled for it. That is counted, and spends none of its budgets: it ran on
    /// cores that nobody else wanted, and a debt of seconds would have its cameras skip what they
    /// may analyse.
    pub fn charge_compile(&self, cpu: Duration) {
        self.usage.add_cpu(cpu);
    }

    /// A plugin wrote headers.
    pub fn charge_headers(&self, now: Instant, bytes: u64) {
        self.spend(|budgets| budgets.headers.charge(now, bytes as f64));
        self.usage.add_headers(bytes);
    }

    /// A plugin writes log: whether it may.
    pub fn charge_log(&self, now: Instant, bytes: u64) -> bool {
        let may = self.has_room(|budgets| budgets.log.has_room(now));
        if may {
            self.spend(|budgets| budgets.log.charge(now, bytes as f64));
            self.usage.add_log(bytes);
        }
        may
    }

    /// A call of a plugin failed.
    pub fn count_failure(&self, reason: FailReason) {
        self.usage.add_failure(reason);
    }

    /// Bytes were output.
    pub fn charge_output(&self, now: Instant, bytes: usize) {
        self.spend(|budgets| budgets.output.charge(now, bytes as f64));
    }

    /// Whether its own quota and the host's have room: of the host's, at least its part.
    fn has_room(&self, has_room: impl Fn(&Budgets) -> bool) -> bool {
        has_room(&self.budgets) && (has_room(&self.host) || has_room(&self.fair))
    }

    fn spend(&self, charge: impl Fn(&Budgets)) {
        for budgets in [&self.budgets, &self.fair, &*self.host] {
            charge(budgets);
        }
    }

    // === what is bounded ===

    /// Pixels that a frame may have to be decoded.
    #[must_use]
    pub fn max_frame_pixels(&self) -> u64 {
        let quotas = [self.quota.frame_pixels, self.host.quota.frame_pixels];
        quotas.into_iter().flatten().min().map_or(u64::MAX, |pixels| pixels.get().into())
    }

    // === what is held ===

    /// How many plugin instances it has, and how many MiB they may grow to.
    #[must_use]
    pub fn held(&self) -> (u32, u32) {
        let held = self.budgets.held();
        (held.instances, held.memory_mb)
    }

    /// Takes the room of one plugin instance that may grow to so many MiB.
    ///
    /// # Errors
    /// When there is none.
    pub fn reserve(self: &Arc<Self>, wanted: u32) -> Result<Reservation, QuotaExceeded> {
        let (mut own, mut all) = (self.budgets.held(), self.host.held());
        let Quota { instances, memory_mb, .. } = self.quota;
        let (tenant, held) = (Arc::clone(&self.id), own.instances);
        if let Some(most) = instances.filter(|most| held >= *most) {
            return Err(QuotaExceeded::Instances { tenant, held, most });
        }
        let held = own.memory_mb;
        if let Some(most) = memory_mb.filter(|most| held.saturating_add(wanted) > *most) {
            return Err(QuotaExceeded::Memory { tenant, held, most, wanted });
        }
        let Quota { instances, memory_mb, .. } = self.host.quota;
        let (instances, memory_mb) = (instances.unwrap_or(u32::MAX), memory_mb.unwrap_or(u32::MAX));
        let needed = all.memory_mb.saturating_add(wanted);
        if all.instances >= instances || needed > memory_mb {
            return Err(QuotaExceeded::Host { wanted, instances, memory_mb });
        }
        for held in [&mut own, &mut all] {
            held.instances += 1;
            held.memory_mb = held.memory_mb.saturating_add(wanted);
        }
        Ok(Reservation { tenant: Arc::clone(self), memory_mb: wanted })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for budgets in [&self.tenant.budgets, &*self.tenant.host] {
            let mut held = budgets.held();
            held.instances -= 1;
            held.memory_mb = held.memory_mb.saturating_sub(self.memory_mb);
        }
    }
}

impl Budgets {
    /// Budgets with this part of a quota.
    fn new(quota: Quota, part: f64) -> Self {
        let cores =
            |cores: Option<CoreCount>| TokenBucket::new(cores.map(|cores| f64::from(cores) * part));
        let bytes = |kb: Option<NonZeroU32>| {
            TokenBucket::new(kb.map(|kb| f64::from(kb.get()) * 1024.0 * part))
        };
        Self {
            cpu: cores(quota.cpu),
            decode: cores(quota.decode),
            headers: bytes(quota.header_kb_per_s),
            log: bytes(quota.log_kb_per_s),
            output: bytes(quota.output_kb_per_s),
            held: Mutex::default(),
            quota,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(own: Quota, all: Quota) -> Arc<Tenant> {
        let host = Arc::new(Budgets::new(all, 1.0));
        Arc::new(Tenant::new(("acme".into(), own), (1.0, 1.0), &host, &Scheduler::new()))
    }

    #[test]
    fn room_is_taken_within_both_quotas_and_given_back() {
        let own = Quota { instances: Some(2), memory_mb: Some(100), ..Quota::default() };
        let all = Quota { memory_mb: Some(90), ..Quota::default() };
        let tenant = tenant(own, all);
        let first = tenant.reserve(60).unwrap();
        assert!(matches!(
            tenant.reserve(41),
            Err(QuotaExceeded::Memory { held: 60, most: 100, .. })
        ));
        assert!(matches!(tenant.reserve(31), Err(QuotaExceeded::Host { memory_mb: 90, .. })));
        let second = tenant.reserve(30).unwrap();
        assert!(matches!(
            tenant.reserve(1),
            Err(QuotaExceeded::Instances { held: 2, most: 2, .. })
        ));
        drop(first);
        assert_eq!(tenant.held(), (1, 30));
        drop((second, tenant.reserve(60).unwrap()));
        assert_eq!(tenant.held(), (0, 0));
        assert_eq!(*tenant.host.held(), Held::default());
    }

    #[test]
    fn whoever_is_held_to_a_rate_is_rationed() {
        let (half, none) = (CoreCount::try_from(0.5).ok(), Quota::default());
        for quota in [
            Quota { decode: half, ..none },
            Quota { cpu: half, ..none },
            Quota { header_kb_per_s: NonZeroU32::new(4), ..none },
        ] {
            assert!(tenant(quota, none).is_rationed() && tenant(none, quota).is_rationed());
        }
        let all = Quota { log_kb_per_s: NonZeroU32::new(4), ..none };
        assert!(!tenant(Quota { memory_mb: Some(1), ..none }, all).is_rationed());
    }

    #[test]
    fn what_the_host_has_spent_leaves_each_tenant_its_fair_part() {
        let quota = Quota { header_kb_per_s: NonZeroU32::new(4), ..Quota::default() };
        let (host, cores) = (Arc::new(Budgets::new(quota, 1.0)), Scheduler::new());
        let tenant = || Tenant::new(("".into(), Quota::default()), (0.5, 1.0), &host, &cores);
        let (greedy, modest) = (tenant(), tenant());
        let start = Instant::now();
        for second in 0..20 {
            let now = start + Duration::from_secs(second);
            while greedy.may_analyse(now) {
                greedy.charge_headers(now, 512);
            }
            assert!(modest.may_analyse(now), "second {second}");
            modest.charge_headers(now, 1024);
        }
        // Four in all per second, and what may be had at once in the first.
        let used = [greedy.usage().header_bytes, modest.usage().header_bytes];
        assert_eq!(used[1], 20 * 1024);
        assert!((55 * 1024..70 * 1024).contains(&used[0]), "{used:?}");
    }
}
