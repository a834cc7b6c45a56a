//! What plugins remember, on disk: one file for each camera of each tenant, written off the frame
//! path. A camera's id alone would not do: it may go from one tenant to another.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::config::{CameraSpec, Id};
use crate::plugin::sandbox::Snapshot;

/// Whose memory it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotKey {
    /// The tenant.
    pub tenant: Id,
    /// Its camera.
    pub camera: Id,
}

impl From<&CameraSpec> for SnapshotKey {
    fn from(spec: &CameraSpec) -> Self {
        Self { tenant: spec.tenant.clone(), camera: spec.id.clone() }
    }
}

/// The state of a camera's plugins at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraSnapshots {
    /// Whose it is.
    pub of: SnapshotKey,
    /// The name of each plugin that has state, with it.
    pub plugins: Vec<(String, Snapshot)>,
}

/// Keeps the latest state of each camera's plugins.
pub struct SnapshotStore {
    directory: PathBuf,
    desk: Arc<SnapshotQueue>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// What is to be written: the latest memory of each camera. A slow disk costs older ones, not memory.
#[derive(Default)]
pub struct SnapshotQueue {
    pile: Mutex<Queued>,
    changed: Condvar,
}

#[derive(Default)]
struct Queued {
    memories: BTreeMap<SnapshotKey, CameraSnapshots>,
    is_closed: bool,
}

impl SnapshotQueue {
    /// Has a camera's memory written. Without plugins, the camera is forgotten.
    pub fn put(&self, memory: CameraSnapshots) {
        self.lock().memories.insert(memory.of.clone(), memory);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// The next memory to be written; `None` at the end.
    fn take(&self) -> Option<CameraSnapshots> {
        let mut pile = self.lock();
        loop {
            if let Some((_, memory)) = pile.memories.pop_first() {
                return Some(memory);
            }
            if pile.is_closed {
                return None;
            }
            pile = self.changed.wait(pile).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.pile.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A plugin's state, as it is written.
#[derive(Serialize, Deserialize)]
struct SnapshotFile {
    plugin: String,
    version: String,
    schema: u32,
    data: String,
}

impl SnapshotStore {
    /// Keeps memories below `state_dir`.
    ///
    /// # Errors
    /// When the directory can't be created.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let directory = state_dir.join("memories");
        std::fs::create_dir_all(&directory)?;
        let desk = Arc::<SnapshotQueue>::default();
        let keeper = std::thread::Builder::new().name("memories".into()).spawn({
            let (directory, desk) = (directory.clone(), Arc::clone(&desk));
            move || keep(&directory, &desk)
        })?;
        Ok(Self { directory, desk, keeper: Mutex::new(Some(keeper)) })
    }

    /// Where a camera puts what its plugins remember.
    #[must_use]
    pub fn desk(&self) -> Arc<SnapshotQueue> {
        Arc::clone(&self.desk)
    }

    /// What a camera's plugins remembered, by the name of the plugin.
    #[must_use]
    pub fn recall(&self, of: &SnapshotKey) -> Vec<(String, Snapshot)> {
        let path = file(&self.directory, of);
        match read(&path) {
            Ok(snapshots) => snapshots,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let (path, camera) = (path.display(), of.camera.as_str());
                tracing::warn!(camera, "plugins begin afresh: {path} can't be read: {error}");
                Vec::new()
            }
        }
    }

    /// Forgets what a camera's plugins remembered.
    pub fn forget(&self, of: SnapshotKey) {
        self.desk.put(CameraSnapshots { of, plugins: Vec::new() });
    }

    /// Waits until everything is written. All cameras must have ended.
    pub fn finish(&self) {
        self.desk.close();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = keeper.join();
        }
    }
}

fn keep(directory: &Path, desk: &SnapshotQueue) {
    while let Some(memory) = desk.take() {
        let camera = memory.of.camera.as_str();
        if let Err(error) = write(directory, &memory) {
            tracing::error!(camera, "the state of its plugins can't be kept: {error}");
        }
    }
}

fn write(directory: &Path, memory: &CameraSnapshots) -> io::Result<()> {
    let path = file(directory, &memory.of);
    if memory.plugins.is_empty() {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let written = memory.plugins.iter().map(|(plugin, snapshot)| SnapshotFile {
        plugin: plugin.clone(),
        version: snapshot.plugin_version.clone(),
        schema: snapshot.schema,
        data: BASE64.encode(&snapshot.data),
    });
    if let Some(of_tenant) = path.parent() {
        std::fs::create_dir_all(of_tenant)?;
    }
    let mut new = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer(&mut new, &written.collect::<Vec<_>>())?;
    new.as_file().sync_data()?;
    new.persist(path)?;
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<(String, Snapshot)>> {
    let written: Vec<SnapshotFile> = serde_json::from_slice(&std::fs::read(path)?)?;
    let snapshot = |written: SnapshotFile| {
        let data = BASE64.decode(&written.data).map_err(io::Error::other)?;
        let (schema, plugin_version) = (written.schema, written.version);
        Ok((written.plugin, Snapshot { schema, plugin_version, data }))
    };
    written.into_iter().map(snapshot).collect()
}

/// Ids have no slash; the prefix keeps `..` and hidden files away.
fn file(directory: &Path, of: &SnapshotKey) -> PathBuf {
    let SnapshotKey { tenant, camera } = of;
    directory.join(format!("tenant-{tenant}")).join(format!("camera-{camera}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_recalled_until_it_is_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = vec![0, 255, 10];
        let snapshot = Snapshot { schema: 2, plugin_version: "1.0.0".into(), data };
        let plugins = vec![("line/../counter".to_owned(), snapshot)];
        let open = || SnapshotStore::open(directory.path()).expect("opens");

        let of = |tenant| {
            let [tenant, camera] = [tenant, ".."].map(|id| Id::new(id).expect("an id"));
            SnapshotKey { tenant, camera }
        };
        let memories = open();
        memories.desk().put(CameraSnapshots { of: of("acme"), plugins: plugins.clone() });
        memories.finish();
        let memories = open();
        assert_eq!(memories.recall(&of("acme")), plugins);
        assert_eq!(memories.recall(&of("zeta")), [], "the same camera of another tenant");
        memories.forget(of("acme"));
        memories.finish();
        assert_eq!(open().recall(&of("acme")), []);
    }
}
