//! Where a loader finds plugins and keeps what it makes of them, and taking that for one process.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::plugin::compile::{CacheError, Compiler};
use crate::plugin::supply::{SearchPath, TenantSearchPath, Trust, private_files};
use crate::policy::{LoadLimits, PluginRef};

/// Where a loader finds plugins, where it keeps what it makes of them, and what it demands of them.
#[derive(Debug, Clone)]
pub struct LoaderSettings {
    /// Where components and compiled code are kept, by one process; absent: nowhere.
    pub state_dir: Option<PathBuf>,
    /// The plugin store that all tenants share.
    pub plugin_dir: PathBuf,
    /// Where the paths in `named_sources` begin: the directory of comux.toml.
    pub base: PathBuf,
    /// What is demanded of plugins of tenants that are not in `tenants`.
    pub trust: Trust,
    /// What is particular to tenants, by their ids.
    pub tenants: HashMap<String, TenantPlugins>,
    /// Where plugins are compiled. In this process where instructions are counted.
    pub compiler: Compiler,
    /// Instructions are counted, and plugins take longer.
    pub counts_fuel: bool,
    /// How large plugins may be, and how long they may take.
    pub limits: LoadLimits,
}

/// A tenant's own plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantPlugins {
    /// Its own plugin store, which is looked in before the common one.
    pub plugin_dir: Option<PathBuf>,
    /// The sources that comux.toml itself names for its cameras, which may be anywhere.
    pub named_sources: HashSet<PluginRef>,
    /// What is demanded of its plugins.
    pub trust: Trust,
}

impl LoaderSettings {
    /// What comes from where.
    pub(crate) fn search_path(&self) -> SearchPath {
        let own = self.tenants.iter().map(|(tenant, plugins)| {
            let (store, named) = (plugins.plugin_dir.clone(), plugins.named_sources.clone());
            (tenant.clone(), TenantSearchPath { store, named })
        });
        SearchPath {
            common: self.plugin_dir.clone(),
            base: self.base.clone(),
            own: own.collect(),
            private: self.state_dir.clone(),
        }
    }

    /// What is demanded of a tenant's plugins.
    #[must_use]
    pub fn trust(&self, tenant: &str) -> &Trust {
        self.tenants.get(tenant).map_or(&self.trust, |plugins| &plugins.trust)
    }
}

/// A loader can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory can't be used.
    #[error("can't use `state_dir` {path}: {cause}; choose another in [runtime]")]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// Another process has it.
    #[error("another comux uses `state_dir` {path}; give each its own in [runtime]")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The cache of compiled plugins can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// wasmtime does not run here.
    #[error("the plugin engine can't run on this machine: {0}")]
    Engine(wasmtime::Error),
    /// The operating system gives no threads.
    #[error("no threads to compile plugins with: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// Takes a directory for this process, and creates it where needed.
pub(crate) fn lock_directory(path: &Path) -> Result<File, OpenError> {
    let unusable = |cause| OpenError::StateDir { path: path.to_owned(), cause };
    private_files::create_directory(path).map_err(unusable)?;
    let file = File::options().write(true).create(true).truncate(false).open(path.join("lock"));
    let file = file.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(unusable(cause)),
    }
}
