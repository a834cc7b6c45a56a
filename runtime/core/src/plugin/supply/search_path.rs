//! In which directories a tenant's plugins are looked for.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::policy::PluginRef;

/// The directories and files that tenants' sources can lead to.
pub(crate) struct SearchPath {
    /// The store that all tenants share.
    pub common: PathBuf,
    /// The directory of comux.toml, where the paths begin that it names.
    pub base: PathBuf,
    /// What tenants have beside the common store.
    pub own: HashMap<String, TenantSearchPath>,
    /// What belongs to comux itself and is nobody's, also when it lies in a store.
    pub private: Option<PathBuf>,
}

/// Where a plugin may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where the paths begin that comux.toml names.
    Configuration,
    /// The tenant's store.
    OwnStore,
    /// That of all tenants.
    CommonStore,
}

impl Place {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Configuration => "beside comux.toml",
            Self::OwnStore => "in the tenant's own `plugin_dir`",
            Self::CommonStore => "in the `plugin_dir` of [runtime]",
        }
    }
}

/// What a tenant has beside the common store.
#[derive(Default)]
pub(crate) struct TenantSearchPath {
    /// Its own store.
    pub store: Option<PathBuf>,
    /// The sources that comux.toml itself names for its cameras, which may be anywhere.
    pub named: HashSet<PluginRef>,
}

impl SearchPath {
    /// The file of a source that comux.toml itself names for this tenant.
    pub fn named(&self, tenant: &str, source: &PluginRef) -> Option<PathBuf> {
        let PluginRef::File(text) = source else { return None };
        self.own.get(tenant)?.named.contains(source).then(|| self.base.join(text))
    }

    /// The tenant's stores: its own first, so that what it puts there is what it gets.
    pub fn stores(&self, tenant: &str) -> impl Iterator<Item = (Place, &Path)> {
        let own = self.own.get(tenant).and_then(|own| own.store.as_deref());
        let own = own.map(|own| (Place::OwnStore, own));
        own.into_iter().chain([(Place::CommonStore, self.common.as_path())])
    }

    /// Whether a path with all links followed is comux's own: above all, what it keeps for tenants.
    pub fn is_private(&self, path: &Path) -> bool {
        let private = self.private.as_ref().and_then(|private| private.canonicalize().ok());
        private.is_some_and(|private| path.starts_with(private))
    }
}
