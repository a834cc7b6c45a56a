//! Where a loader finds plugins and keeps what it makes of them, and taking that for one process.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::cache::CacheError;
use super::limits::LoadLimits;
use super::private;
use super::source::Source;

/// Where a loader finds plugins, and where it keeps what it makes of them.
#[derive(Debug, Clone)]
pub struct LoaderSettings {
    /// Where components and compiled code are kept, by one process; absent: nowhere.
    pub state_dir: Option<PathBuf>,
    /// The plugin store.
    pub plugin_dir: PathBuf,
    /// Where the paths in `named_sources` begin: the directory of comux.toml.
    pub base: PathBuf,
    /// The sources that comux.toml itself names, which may be anywhere.
    pub named_sources: HashSet<Source>,
    /// How large plugins may be, and how long they may take.
    pub limits: LoadLimits,
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
pub(super) fn lock_directory(path: &Path) -> Result<File, OpenError> {
    let unusable = |cause| OpenError::StateDir { path: path.to_owned(), cause };
    private::create_directory(path).map_err(unusable)?;
    let file = File::options().write(true).create(true).truncate(false).open(path.join("lock"));
    let file = file.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(unusable(cause)),
    }
}
