//! Tenants: whose cameras there are, and how much each tenant may use.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use super::security::SecurityTable;
use super::values::Id;
use crate::plugin::{Limits, LimitsTable};
use crate::tenant::Quota;

/// `[[tenants]]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantTable {
    pub(super) id: Id,
    /// Its own plugin store.
    pub(super) plugin_dir: Option<PathBuf>,
    #[serde(default)]
    pub(super) security: SecurityTable,
    weight: Option<NonZeroU32>,
    #[serde(default)]
    quota: Quota,
    #[serde(default)]
    limits: LimitsTable,
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
}

impl TenantTable {
    /// With `limits` where it says nothing.
    pub(super) fn complete(self, limits: Limits) -> TenantSpec {
        TenantSpec {
            id: self.id,
            weight: self.weight.map_or(1, NonZeroU32::get),
            quota: self.quota,
            limits: self.limits.within(limits),
        }
    }
}

impl TenantSpec {
    /// A tenant that the configuration says nothing of.
    pub(super) fn plain(id: Id, limits: Limits) -> Self {
        Self { id, weight: 1, quota: Quota::default(), limits }
    }
}
