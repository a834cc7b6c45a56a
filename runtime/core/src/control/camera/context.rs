//! What the actors of all cameras share, and waiting beside the executor.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::config::{CameraSpec, Id};
use crate::control::registry::Registry;
use crate::control::topics::Publisher;
use crate::control::wire::{CommandPositions, ErrorCode, Origin, Refusal};
use crate::host::Host;
use crate::kafka::Incarnation;
use crate::stats::CameraCounts;

/// See the module.
pub(crate) struct ControlContext {
    pub host: Arc<Host>,
    pub publisher: Publisher,
    pub registry: Registry,
    /// Cameras that were not there at the start: the commands that had deleted them.
    pub deleted_by: HashMap<String, CommandPositions>,
    /// The topics that cameras consumed before the start.
    pub inputs: HashMap<String, Incarnation>,
    /// How many commands may wait for one camera: all that may be under way at the same time.
    pub mailbox: usize,
    /// Turns true when the node ends.
    pub stop: watch::Receiver<bool>,
    /// What became of cameras that were stopped with the node: one report of each.
    pub reports: mpsc::UnboundedSender<CameraReport>,
}

/// What a camera counted, and how it ended.
pub struct CameraReport {
    /// The camera.
    pub spec: Arc<CameraSpec>,
    /// Its counters.
    pub counts: CameraCounts,
    /// Why it stopped by itself, if it did.
    pub error: Option<String>,
}

/// From where a command comes; see [`Envelope`](crate::control::wire::Envelope).
pub(crate) struct OnBehalf {
    pub scope: Option<Id>,
    pub reach: Option<Id>,
    pub origin: Option<Origin>,
}

impl ControlContext {
    /// Whether the node ends.
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// What has no effect yet, unless the node ends meanwhile.
    pub async fn unless_stopping<T>(
        &self,
        preparing: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let mut stop = self.stop.clone();
        tokio::select! {
            prepared = preparing => prepared,
            _ = stop.wait_for(|stop| *stop) => Err(Refusal::stopped()),
        }
    }

    /// Sees to it that a camera's topics exist.
    pub async fn ensure_topics(&self, spec: &CameraSpec) -> Result<(), Refusal> {
        let (host, spec) = (Arc::clone(&self.host), spec.clone());
        let runtime = tokio::runtime::Handle::current();
        let ensured = blocking(move || runtime.block_on(host.ensure_topics(&spec))).await?;
        ensured.map_err(|error| ErrorCode::Failed.because(error.to_string()))
    }
}

/// Runs what waits for a broker or a thread, off the executor.
pub(crate) async fn blocking<T: Send + 'static>(
    wait: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(wait).await;
    done.map_err(|error| ErrorCode::Failed.because(format!("a defect of comux: {error}")))
}
