//! A camera's life by commands: created, resumed, paused, deleted, or ended with the node.

use std::sync::Arc;

use super::context::{CameraReport, OnBehalf};
use super::controlled::ControlledCamera;
use super::runner::End;
use crate::config::{CameraTable, Id, OPERATORS_KEYS};
use crate::control::wire::{Desired, Done, ErrorCode, Origin, Refusal, SwapReport, deleted_mark};
use crate::host::CameraStart;
use crate::policy::LimitsTable;

/// What a tenant is told that sets one of [`OPERATORS_KEYS`].
pub(crate) fn keys_are_the_operators() -> Refusal {
    let keys = OPERATORS_KEYS.map(|key| format!("`{key}`")).join(", ");
    ErrorCode::Conflict.because(format!(
        "only the operator may set {keys}; a tenant's cameras have those of [topics] and \
         [camera_defaults]"
    ))
}

/// With `raw_:cam_id`, whoever chooses the id chooses the topic.
const TOPICS_ARE_SHARED: &str = "tenants may create cameras only where `consume` and \
     `produce` of [topics] have `:tenant` in them: else an id could name another tenant's topics";

impl ControlledCamera {
    pub async fn resume_as(&mut self, desired: Desired, swap: &mut Option<SwapReport>) -> Done {
        // Whether it can be started or not, this is what the camera should be.
        self.kept.resume(desired.clone());
        let how = CameraStart {
            paused: desired.paused,
            goes_on: false,
            remembers: true,
            may_lack_plugins: true,
        };
        match self.start(&desired.spec, how, swap).await {
            Ok(spec) => self.kept.resume(Desired { spec, ..desired }),
            Err(refusal) => {
                self.runner.fail(refusal.to_string());
                return Err(refusal);
            }
        }
        Ok(self.runner.in_words())
    }

    pub async fn create(
        &mut self,
        mut table: CameraTable,
        on_behalf: OnBehalf,
        swap: &mut Option<SwapReport>,
    ) -> Done {
        let OnBehalf { scope, reach, origin } = on_behalf;
        if let Some(tenant) = reach {
            if table.tenant.as_ref().is_some_and(|asked| *asked != tenant) {
                let message = format!("this command reaches tenant `{tenant}` only");
                return Err(ErrorCode::Conflict.because(message));
            }
            table.tenant = Some(tenant);
        }
        if scope.is_some() && table.names_what_is_the_operators() {
            return Err(keys_are_the_operators());
        }
        if let Some(tenant) = &scope {
            self.check_limits(table.limits(), tenant)?;
        }
        if scope.is_some() && !self.context.host.config.topics.are_by_tenant() {
            return Err(ErrorCode::Conflict.because(TOPICS_ARE_SHARED));
        }
        let spec = self.context.host.config.complete(table);
        let spec = spec.map_err(|error| ErrorCode::Invalid.because(error.to_string()))?;
        if scope.is_some()
            && let Some(ambiguity) = self.context.host.config.ambiguity(&spec)
        {
            return Err(ErrorCode::Conflict.because(ambiguity));
        }
        if let Some(desired) = self.kept.get() {
            if desired.spec.satisfies(&spec) && self.runner.failure().is_none() {
                return Ok(format!("{} already", self.runner.in_words()));
            }
            let message = "there is a camera with this id; change it with `update`";
            return Err(ErrorCode::Exists.because(message));
        }
        let how = CameraStart::default();
        let desired = Desired::new(self.start(&spec, how, swap).await?);
        if let Err(refusal) = self.accept(desired, origin.as_ref()).await {
            self.stop().await;
            self.kept.clear();
            self.context.registry.release(&self.id);
            return Err(refusal);
        }
        Ok(self.runner.in_words())
    }

    /// A tenant may hold its own plugins to less than the operator does, and not to more.
    pub fn check_limits(&self, asked: LimitsTable, tenant: &Id) -> Result<(), Refusal> {
        let most = self.context.host.config.tenant(tenant).limits;
        let Some((name, most)) = asked.above(most) else { return Ok(()) };
        let message = format!("`limits`: `{name}` of tenant `{tenant}` is at most {most}");
        Err(ErrorCode::Quota.because(message))
    }

    pub async fn delete(&mut self, origin: Option<&Origin>) -> Done {
        let Some(desired) = self.kept.get() else { return Ok(String::new()) };
        let in_file = self.context.host.config.cameras.iter().any(|camera| camera.id == self.id);
        let record = in_file.then(deleted_mark);
        let (publisher, id) = (&self.context.publisher, self.id.as_str());
        let commands = desired.commands.clone().with(origin);
        // First of all, so that a crash on the way does not bring it back.
        let kept = publisher.put_state(id, record.as_deref(), &commands).await;
        kept.map_err(|error| {
            ErrorCode::Failed.because(format!("the state topic refused it: {error}"))
        })?;
        let owner = (&desired.spec).into();
        if self.input.take().is_some()
            && let Err(error) = publisher.put_input(id, None).await
        {
            tracing::warn!(camera = id, %error, "the state topic did not take that it is deleted");
        }
        self.stop().await;
        self.context.host.snapshots.forget(owner);
        self.kept.clear();
        self.runner.forget_failure();
        self.context.registry.release(&self.id);
        Ok(String::new())
    }

    pub async fn pause(
        &mut self,
        paused: bool,
        origin: Option<&Origin>,
        swap: &mut Option<SwapReport>,
    ) -> Done {
        let Some(mut desired) = self.kept.get().cloned() else { return Ok(String::new()) };
        if !self.runner.is_running() && !paused {
            // After a failure, no record may be missing.
            let how =
                CameraStart { paused, goes_on: true, remembers: true, may_lack_plugins: true };
            desired.spec = self.start(&desired.spec, how, swap).await?;
            self.kept.resume(desired.clone());
        }
        self.runner.pause(paused).await?;
        if !paused && self.runner.lack().is_some() {
            self.load_again().await;
        }
        if desired.paused != paused {
            desired.paused = paused;
            self.accept(desired, origin).await?;
        }
        Ok(if paused { "paused".to_owned() } else { self.runner.in_words() })
    }

    /// The thread of this start has ended: by an error, unless it was told to.
    pub async fn notice_end(&mut self, start: u64) {
        if !self.runner.is_latest(start) {
            return;
        }
        let Some(End { why: error, output_is_gone }) = self.stop().await else { return };
        let error = match self.kept.get().filter(|_| output_is_gone).cloned() {
            None => Some(error),
            Some(desired) => self.start_again(&desired).await.err().map(|it| it.to_string()),
        };
        if let Some(error) = error {
            let message = format!("✘ {} has stopped: {error}", self.id);
            self.runner.fail(error);
            self.context.publisher.event("camera-stopped", self.id.as_str(), &message).await;
        }
    }

    /// Goes on where the output was acknowledged last, into an output topic that is there.
    async fn start_again(&mut self, desired: &Desired) -> Result<(), Refusal> {
        let paused = desired.paused;
        let how = CameraStart { paused, goes_on: true, remembers: true, may_lack_plugins: true };
        let spec = self.start(&desired.spec, how, &mut None).await?;
        self.kept.resume(Desired { spec, ..desired.clone() });
        self.output_was_made_again().await;
        Ok(())
    }

    /// The node ends.
    pub async fn end(&mut self) {
        let before = self.runner.failure().cloned();
        let error = self.stop().await.map(|end| end.why).or(before);
        if let Some(desired) = self.kept.get() {
            let spec = Arc::new(desired.spec.clone());
            let report = CameraReport { spec, counts: self.runner.stats().counts(), error };
            let _ = self.context.reports.send(report);
        }
    }
}
