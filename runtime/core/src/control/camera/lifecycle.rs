//! A camera's life: created, resumed, paused, deleted, or ended with the instance.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::actor::{Actor, CameraReport, OnBehalf, RunningCamera};
use super::resolve::Placed;
use crate::camera;
use crate::camera::Command;
use crate::config::{CameraSpec, CameraTable, Id};
use crate::control::camera::resolve;
use crate::control::wire::Origin;
use crate::control::wire::{CameraCommand, Done, Envelope};
use crate::control::wire::{Desired, deleted_mark};
use crate::control::wire::{ErrorCode, Refusal, Steps, SwapReport};
use crate::host::CameraStart;
use crate::plugin::instance::CameraPlugin;
use crate::policy::{LimitsTable, Step};

/// Whoever names a topic reads or writes it with the operator's credentials; and decoding threads
/// take no turns with those of other tenants.
pub(crate) const OPERATORS_KEYS: [&str; 3] = ["consume", "produce", "decode_threads"];

/// See [`OPERATORS_KEYS`].
pub(crate) const KEYS_ARE_THE_OPERATORS: &str = "only the operator may set `consume`, `produce` and `decode_threads`; a tenant's cameras have \
     those of [topics] and [camera_defaults]";

/// With `raw_:cam_id`, whoever chooses the id chooses the topic.
const TOPICS_ARE_SHARED: &str = "tenants may create cameras only where `consume` and `produce` of [topics] have `:tenant` in them: \
     else an id could name another tenant's topics";

impl Actor {
    pub(crate) async fn resume_as(
        &mut self,
        desired: Desired,
        swap: &mut Option<SwapReport>,
    ) -> Done {
        // Whether it can be started or not, this is what the camera should be.
        self.desired = Some(desired.clone());
        let how = CameraStart { paused: desired.paused, goes_on: false, remembers: true };
        match self.start(&desired.spec, how, swap).await {
            Ok(spec) => self.desired = Some(Desired { spec, ..desired }),
            Err(refusal) => {
                self.failed = Some(refusal.to_string());
                return Err(refusal);
            }
        }
        Ok(self.what_runs())
    }

    pub(crate) async fn create(
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
        if scope.is_some() && (table.names_topics() || table.names_decode_threads()) {
            return Err(ErrorCode::Conflict.because(KEYS_ARE_THE_OPERATORS));
        }
        if let Some(tenant) = &scope {
            self.check_limits(table.limits(), tenant)?;
        }
        if scope.is_some() && !self.shared.host.config.topics.are_by_tenant() {
            return Err(ErrorCode::Conflict.because(TOPICS_ARE_SHARED));
        }
        let spec = self.shared.host.config.complete(table);
        let spec = spec.map_err(|error| ErrorCode::Invalid.because(error.to_string()))?;
        if scope.is_some()
            && let Some(ambiguity) = self.shared.host.config.ambiguity(&spec)
        {
            return Err(ErrorCode::Conflict.because(ambiguity));
        }
        if let Some(desired) = &self.desired {
            if desired.spec.satisfies(&spec) && self.failed.is_none() {
                return Ok(format!("{} already", self.what_runs()));
            }
            let message = "there is a camera with this id; change it with `update`";
            return Err(ErrorCode::Exists.because(message));
        }
        let how = CameraStart { paused: false, goes_on: false, remembers: false };
        let desired = Desired::new(self.start(&spec, how, swap).await?);
        if let Err(refusal) = self.accept(desired, origin.as_ref()).await {
            self.stop_camera().await;
            self.desired = None;
            self.shared.registry.release(&self.id);
            return Err(refusal);
        }
        Ok(self.what_runs())
    }

    /// A tenant may hold its own plugins to less than the operator does, and not to more.
    pub(crate) fn check_limits(&self, asked: LimitsTable, tenant: &Id) -> Result<(), Refusal> {
        let most = self.shared.host.config.tenant(tenant).limits;
        let Some((name, most)) = asked.above(most) else { return Ok(()) };
        let message = format!("`limits`: `{name}` of tenant `{tenant}` is at most {most}");
        Err(ErrorCode::Quota.because(message))
    }

    /// Starts the camera; nothing is left of it when that fails.
    pub(crate) async fn start(
        &mut self,
        spec: &CameraSpec,
        how: CameraStart,
        swap: &mut Option<SwapReport>,
    ) -> Result<CameraSpec, Refusal> {
        let host = Arc::clone(&self.shared.host);
        self.shared.registry.reserve(&host.config, &Arc::new(spec.clone()))?;
        let started = self.start_reserved(spec, how, swap).await;
        match (&started, &self.desired) {
            (Err(_), None) => self.shared.registry.release(&self.id),
            _ => self.shared.registry.settle(&Arc::new(spec.clone())),
        }
        started
    }

    pub(crate) async fn start_reserved(
        &mut self,
        spec: &CameraSpec,
        how: CameraStart,
        swap: &mut Option<SwapReport>,
    ) -> Result<CameraSpec, Refusal> {
        let checked = camera::check(spec);
        checked.map_err(|error| ErrorCode::Refused.because(error.to_string()))?;
        let host = Arc::clone(&self.shared.host);
        let steps = &mut swap.get_or_insert_default().steps;
        let tenant = resolve::tenant(&host, &spec.tenant)?;
        let owner = (&tenant, host.config.terms_of(spec).limits);
        let loading = resolve::load_all(&host.loader, owner, &spec.plugins, steps);
        let placed = self.unless_stopping(loading).await?;
        let configuring = self.instances(spec, &placed, how.remembers, steps);
        let instances = self.unless_stopping(configuring).await?;
        self.ensure_topics(spec).await?;
        let mut spec = spec.clone();
        spec.plugins = placed.iter().map(|placed| placed.entry.clone()).collect();
        let shared_spec = Arc::new(spec.clone());
        self.starts += 1;
        let (jobs, start) = (self.jobs.clone(), self.starts);
        let on_end = move || {
            let _ = jobs.send(Envelope::internal(CameraCommand::Ended(start)));
        };
        let tenant = host.tenants.get(spec.tenant.as_str());
        let tenant = tenant.ok_or_else(|| ErrorCode::Conflict.because("its tenant is unknown"))?;
        let start = move || host.start_camera(&shared_spec, tenant, instances, how, on_end);
        let camera =
            blocking(start).await?.map_err(|error| ErrorCode::Failed.because(error.to_string()))?;
        self.stats = Arc::clone(&camera.stats);
        self.running = Some(RunningCamera { camera, chain: placed });
        self.failed = None;
        Ok(spec)
    }

    async fn instances(
        &self,
        spec: &CameraSpec,
        chain: &[Placed],
        remembers: bool,
        steps: &mut Steps,
    ) -> Result<Vec<CameraPlugin>, Refusal> {
        let host = &self.shared.host;
        let memories = if remembers { host.memories.recall(&spec.into()) } else { Vec::new() };
        let mut instances = Vec::with_capacity(chain.len());
        for placed in chain {
            let mut instance = resolve::configure(host, spec, placed, steps).await?;
            let memory = memories.iter().find(|(plugin, _)| *plugin == placed.plugin.name);
            if let Some((_, snapshot)) = memory.cloned()
                && instance.has_state()
            {
                let restore = move || {
                    // Off the camera's thread, but not beside those who wait for a core.
                    let seat = instance.meter().tenant.seat();
                    let _turn = seat.take();
                    let restored = instance.restore(&snapshot, &seat);
                    (instance, restored)
                };
                let (restored, result) = host
                    .loader
                    .run(spec.tenant.as_str(), restore)
                    .await
                    .map_err(|error| Refusal::at(Step::HandOver, error.to_string()))?;
                instance = restored;
                if let Err(why) = result {
                    let (camera, plugin) = (self.id.as_str(), instance.name());
                    tracing::warn!(camera, plugin, "begins afresh after a restart: {why}");
                }
            }
            instances.push(instance);
        }
        Ok(instances)
    }

    pub(crate) async fn delete(&mut self, origin: Option<&Origin>) -> Done {
        let Some(desired) = &self.desired else { return Ok(String::new()) };
        let in_file = self.shared.host.config.cameras.iter().any(|camera| camera.id == self.id);
        let record = in_file.then(deleted_mark);
        let (bus, id) = (&self.shared.bus, self.id.as_str());
        let commands = desired.commands.clone().with(origin);
        // First of all, so that a crash on the way does not bring it back.
        let kept = bus.put_state(id, record.as_deref(), &commands).await;
        kept.map_err(|error| {
            ErrorCode::Failed.because(format!("the state topic refused it: {error}"))
        })?;
        let rememberer = (&desired.spec).into();
        self.stop_camera().await;
        self.shared.host.memories.forget(rememberer);
        self.desired = None;
        self.failed = None;
        self.shared.registry.release(&self.id);
        Ok(String::new())
    }

    pub(crate) async fn pause(
        &mut self,
        paused: bool,
        origin: Option<&Origin>,
        swap: &mut Option<SwapReport>,
    ) -> Done {
        let Some(mut desired) = self.desired.clone() else { return Ok(String::new()) };
        if self.running.is_none() && !paused {
            // After a failure, no record may be missing.
            let how = CameraStart { paused, goes_on: true, remembers: true };
            desired.spec = self.start(&desired.spec, how, swap).await?;
            self.desired = Some(desired.clone());
        }
        if let Some(running) = &self.running {
            let (done, is_done) = oneshot::channel();
            let _ = running.camera.send(Command::Pause(paused, done));
            is_done.await.map_err(|_| Refusal::stopped())?;
        }
        if desired.paused != paused {
            desired.paused = paused;
            self.accept(desired, origin).await?;
        }
        Ok(if paused { "paused".to_owned() } else { self.what_runs() })
    }

    /// Sees to it that the camera's topics exist.
    pub(crate) async fn ensure_topics(&self, spec: &CameraSpec) -> Result<(), Refusal> {
        let (host, spec) = (Arc::clone(&self.shared.host), spec.clone());
        let runtime = tokio::runtime::Handle::current();
        let ensured = blocking(move || runtime.block_on(host.ensure_topics(&spec))).await?;
        ensured.map_err(|error| ErrorCode::Failed.because(error.to_string()))
    }

    /// What has no effect yet, unless the instance ends meanwhile.
    pub(crate) async fn unless_stopping<T>(
        &self,
        preparing: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let mut stop = self.shared.stop.clone();
        tokio::select! {
            prepared = preparing => prepared,
            _ = stop.wait_for(|stop| *stop) => Err(Refusal::stopped()),
        }
    }

    /// Makes `desired` the camera's next generation, for good, by a command.
    pub(crate) async fn accept(
        &mut self,
        mut desired: Desired,
        origin: Option<&Origin>,
    ) -> Result<(), Refusal> {
        desired.generation = desired.generation.saturating_add(1);
        desired.commands = desired.commands.with(origin);
        self.keep(desired).await
    }

    /// Makes `desired` what the camera should be, for good.
    pub(crate) async fn keep(&mut self, desired: Desired) -> Result<(), Refusal> {
        let (id, record) = (self.id.as_str(), desired.to_json());
        let kept = self.shared.bus.put_state(id, Some(&record), &desired.commands).await;
        // It is what runs, kept or not.
        self.desired = Some(desired);
        kept.map_err(|error| not_kept(&error))
    }

    /// The thread of this start has ended: by an error, unless it was told to.
    pub(crate) async fn notice_end(&mut self, start: u64) {
        if start != self.starts {
            return;
        }
        if let Some(error) = self.stop_camera().await {
            let message = format!("✘ {} has stopped: {error}", self.id);
            self.failed = Some(error);
            self.shared.bus.event("camera-stopped", self.id.as_str(), &message).await;
        }
    }

    /// Stops the camera, which gives out what it has received. Why it had stopped by itself.
    pub(crate) async fn stop_camera(&mut self) -> Option<String> {
        let RunningCamera { camera, chain } = self.running.take()?;
        camera.stop();
        let host = Arc::clone(&self.shared.host);
        let spec = self.desired.as_ref().map(|desired| desired.spec.clone());
        let ended = blocking(move || {
            let ended = camera.join();
            if let Some(spec) = spec {
                host.close_input(&spec);
            }
            drop(chain);
            ended.err().map(|error| error.to_string())
        });
        ended.await.unwrap_or_else(|refusal| Some(refusal.to_string()))
    }

    /// The instance ends.
    pub(crate) async fn end(&mut self) {
        let failed = self.stop_camera().await.or(self.failed.take());
        if let Some(desired) = &self.desired {
            let spec = Arc::new(desired.spec.clone());
            let report = CameraReport { spec, counts: self.stats.counts(), error: failed };
            let _ = self.shared.reports.send(report);
        }
    }
}

/// Runs what waits for a broker or a thread, off the executor.
pub(crate) async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(job).await;
    done.map_err(|error| ErrorCode::Failed.because(format!("a defect of comux: {error}")))
}

fn not_kept(error: &rdkafka::error::KafkaError) -> Refusal {
    let message = format!(
        "done, but the state topic did not take it ({error}): after a restart it is as before"
    );
    ErrorCode::Failed.because(message)
}
