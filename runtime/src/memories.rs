//! What plugins remember, on disk: one file for each camera, written off the frame path.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::plugin::Snapshot;

/// The state of a camera's plugins at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The camera.
    pub camera: String,
    /// The name of each plugin that has state, with it.
    pub plugins: Vec<(String, Snapshot)>,
}

/// Keeps the latest state of each camera's plugins.
pub struct Memories {
    directory: PathBuf,
    desk: Arc<Desk>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// What is to be written: the latest memory of each camera. A slow disk costs older ones, not memory.
#[derive(Default)]
pub struct Desk {
    pile: Mutex<Pile>,
    changed: Condvar,
}

#[derive(Default)]
struct Pile {
    memories: BTreeMap<String, Memory>,
    is_closed: bool,
}

impl Desk {
    /// Has a camera's memory written. Without plugins, the camera is forgotten.
    pub fn put(&self, memory: Memory) {
        self.lock().memories.insert(memory.camera.clone(), memory);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// The next memory to be written; `None` at the end.
    fn take(&self) -> Option<Memory> {
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

    fn lock(&self) -> MutexGuard<'_, Pile> {
        self.pile.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A plugin's state, as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    plugin: String,
    version: String,
    schema: u32,
    data: String,
}

impl Memories {
    /// Keeps memories below `state_dir`.
    ///
    /// # Errors
    /// When the directory can't be created.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let directory = state_dir.join("memories");
        std::fs::create_dir_all(&directory)?;
        let desk = Arc::<Desk>::default();
        let keeper = std::thread::Builder::new().name("memories".into()).spawn({
            let (directory, desk) = (directory.clone(), Arc::clone(&desk));
            move || keep(&directory, &desk)
        })?;
        Ok(Self { directory, desk, keeper: Mutex::new(Some(keeper)) })
    }

    /// Where a camera puts what its plugins remember.
    #[must_use]
    pub fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// What a camera's plugins remembered, by the name of the plugin.
    #[must_use]
    pub fn recall(&self, camera: &str) -> Vec<(String, Snapshot)> {
        let path = file(&self.directory, camera);
        match read(&path) {
            Ok(snapshots) => snapshots,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let path = path.display();
                tracing::warn!(camera, "plugins begin afresh: {path} can't be read: {error}");
                Vec::new()
            }
        }
    }

    /// Forgets what a camera's plugins remembered.
    pub fn forget(&self, camera: &str) {
        self.desk.put(Memory { camera: camera.to_owned(), plugins: Vec::new() });
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

fn keep(directory: &Path, desk: &Desk) {
    while let Some(memory) = desk.take() {
        let camera = memory.camera.as_str();
        if let Err(error) = write(directory, &memory) {
            tracing::error!(camera, "the state of its plugins can't be kept: {error}");
        }
    }
}

fn write(directory: &Path, memory: &Memory) -> io::Result<()> {
    let path = file(directory, &memory.camera);
    if memory.plugins.is_empty() {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let written = memory.plugins.iter().map(|(plugin, snapshot)| Written {
        plugin: plugin.clone(),
        version: snapshot.plugin_version.clone(),
        schema: snapshot.schema,
        data: BASE64.encode(&snapshot.data),
    });
    let mut new = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer(&mut new, &written.collect::<Vec<_>>())?;
    new.as_file().sync_data()?;
    new.persist(path)?;
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<(String, Snapshot)>> {
    let written: Vec<Written> = serde_json::from_slice(&std::fs::read(path)?)?;
    let snapshot = |written: Written| {
        let data = BASE64.decode(&written.data).map_err(io::Error::other)?;
        let (schema, plugin_version) = (written.schema, written.version);
        Ok((written.plugin, Snapshot { schema, plugin_version, data }))
    };
    written.into_iter().map(snapshot).collect()
}

/// Ids have no slash; the prefix keeps `..` and hidden files away.
fn file(directory: &Path, camera: &str) -> PathBuf {
    directory.join(format!("camera-{camera}.json"))
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
        let open = || Memories::open(directory.path()).expect("opens");

        let memories = open();
        let memory = Memory { camera: "..".to_owned(), plugins: plugins.clone() };
        memories.desk().put(memory);
        memories.finish();
        let memories = open();
        assert_eq!(memories.recall(".."), plugins);
        memories.forget("..");
        memories.finish();
        assert_eq!(open().recall(".."), []);
    }
}
