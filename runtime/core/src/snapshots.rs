//! What plugins remember, on disk: one file for each camera of each tenant, written off the frame
//! path. A camera's id alone would not do: it may go from one tenant to another.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use crate::config::{CameraSpec, Id};
use crate::plugin::sandbox::Snapshot;

/// Whose snapshots they are.
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
    queue: Arc<SnapshotQueue>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What is to be written: the latest snapshots of each camera. A slow disk costs older ones, not
/// memory.
#[derive(Default)]
pub struct SnapshotQueue {
    queued: Mutex<Queued>,
    changed: Condvar,
}

#[derive(Default)]
struct Queued {
    snapshots: BTreeMap<SnapshotKey, CameraSnapshots>,
    is_closed: bool,
}

impl SnapshotQueue {
    /// Has a camera's snapshots written. Without plugins, the camera is forgotten.
    pub fn put(&self, snapshots: CameraSnapshots) {
        self.queued.lock().snapshots.insert(snapshots.of.clone(), snapshots);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.queued.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// The next to be written; `None` at the end.
    fn take(&self) -> Option<CameraSnapshots> {
        let mut queued = self.queued.lock();
        loop {
            if let Some((_, next)) = queued.snapshots.pop_first() {
                return Some(next);
            }
            if queued.is_closed {
                return None;
            }
            self.changed.wait(&mut queued);
        }
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
    /// Keeps snapshots below `state_dir`.
    ///
    /// # Errors
    /// When the directory can't be created.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        // Its name on disk, from before snapshots were called so.
        let directory = state_dir.join("memories");
        std::fs::create_dir_all(&directory)?;
        let queue = Arc::<SnapshotQueue>::default();
        let writer = std::thread::Builder::new().name("snapshots".into()).spawn({
            let (directory, queue) = (directory.clone(), Arc::clone(&queue));
            move || write_all(&directory, &queue)
        })?;
        Ok(Self { directory, queue, writer: Mutex::new(Some(writer)) })
    }

    /// Where a camera puts the snapshots of its plugins.
    #[must_use]
    pub fn queue(&self) -> Arc<SnapshotQueue> {
        Arc::clone(&self.queue)
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
        self.queue.put(CameraSnapshots { of, plugins: Vec::new() });
    }

    /// Waits until everything is written. All cameras must have ended.
    pub fn finish(&self) {
        self.queue.close();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

fn write_all(directory: &Path, queue: &SnapshotQueue) {
    while let Some(snapshots) = queue.take() {
        let camera = snapshots.of.camera.as_str();
        if let Err(error) = write(directory, &snapshots) {
            tracing::error!(camera, "the state of its plugins can't be kept: {error}");
        }
    }
}

fn write(directory: &Path, snapshots: &CameraSnapshots) -> io::Result<()> {
    let path = file(directory, &snapshots.of);
    if snapshots.plugins.is_empty() {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let written = snapshots.plugins.iter().map(|(plugin, snapshot)| SnapshotFile {
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
        let store = open();
        store.queue().put(CameraSnapshots { of: of("acme"), plugins: plugins.clone() });
        store.finish();
        let store = open();
        assert_eq!(store.recall(&of("acme")), plugins);
        assert_eq!(store.recall(&of("zeta")), [], "the same camera of another tenant");
        store.forget(of("acme"));
        store.finish();
        assert_eq!(open().recall(&of("acme")), []);
    }
}
