//! Which cameras there are: where to send commands for them, which topics they have, and what is to
//! be seen of them. Nobody waits here: its lock is held for a look or a change.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::config::{CameraSpec, Config, Id};
use crate::control::wire::{Envelope, ErrorCode, Refusal};
use crate::policy::Digest;
use crate::stats::CameraStats;

/// What a camera does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// It analyses, or passes records through without plugins.
    Running,
    /// Its records pass unanalysed.
    Paused,
    /// Its records pass unanalysed, because its plugins can't be loaded; that is tried again.
    NoPlugin,
    /// It has stopped by an error, or could not be started.
    Failed,
}

/// A camera as it is to be seen from outside.
#[derive(Clone)]
pub struct CameraView {
    /// What it is.
    pub spec: Arc<CameraSpec>,
    /// Its counters.
    pub stats: Arc<CameraStats>,
    /// How often it was changed.
    pub generation: u64,
    /// What it does.
    pub phase: Phase,
    /// The identities of its plugins.
    pub plugins: Vec<String>,
    /// The components that it runs, and that a rollback would bring back.
    pub pinned: Vec<Digest>,
    /// Why it failed.
    pub error: Option<String>,
}

struct RegisteredCamera {
    commands: mpsc::Sender<Envelope>,
    /// What the camera is, and while that changes what it is about to be: its topics are taken.
    reserved: Vec<Arc<CameraSpec>>,
    view: Option<CameraView>,
}

/// Nobody takes commands for this camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotSent;

/// All cameras of a node.
#[derive(Default)]
pub(crate) struct Registry {
    cameras: Mutex<BTreeMap<Id, RegisteredCamera>>,
}

impl Registry {
    /// Sends a command to a camera. `open` is called when nobody takes its commands yet.
    ///
    /// # Errors
    /// When nobody takes it. A mailbox has room for all commands that may be under way at the same
    /// time, so that none is ever full.
    pub fn send(
        &self,
        id: &Id,
        envelope: Envelope,
        open: Option<impl FnOnce() -> mpsc::Sender<Envelope>>,
    ) -> Result<(), NotSent> {
        // Under the lock, so that nobody stops taking commands in between.
        let mut cameras = self.cameras.lock();
        let entry =
            match (cameras.get(id), open) {
                (Some(entry), _) => entry,
                (None, None) => return Err(NotSent),
                (None, Some(open)) => cameras.entry(id.clone()).or_insert_with(|| {
                    RegisteredCamera { commands: open(), reserved: Vec::new(), view: None }
                }),
            };
        entry.commands.try_send(envelope).map_err(|_| NotSent)
    }

    /// Sends a command to everyone who takes any.
    pub fn tell_all(&self, envelope: impl Fn() -> Envelope) {
        for entry in self.cameras.lock().values() {
            let _ = entry.commands.try_send(envelope());
        }
    }

    /// Takes the topics of a camera, beside those that it has.
    ///
    /// # Errors
    /// When it can't run beside the others.
    pub fn reserve(&self, config: &Config, spec: &Arc<CameraSpec>) -> Result<(), Refusal> {
        let mut cameras = self.cameras.lock();
        let others = cameras.iter().filter(|(id, _)| **id != spec.id);
        let others = others.flat_map(|(_, entry)| entry.reserved.iter().map(|spec| &**spec));
        if let Some(objection) = config.objection(spec, others) {
            return Err(ErrorCode::Conflict.because(objection));
        }
        let is_new = cameras.get(&spec.id).is_none_or(|entry| entry.reserved.is_empty());
        let others = cameras.iter().filter(|(id, _)| **id != spec.id);
        let others = others.filter_map(|(_, entry)| entry.reserved.first().map(|spec| &**spec));
        if let Some(excess) = config.excess(spec, others).filter(|_| is_new) {
            return Err(ErrorCode::Quota.because(excess));
        }
        if let Some(entry) = cameras.get_mut(&spec.id) {
            entry.reserved.push(Arc::clone(spec));
        }
        Ok(())
    }

    /// A camera has the topics of `spec` and no others.
    pub fn settle(&self, spec: &Arc<CameraSpec>) {
        if let Some(entry) = self.cameras.lock().get_mut(&spec.id) {
            entry.reserved = vec![Arc::clone(spec)];
        }
    }

    /// Gives up the topics of a camera.
    pub fn release(&self, id: &Id) {
        if let Some(entry) = self.cameras.lock().get_mut(id) {
            entry.reserved.clear();
        }
    }

    /// Shows what there is to see of a camera; `None`: there is none.
    pub fn show(&self, id: &Id, view: Option<CameraView>) {
        if let Some(entry) = self.cameras.lock().get_mut(id) {
            entry.view = view;
        }
    }

    /// Forgets a camera that is not there, unless `is_wanted` says that commands wait for it.
    pub fn remove_unless(&self, id: &Id, is_wanted: impl FnOnce() -> bool) -> bool {
        let mut cameras = self.cameras.lock();
        // Under the lock, nobody can send a command meanwhile.
        let removed = !is_wanted();
        if removed {
            cameras.remove(id);
        }
        removed
    }

    /// What there is to see of a camera.
    pub fn view(&self, id: &str) -> Option<CameraView> {
        let cameras = self.cameras.lock();
        cameras.iter().find(|(known, _)| known.as_str() == id)?.1.view.clone()
    }

    /// What there is to see of all cameras.
    pub fn views(&self) -> Vec<CameraView> {
        self.cameras.lock().values().filter_map(|entry| entry.view.clone()).collect()
    }
}
