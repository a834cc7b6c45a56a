//! The directory that an instance runs in, kept for as long as a test wants to start it again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::plugin;

/// A directory with `comux.toml`, what the instance keeps there, and its plugin store.
#[derive(Clone)]
pub struct Home {
    directory: Arc<TempDir>,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// An empty directory with an empty store.
    ///
    /// # Panics
    /// When it can't be created.
    #[must_use]
    pub fn new() -> Self {
        let home = Self { directory: Arc::new(tempfile::tempdir().unwrap()) };
        fs::create_dir(home.store()).unwrap();
        home
    }

    /// A directory with these plugins in its store, as `<name>.wasm`.
    ///
    /// # Panics
    /// When one is not built.
    #[must_use]
    pub fn with_plugins(names: &[&str]) -> Self {
        let home = Self::new();
        for name in names {
            home.store_file(&format!("{name}.wasm"), &component(name));
        }
        home
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The plugin store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path().join("plugins")
    }

    /// Puts a file into the store, or in place of another one there.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn store_file(&self, name: &str, content: &[u8]) {
        fs::write(self.store().join(name), content).unwrap();
    }
}

/// The bytes of a plugin's component.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn component(name: &str) -> Vec<u8> {
    fs::read(plugin(name)).unwrap()
}

/// The SHA-256 of some bytes in hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How a plugin stands in `comux-plugin` and in answers: `name@version+sha256.<12 digits>`.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn identity(name: &str, version: &str, component: &[u8]) -> String {
    format!("{name}@{version}+sha256.{}", &sha256(component)[..12])
}
