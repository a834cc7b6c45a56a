//! One camera's commands, one after the other: taken from its mailbox, validated, executed,
//! answered.
//!
//! Each command either is executed, kept as the desired state and answered, in this order, or it
//! changes nothing.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::context::{ControlContext, OnBehalf};
use super::controlled::ControlledCamera;
use super::kept::KeptState;
use super::runner::Runner;
use crate::camera::OtherTopic;
use crate::config::Id;
use crate::control::wire::{CameraAnswer, CameraCommand, Done, Envelope, ErrorCode, SwapReport};

/// Takes the commands of one camera.
pub(crate) struct Actor {
    camera: ControlledCamera,
    mailbox: mpsc::Receiver<Envelope>,
    /// The start of the camera whose thread has ended.
    ended: watch::Receiver<u64>,
    /// Topics of the camera that are other ones.
    topics: mpsc::UnboundedReceiver<OtherTopic>,
}

impl Actor {
    /// Begins to take commands for a camera. Ends by itself when there is no camera and no command.
    pub fn open(id: Id, context: Arc<ControlContext>) -> mpsc::Sender<Envelope> {
        let (commands, mailbox) = mpsc::channel(context.mailbox);
        let (ends, ended) = watch::channel(0);
        // Bounded by what happens to topics.
        let (others, topics) = mpsc::unbounded_channel();
        let (kept, runner) = (KeptState::default(), Runner::new(ends, others));
        let input = context.inputs.get(id.as_str()).cloned();
        let camera = ControlledCamera { id, context, kept, runner, input };
        tokio::spawn(Self { camera, mailbox, ended, topics }.run());
        commands
    }

    async fn run(mut self) {
        loop {
            let again = self.camera.runner.lack().map(|lack| lack.again);
            let envelope = tokio::select! {
                biased;
                Ok(()) = self.ended.changed() => {
                    let start = *self.ended.borrow_and_update();
                    if !self.camera.context.is_stopping() {
                        self.camera.notice_end(start).await;
                        self.camera.show();
                    }
                    continue;
                }
                Some(other) = self.topics.recv() => {
                    self.camera.note_topic(other).await;
                    continue;
                }
                envelope = self.mailbox.recv() => match envelope {
                    Some(envelope) => envelope,
                    None => return,
                },
                () = until(again), if !self.camera.context.is_stopping() => {
                    self.camera.load_again().await;
                    self.camera.show();
                    continue;
                }
            };
            let Envelope { command, scope, reach, origin, reply } = envelope;
            if matches!(command, CameraCommand::Stop) {
                self.camera.end().await;
                if let Some(reply) = reply {
                    let _ = reply.send(self.camera.answer(Ok(String::new()), None));
                }
                return;
            }
            if self.camera.context.is_stopping() {
                // Done after the restart; the end is next.
                continue;
            }
            let on_behalf = OnBehalf { scope, reach, origin };
            let answer = match self.validate(&command, &on_behalf) {
                Err(answer) => *answer,
                Ok(()) => {
                    let mut swap = None;
                    let result = self.execute(command, on_behalf, &mut swap).await;
                    let camera = &self.camera;
                    let result = result.map_err(|refusal| camera.with_what_stays(refusal));
                    camera.answer(result, swap)
                }
            };
            let camera = &self.camera;
            camera.show();
            // What the end of the node kept from being done is done after the restart.
            let is_given_up = answer.result.is_err() && camera.context.is_stopping();
            if let Some(reply) = reply.filter(|_| !is_given_up) {
                let _ = reply.send(answer);
            }
            let mailbox = &self.mailbox;
            if camera.kept.get().is_none()
                && camera.context.registry.remove_unless(&camera.id, || !mailbox.is_empty())
            {
                return;
            }
        }
    }

    /// Whether a command is to be executed; else what is answered at once. Nothing of another
    /// tenant's camera is in that but, for who creates one, that its id is taken.
    fn validate(
        &self,
        command: &CameraCommand,
        on_behalf: &OnBehalf,
    ) -> Result<(), Box<CameraAnswer>> {
        let ControlledCamera { id, context, kept, .. } = &self.camera;
        let refused =
            |code: ErrorCode, message| Err(Box::new(CameraAnswer::refused(code.because(message))));
        let unknown = || refused(ErrorCode::UnknownCamera, format!("no camera `{id}`"));
        if let (Some(desired), Some(tenant)) = (kept.get(), &on_behalf.reach)
            && *tenant != desired.spec.tenant
        {
            return match command {
                CameraCommand::Create(_) => {
                    let message = format!("the id `{id}` is taken; choose another");
                    refused(ErrorCode::Exists, message)
                }
                _ => unknown(),
            };
        }
        let seen = match kept.get() {
            Some(desired) => Some(&desired.commands),
            None => context.deleted_by.get(id.as_str()),
        };
        let origin = on_behalf.origin.as_ref();
        if origin.is_some_and(|origin| seen.is_some_and(|seen| seen.have_seen(origin))) {
            let result = CameraAnswer::carried_out_before().result;
            return Err(Box::new(self.camera.answer(result, None)));
        }
        let creates = matches!(
            command,
            CameraCommand::Resume(_)
                | CameraCommand::Create(_)
                | CameraCommand::Reset
                | CameraCommand::Declare(_)
        );
        if kept.get().is_none() && !creates { unknown() } else { Ok(()) }
    }

    async fn execute(
        &mut self,
        command: CameraCommand,
        on_behalf: OnBehalf,
        swap: &mut Option<SwapReport>,
    ) -> Done {
        let camera = &mut self.camera;
        let origin = on_behalf.origin.clone();
        let origin = origin.as_ref();
        match command {
            CameraCommand::Resume(desired) => camera.resume_as(*desired, swap).await,
            CameraCommand::Create(table) => camera.create(*table, on_behalf, swap).await,
            CameraCommand::Update(patch) => camera.update(patch, on_behalf, swap).await,
            CameraCommand::Delete => camera.delete(origin).await,
            CameraCommand::Reset => camera.reset(on_behalf, swap).await,
            CameraCommand::Pause(paused) => camera.pause(paused, origin, swap).await,
            CameraCommand::Deploy(deploy) => camera.deploy(&deploy, origin, swap).await,
            CameraCommand::Rollback(back) => camera.roll_back(back, origin, swap).await,
            CameraCommand::Declare(value) => {
                let result = camera.declare(value, swap).await;
                if let Err(refusal) = &result {
                    camera.put_back(refusal).await;
                }
                result
            }
            CameraCommand::Stop => Ok(String::new()),
        }
    }
}

/// Waits for this moment; without one, for ever.
async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
