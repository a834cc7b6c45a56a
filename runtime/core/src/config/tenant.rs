//! Tenants: whose cameras there are, and how much each tenant may use.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use super::kafka::{Cluster, KafkaTable, Role, TenantKafkaTable};
use super::security::SecurityTable;
use super::values::Id;
use crate::policy::Quota;
use crate::policy::{Limits, LimitsTable};

/// `[[tenants]]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantTable {
    pub(crate) id: Id,
    /// Its own plugin store.
    pub(crate) plugin_dir: Option<PathBuf>,
    #[serde(default)]
    pub(crate) security: SecurityTable,
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

impl TenantTable {
    /// With `limits`, and the clusters of `host`, where it says nothing.
    pub(crate) fn complete(self, limits: Limits, host: &KafkaTable) -> TenantSpec {
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
    pub(crate) fn plain(id: Id, limits: Limits) -> Self {
        Self { id, weight: 1, quota: Quota::default(), limits, clusters: None }
    }
}
