//! The plugin store as it is filled: a directory of files `NAME@VERSION.wasm`.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::plugin::compile::{Outline, compile_here};
use crate::plugin::sandbox::Engine;
use crate::plugin::supply::{LoadError, LoadProblem, Trust, private_files, read_component};
use crate::policy::{Digest, ENDING, Limits, LoadLimits, NoPluginRef, PluginRef};
use crate::tenancy::Tenant;

/// A directory of plugins.
pub struct PluginStore {
    directory: PathBuf,
    limits: LoadLimits,
}

/// A plugin in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredPlugin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What the component is known by.
    pub sha256: Digest,
    /// The component's size.
    pub bytes: u64,
    /// Its file.
    #[serde(skip)]
    pub path: PathBuf,
}

/// A plugin can't be put into a store, or a store not be read.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// It is no plugin that this version of comux can run.
    #[error(transparent)]
    NoPlugin(#[from] LoadError),
    /// Its name is no source.
    #[error(transparent)]
    NotStorable(#[from] NoPluginRef),
    /// wasmtime does not run here.
    #[error("the plugin engine can't run on this machine: {0}")]
    Engine(wasmtime::Error),
    /// There is one with the same name and version.
    #[error(
        "`{path}` is there already, with other content (sha256 {sha256}); raise the plugin's version, \
         or replace it with --force"
    )]
    Exists {
        /// The file.
        path: PathBuf,
        /// The digest of what is there.
        sha256: Digest,
    },
    /// The directory can't be read or written.
    #[error("plugin store `{path}`: {cause}; name another directory with --store")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
}

/// What a plugin may use to describe itself to whoever puts it into a store: all memory that it can
/// address, since where it is to run, and within which limits, is not known here.
const BY_HAND: Limits = Limits { memory_mb: 4096, ..Limits::DEFAULT };

impl PluginStore {
    /// The store in a directory.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), limits: LoadLimits::default() }
    }

    /// Copies the plugin in `file` to its place. Another one that is there is replaced only by
    /// `force`; cameras that run it are not concerned.
    ///
    /// # Errors
    /// When the file is no plugin that this version of comux can run, or its place is taken.
    pub fn add(&self, file: &Path, force: bool) -> Result<StoredPlugin, AddError> {
        let refuse = |problem| {
            let plugin = PluginRef::File(file.display().to_string());
            AddError::NoPlugin(LoadError { plugin, problem })
        };
        let bytes = read_component(file, self.limits.component_bytes);
        let bytes = bytes.map_err(|error| refuse(error.into()))?;
        let sha256 = Digest::of(&bytes);
        let engine = Engine::new().map_err(AddError::Engine)?;
        let check = || -> Result<_, LoadProblem> {
            Outline::of(&bytes, &self.limits)?.check_imports("", &Trust::default())?;
            engine.check(
                &compile_here(engine.wasmtime(), &bytes)?,
                sha256,
                (&Tenant::nobody(), BY_HAND),
            )
        };
        let plugin = check().map_err(refuse)?;
        let source = PluginRef::stored(&plugin.name, &plugin.version)?;
        let path = self.directory.join(format!("{source}{ENDING}"));
        if !force
            && let Some(found) = self.digest_at(&path)?
            && found != sha256
        {
            return Err(AddError::Exists { path, sha256: found });
        }
        self.write(&path, &bytes).map_err(|cause| self.unusable(cause))?;
        let (name, version) = (plugin.name, plugin.version);
        Ok(StoredPlugin { name, version, sha256, bytes: bytes.len() as u64, path })
    }

    /// All plugins with a name and a version, in the order of their files' names. None is compiled.
    ///
    /// # Errors
    /// When the directory or a file in it can't be read.
    pub fn list(&self) -> Result<Vec<StoredPlugin>, AddError> {
        let source = |name: &str| name.strip_suffix(ENDING)?.parse().ok();
        let stored = |name: &str| matches!(source(name), Some(PluginRef::Stored { .. }));
        let mut files =
            private_files::files(&self.directory, stored).map_err(|e| self.unusable(e))?;
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut plugins = Vec::with_capacity(files.len());
        for (path, metadata) in files {
            let stored = path.file_name().and_then(|name| source(name.to_str()?));
            let Some(PluginRef::Stored { name, version }) = stored else { continue };
            let Some(sha256) = self.digest_at(&path)? else { continue };
            plugins.push(StoredPlugin { name, version, sha256, bytes: metadata.len(), path });
        }
        Ok(plugins)
    }

    /// The digest of a file, of any size; absent when there is none.
    fn digest_at(&self, path: &Path) -> Result<Option<Digest>, AddError> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(Digest::of(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unusable(error)),
        }
    }

    /// Whole or not at all: a host may be reading it.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.directory)?;
        // The host may be another user than the one who fills its store.
        let readable = std::fs::Permissions::from_mode(0o644);
        let mut file =
            tempfile::Builder::new().permissions(readable).tempfile_in(&self.directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    fn unusable(&self, cause: io::Error) -> AddError {
        AddError::Unusable { path: self.directory.clone(), cause }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::plugin::test_plugin::component;

    /// A store, and a file beside it that holds a plugin.
    fn store() -> (tempfile::TempDir, PluginStore, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let store = PluginStore::new(&directory.path().join("plugins"));
        let file = directory.path().join("new.wasm");
        fs::write(&file, component("motion", "1.0.0")).unwrap();
        (directory, store, file)
    }

    #[test]
    fn a_plugin_is_added_under_its_own_name_and_listed() {
        let (directory, store, file) = store();
        let added = store.add(&file, false).unwrap();
        assert_eq!(added.path, directory.path().join("plugins/motion@1.0.0.wasm"));
        assert_eq!(fs::read(&added.path).unwrap(), fs::read(&file).unwrap());
        fs::write(directory.path().join("plugins/other.wasm"), b"no name").unwrap();
        fs::write(directory.path().join("plugins/a@1.wasm"), b"abc").unwrap();
        let listed = store.list().unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!((&*listed[0].name, &*listed[0].version, listed[0].bytes), ("a", "1", 3));
        assert_eq!(listed[1], added);
    }

    #[test]
    fn another_plugin_of_the_same_version_is_replaced_only_by_force() {
        let (_directory, store, file) = store();
        let first = store.add(&file, false).unwrap();
        assert_eq!(store.add(&file, false).unwrap(), first, "the same changes nothing");
        let mut changed = component("motion", "1.0.0");
        let header = changed.windows(7).position(|window| window == b"test.ok").unwrap();
        changed[header] = b'T';
        fs::write(&file, &changed).unwrap();
        let refusal = store.add(&file, false).unwrap_err().to_string();
        assert!(refusal.contains("--force") && refusal.contains(&first.sha256.to_string()));
        assert_ne!(store.add(&file, true).unwrap().sha256, first.sha256);
        assert_eq!(fs::read(&first.path).unwrap(), changed);
    }

    #[test]
    fn what_is_no_plugin_or_has_no_storable_name_does_not_come_in() {
        let (directory, store, file) = store();
        for bytes in [b"text".to_vec(), component("a/b", "1"), component("motion", "")] {
            fs::write(&file, bytes).unwrap();
            assert!(store.add(&file, false).is_err());
        }
        assert!(!directory.path().join("plugins").exists());
        let missing = store.list().unwrap_err().to_string();
        assert!(missing.contains("--store"), "{missing}");
    }
}
