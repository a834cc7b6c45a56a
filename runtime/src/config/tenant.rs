//! Tenants: whose cameras there are, and how much each tenant may use.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::DEFAULT_TENANT;
use super::kafka::{Cluster, KafkaTable, Role, TenantKafkaTable};
use super::values::Id;
use crate::plugin::{Limits, LimitsTable};

/// `[[tenants]]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantTable {
    id: Id,
    weight: Option<NonZeroU32>,
    #[serde(default)]
    quota: Quota,
    #[serde(default)]
    limits: LimitsTable,
    kafka: Option<TenantKafkaTable>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantSpec {
    /// Its id.
    pub id: Id,
    /// Its share of the cores when they are short, relative to the weights of other tenants.
    pub weight: u32,
    /// How much it may use.
    pub quota: Quota,
    /// The limits of its plugins, where its cameras say nothing; from its own control topic it may
    /// set lower ones only.
    pub limits: Limits,
    /// Where its packets come from and go to, if not where the host's do.
    pub clusters: Option<Clusters>,
}

/// The clusters of a tenant's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// Packets in.
    pub consume: Cluster,
    /// Packets out.
    pub produce: Cluster,
}

/// How much a tenant, or all of them together, may use. What is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Cameras, running or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cameras: Option<u32>,
    /// Plugin instances: one for each plugin of each camera, and for a moment two in a swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// MiB of linear memory that its plugin instances may grow to, by their limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u32>,
    /// Cores that its plugins may keep busy, on average over a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cores>,
    /// Cores that decoding its cameras may keep busy, on average over a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<Cores>,
    /// KiB of plugins' headers per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_kb_per_s: Option<NonZeroU32>,
    /// KiB of plugins' log per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_kb_per_s: Option<NonZeroU32>,
    /// KiB of output records per second. No record is ever dropped: they are held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_kb_per_s: Option<NonZeroU32>,
}

/// A number of cores, such as 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Cores(f64);

impl TryFrom<f64> for Cores {
    type Error = &'static str;

    fn try_from(cores: f64) -> Result<Self, Self::Error> {
        match cores {
            0.001..=10_000.0 => Ok(Self(cores)),
            _ => Err("a number of cores is at least 0.001, such as 0.5"),
        }
    }
}

impl From<Cores> for f64 {
    fn from(cores: Cores) -> Self {
        cores.0
    }
}

impl TenantTable {
    /// With `limits`, and the clusters of `host`, where it says nothing.
    pub(super) fn complete(self, limits: Limits, host: &KafkaTable) -> TenantSpec {
        let clusters = self.kafka.map(|own| Clusters {
            consume: own.overlay(&host.cluster(Role::Consume), Role::Consume),
            produce: own.overlay(&host.cluster(Role::Produce), Role::Produce),
        });
        TenantSpec {
            id: self.id,
            weight: self.weight.map_or(1, NonZeroU32::get),
            quota: self.quota,
            limits: self.limits.within(limits),
            clusters,
        }
    }
}

impl TenantSpec {
    /// A tenant that the configuration says nothing of.
    pub(super) fn plain(id: Id, limits: Limits) -> Self {
        Self { id, weight: 1, quota: Quota::default(), limits, clusters: None }
    }
}

impl Default for TenantSpec {
    fn default() -> Self {
        Self::plain(Id::literal(DEFAULT_TENANT), Limits::default())
    }
}

impl Quota {
    /// What all tenants together may use where `[quota]` says nothing.
    #[must_use]
    pub(super) fn or_of_the_host(self) -> Self {
        Self {
            // The figure that comux is built and tested for.
            cameras: self.cameras.or(Some(1000)),
            // Each reserves some 6 GiB of addresses, and a process has 128 TiB of them.
            instances: self.instances.or(Some(10_000)),
            // The other half is for pictures, packets and everything else.
            memory_mb: self.memory_mb.or_else(|| Some(machine_memory_mb()? / 2)),
            // What a person could still search through.
            log_kb_per_s: self.log_kb_per_s.or(NonZeroU32::new(1024)),
            ..self
        }
    }
}

/// MiB of memory that this process may have: the machine's, or its container's.
fn machine_memory_mb() -> Option<u32> {
    // SAFETY: they take a number and touch no memory of ours.
    let (pages, size) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let machine = u64::try_from(pages).ok()?.checked_mul(u64::try_from(size).ok()?)?;
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse::<u64>().ok());
    u32::try_from(container.map_or(machine, |most| most.min(machine)) / (1024 * 1024)).ok()
}
