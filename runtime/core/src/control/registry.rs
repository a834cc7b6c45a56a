//! Which cameras there are: where to send commands for them, and what is to be seen of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::mpsc;

use crate::config::{CameraSpec, Config, Id};
use crate::control::wire::Envelope;
use crate::control::wire::{ErrorCode, Refusal};
use crate::policy::Digest;
use crate::stats::CameraStats;

/// What a camera does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It analyses, or passes records through without plugins.
    Running,
    /// Its records pass unanalysed.
    Paused,
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
    jobs: mpsc::UnboundedSender<Envelope>,
    /// What the camera is, and while that changes what it is about to be: its topics are taken.
    reserved: Vec<Arc<CameraSpec>>,
    view: Option<CameraView>,
}

/// All cameras of an instance.
#[derive(Default)]
pub(crate) struct Registry {
    cameras: Mutex<BTreeMap<Id, RegisteredCamera>>,
}

impl Registry {
    /// Sends `assignment` to a camera. `open` is called when nobody takes its commands yet; without
    /// it, the assignment comes back.
    pub fn send(
        &self,
        id: &Id,
        assignment: Envelope,
        open: Option<impl FnOnce() -> mpsc::UnboundedSender<Envelope>>,
    ) -> Result<(), Envelope> {
        // Under the lock, so that nobody stops taking commands in between.
        let mut cameras = self.lock();
        let entry =
            match (cameras.get(id), open) {
                (Some(entry), _) => entry,
                (None, None) => return Err(assignment),
                (None, Some(open)) => cameras.entry(id.clone()).or_insert_with(|| {
                    RegisteredCamera { jobs: open(), reserved: Vec::new(), view: None }
                }),
            };
        entry.jobs.send(assignment).map_err(|unsent| unsent.0)
    }

    /// Sends `assignment` to everyone who takes commands.
    pub fn tell_all(&self, assignment: impl Fn() -> Envelope) {
        for entry in self.lock().values() {
            let _ = entry.jobs.send(assignment());
        }
    }

    /// Takes the topics of a camera, beside those that it has.
    ///
    /// # Errors
    /// When it can't run beside the others.
    pub fn reserve(&self, config: &Config, spec: &Arc<CameraSpec>) -> Result<(), Refusal> {
        let mut cameras = self.lock();
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
        if let Some(entry) = self.lock().get_mut(&spec.id) {
            entry.reserved = vec![Arc::clone(spec)];
        }
    }

    /// Gives up the topics of a camera.
    pub fn release(&self, id: &Id) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.reserved.clear();
        }
    }

    /// Shows what there is to see of a camera; `None`: there is none.
    pub fn show(&self, id: &Id, view: Option<CameraView>) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.view = view;
        }
    }

    /// Forgets a camera that is not there, unless `is_wanted` says that commands wait for it.
    pub fn remove_unless(&self, id: &Id, is_wanted: impl FnOnce() -> bool) -> bool {
        let mut cameras = self.lock();
        // Under the lock, nobody can send a command meanwhile.
        let removed = !is_wanted();
        if removed {
            cameras.remove(id);
        }
        removed
    }

    /// What there is to see of a camera.
    pub fn view(&self, id: &str) -> Option<CameraView> {
        let cameras = self.lock();
        cameras.iter().find(|(known, _)| known.as_str() == id)?.1.view.clone()
    }

    /// What there is to see of all cameras.
    pub fn views(&self) -> Vec<CameraView> {
        self.lock().values().filter_map(|entry| entry.view.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, RegisteredCamera>> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
