//! One camera's commands, one after the other: its desired state, and what runs by it.
//!
//! Each command either is carried out, kept as the desired state and answered, in this order, or it
//! changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::resolve::Placed;
use crate::camera::Camera;
use crate::config::{CameraSpec, Id};
use crate::control::registry::{CameraView, Phase, Registry};
use crate::control::topics::Publisher;
use crate::control::wire::Desired;
use crate::control::wire::{CameraAnswer, ErrorCode, Refusal, SwapReport};
use crate::control::wire::{CameraCommand, Done, Envelope};
use crate::control::wire::{CommandPositions, Origin};
use crate::host::Host;
use crate::stats::{CameraCounts, CameraStats};

/// What the actors of all cameras share.
pub(crate) struct ActorContext {
    pub host: Arc<Host>,
    pub bus: Publisher,
    pub registry: Registry,
    /// Cameras that were not there at the start: the commands that had deleted them.
    pub deleted_by: HashMap<String, CommandPositions>,
    /// Turns true when the instance ends.
    pub stop: watch::Receiver<bool>,
    /// What became of cameras that were stopped with the instance.
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

/// Takes the commands of one camera.
pub(crate) struct Actor {
    pub(crate) id: Id,
    pub(crate) shared: Arc<ActorContext>,
    pub(crate) jobs: mpsc::UnboundedSender<Envelope>,
    pub(crate) desired: Option<Desired>,
    pub(crate) running: Option<RunningCamera>,
    /// How often the camera was started.
    pub(crate) starts: u64,
    /// Why it does not run although it should.
    pub(crate) failed: Option<String>,
    /// Its counters, also of a camera that has failed.
    pub(crate) stats: Arc<CameraStats>,
}

/// From where a job comes; see [`Assignment`].
pub(crate) struct OnBehalf {
    pub scope: Option<Id>,
    pub reach: Option<Id>,
    pub origin: Option<Origin>,
}

/// A camera that runs.
pub(crate) struct RunningCamera {
    pub camera: Camera,
    pub chain: Vec<Placed>,
}

impl Actor {
    /// Begins to take commands for a camera. Ends by itself when there is no camera and no command.
    pub fn open(id: Id, shared: Arc<ActorContext>) -> mpsc::UnboundedSender<Envelope> {
        let (jobs, received) = mpsc::unbounded_channel();
        let stats = Arc::default();
        let (desired, running, failed) = (None, None, None);
        let starts = 0;
        let actor =
            Self { id, shared, jobs: jobs.clone(), desired, running, starts, failed, stats };
        tokio::spawn(actor.run(received));
        jobs
    }

    async fn run(mut self, mut received: mpsc::UnboundedReceiver<Envelope>) {
        while let Some(Envelope { job, scope, reach, origin, reply }) = received.recv().await {
            if matches!(job, CameraCommand::Stop) {
                self.end().await;
                if let Some(reply) = reply {
                    let _ = reply.send(self.answer(Ok(String::new()), None));
                }
                return;
            }
            if *self.shared.stop.borrow() {
                // Done after the restart; the end is next.
                continue;
            }
            let mut swap = None;
            let on_behalf = OnBehalf { scope, reach, origin };
            let result = match self.objection(&job, &on_behalf) {
                Some(result) => result,
                None => self.carry_out(job, on_behalf, &mut swap).await,
            };
            let result = result.map_err(|refusal| self.with_what_stays(refusal));
            self.show();
            // What the end of the instance kept from being done is done after the restart.
            let is_given_up = result.is_err() && *self.shared.stop.borrow();
            if let Some(reply) = reply.filter(|_| !is_given_up) {
                let _ = reply.send(self.answer(result, swap));
            }
            let shared = Arc::clone(&self.shared);
            if self.desired.is_none()
                && shared.registry.remove_unless(&self.id, || !received.is_empty())
            {
                return;
            }
        }
    }

    /// What can be said of a job without doing anything.
    fn objection(&self, job: &CameraCommand, on_behalf: &OnBehalf) -> Option<Done> {
        let unknown = || ErrorCode::UnknownCamera.because(format!("no camera `{}`", self.id));
        if let (Some(desired), Some(tenant)) = (&self.desired, &on_behalf.reach)
            && *tenant != desired.spec.tenant
        {
            return Some(Err(unknown()));
        }
        let seen = match &self.desired {
            Some(desired) => Some(&desired.commands),
            None => self.shared.deleted_by.get(self.id.as_str()),
        };
        let origin = on_behalf.origin.as_ref();
        if origin.is_some_and(|origin| seen.is_some_and(|seen| seen.have_seen(origin))) {
            return Some(CameraAnswer::carried_out_before().result);
        }
        let creates = matches!(
            job,
            CameraCommand::Resume(_)
                | CameraCommand::Create(_)
                | CameraCommand::Declare(_)
                | CameraCommand::Ended(_)
        );
        (self.desired.is_none() && !creates).then(|| Err(unknown()))
    }

    async fn carry_out(
        &mut self,
        job: CameraCommand,
        on_behalf: OnBehalf,
        swap: &mut Option<SwapReport>,
    ) -> Done {
        let origin = on_behalf.origin.clone();
        let origin = origin.as_ref();
        match job {
            CameraCommand::Resume(desired) => self.resume_as(*desired, swap).await,
            CameraCommand::Create(table) => self.create(*table, on_behalf, swap).await,
            CameraCommand::Update(patch) => self.update(patch, on_behalf, swap).await,
            CameraCommand::Delete => self.delete(origin).await,
            CameraCommand::Pause(paused) => self.pause(paused, origin, swap).await,
            CameraCommand::Deploy(deploy) => self.deploy(&deploy, origin, swap).await,
            CameraCommand::Rollback(back) => self.roll_back(back, origin, swap).await,
            CameraCommand::Declare(value) => {
                let result = self.declare(value, swap).await;
                if let Err(refusal) = &result {
                    self.put_back(refusal).await;
                }
                result
            }
            CameraCommand::Ended(start) => {
                self.notice_end(start).await;
                Ok(String::new())
            }
            CameraCommand::Stop => Ok(String::new()),
        }
    }

    /// In a few words, what the camera does.
    pub(crate) fn what_runs(&self) -> String {
        match self.running.as_ref().map(|running| running.chain.as_slice()) {
            None => "stopped".to_owned(),
            Some([]) => "passing records through".to_owned(),
            Some(chain) => {
                let titles: Vec<String> = chain.iter().map(Placed::title).collect();
                format!("running {}", titles.join(", "))
            }
        }
    }

    /// A refused change of plugins: what runs all the same.
    fn with_what_stays(&self, refusal: Refusal) -> Refusal {
        if refusal.step.is_none() || self.running.is_none() {
            return refusal;
        }
        let message = format!("{refusal}; still {}", self.what_runs());
        Refusal { message, ..refusal }
    }

    fn identities(&self) -> Vec<String> {
        let chain = self.running.iter().flat_map(|running| &running.chain);
        chain.map(|placed| placed.plugin.identity.clone()).collect()
    }

    fn show(&self) {
        let view = self.desired.as_ref().map(|desired| CameraView {
            spec: Arc::new(desired.spec.clone()),
            stats: Arc::clone(&self.stats),
            generation: desired.generation,
            phase: match (&self.running, desired.paused) {
                (None, _) => Phase::Failed,
                (Some(_), true) => Phase::Paused,
                (Some(_), false) => Phase::Running,
            },
            plugins: self.identities(),
            pinned: desired.components().collect(),
            error: self.failed.clone(),
        });
        self.shared.registry.show(&self.id, view);
    }

    fn answer(&self, result: Done, swap: Option<SwapReport>) -> CameraAnswer {
        CameraAnswer {
            result,
            tenant: self.desired.as_ref().map(|desired| desired.spec.tenant.to_string()),
            generation: self.desired.as_ref().map(|desired| desired.generation),
            plugins: self.identities(),
            swap,
        }
    }
}
