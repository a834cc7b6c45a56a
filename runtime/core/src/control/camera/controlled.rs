//! A camera under control: what it should be, what runs of it, and starting it.
//!
//! Commands build on this: [`super::swap`] and [`super::deploy`] change its plugins,
//! [`super::lifecycle`] and [`super::update`] the rest.

use std::sync::Arc;

use super::context::ControlContext;
use super::kept::KeptState;
use super::resolve::{self, Placed};
use super::runner::{End, Lack, Runner};
use crate::camera::{self, Link, OtherTopic};
use crate::config::{CameraSpec, Id};
use crate::control::registry::CameraView;
use crate::control::wire::{
    CameraAnswer, Desired, Done, ErrorCode, Origin, Refusal, RolloutOptions, StepTimes, SwapReport,
};
use crate::host::CameraStart;
use crate::kafka::Incarnation;
use crate::plugin::instance::CameraPlugin;
use crate::policy::Step;

/// See the module.
pub(crate) struct ControlledCamera {
    pub id: Id,
    pub context: Arc<ControlContext>,
    pub kept: KeptState,
    pub runner: Runner,
    /// The topic that it consumes, as the state topic has it.
    pub input: Option<Incarnation>,
}

impl ControlledCamera {
    /// Makes `desired` the camera's next generation, for good, by a command.
    pub async fn accept(
        &mut self,
        desired: Desired,
        origin: Option<&Origin>,
    ) -> Result<(), Refusal> {
        self.kept.accept((&self.id, &self.context.publisher), desired, origin).await
    }

    /// Makes `desired` what the camera should be, for good.
    pub async fn keep(&mut self, desired: Desired) -> Result<(), Refusal> {
        self.kept.keep((&self.id, &self.context.publisher), desired).await
    }

    // === starting and stopping ===

    /// Starts the camera; nothing is left of it when that fails.
    pub async fn start(
        &mut self,
        spec: &CameraSpec,
        how: CameraStart,
        swap: &mut Option<SwapReport>,
    ) -> Result<CameraSpec, Refusal> {
        let context = Arc::clone(&self.context);
        context.registry.reserve(&context.host.config, &Arc::new(spec.clone()))?;
        let started = self.start_reserved(spec, how, swap).await;
        match (&started, self.kept.get()) {
            (Err(_), None) => context.registry.release(&self.id),
            _ => context.registry.settle(&Arc::new(spec.clone())),
        }
        started
    }

    /// As [`Self::start`], when the camera has its topics already.
    pub async fn start_reserved(
        &mut self,
        spec: &CameraSpec,
        how: CameraStart,
        swap: &mut Option<SwapReport>,
    ) -> Result<CameraSpec, Refusal> {
        let checked = camera::check(spec);
        checked.map_err(|error| ErrorCode::Refused.because(error.to_string()))?;
        let context = Arc::clone(&self.context);
        let host = &context.host;
        let steps = &mut swap.get_or_insert_default().steps;
        let tenant = resolve::tenant(host, &spec.tenant)?;
        let plugins = match self.plugins(spec, how.remembers, steps).await {
            // What is wrong with plugins has a step.
            Err(refusal) if !how.may_lack_plugins || refusal.step.is_none() => return Err(refusal),
            plugins => plugins,
        };
        context.ensure_topics(spec).await?;
        let mut spec = spec.clone();
        if let Ok((placed, _)) = &plugins {
            spec.plugins = placed.iter().map(|placed| placed.entry.clone()).collect();
        }
        let of = (Arc::new(spec.clone()), tenant);
        let before = self.input.clone();
        self.runner.start(Arc::clone(host), of, plugins, how, before).await?;
        if let Some(Lack { why, .. }) = self.runner.lack() {
            let (camera, tenant) = (spec.id.as_str(), spec.tenant.as_str());
            tracing::warn!(camera, tenant, error = why, "its plugins can't be loaded");
            let message = format!("✘ {camera}: {}", self.runner.in_words());
            context.publisher.event("plugins-lacking", camera, &message).await;
        }
        Ok(spec)
    }

    /// Tries again to load the plugins without which the camera runs.
    pub async fn load_again(&mut self) {
        let Some(mut desired) = self.kept.get().cloned() else { return };
        let mut report = SwapReport::default();
        let loaded = self.plugins(&desired.spec, true, &mut report.steps).await;
        let swapped = match loaded {
            Err(refusal) => Err(refusal),
            Ok((placed, instances)) => {
                let link = |instance| Link::New { instance: Box::new(instance), succeeds: None };
                let links = instances.into_iter().map(link).collect();
                // There is nothing to go back to.
                let options = RolloutOptions { shadow: 0, probation: 0, fresh: false };
                let stop = self.context.stop.clone();
                let swap = self.runner.swap(links, options, stop, &mut report);
                swap.await.map(|()| placed)
            }
        };
        match swapped {
            Err(refusal) => self.runner.lacks_still(refusal.to_string()),
            Ok(placed) => {
                desired.spec.plugins = placed.iter().map(|placed| placed.entry.clone()).collect();
                self.runner.set_chain(placed);
                self.kept.resume(desired);
                let message = format!("✔ {}: {}", self.id, self.runner.in_words());
                let (publisher, id) = (&self.context.publisher, self.id.as_str());
                publisher.event("plugins-loaded", id, &message).await;
            }
        }
    }

    /// A camera's plugins, loaded and configured.
    async fn plugins(
        &self,
        spec: &CameraSpec,
        remembers: bool,
        steps: &mut StepTimes,
    ) -> Result<(Vec<Placed>, Vec<CameraPlugin>), Refusal> {
        let (context, host) = (&self.context, &self.context.host);
        let tenant = resolve::tenant(host, &spec.tenant)?;
        let owner = (&tenant, host.config.terms_of(spec).limits);
        let loading = resolve::load_all(&host.loader, owner, &spec.plugins, steps);
        let placed = context.unless_stopping(loading).await?;
        let configuring = self.instances(spec, &placed, remembers, steps);
        let instances = context.unless_stopping(configuring).await?;
        Ok((placed, instances))
    }

    /// Configured instances of a chain of plugins, with their state of before where `remembers`
    /// says so.
    async fn instances(
        &self,
        spec: &CameraSpec,
        chain: &[Placed],
        remembers: bool,
        steps: &mut StepTimes,
    ) -> Result<Vec<CameraPlugin>, Refusal> {
        let host = &self.context.host;
        let snapshots = if remembers { host.snapshots.recall(&spec.into()) } else { Vec::new() };
        let mut instances = Vec::with_capacity(chain.len());
        for placed in chain {
            let mut instance = resolve::configure(host, spec, placed, steps).await?;
            let saved = snapshots.iter().find(|(plugin, _)| *plugin == placed.plugin.name);
            if let Some((_, snapshot)) = saved.cloned()
                && instance.has_state()
            {
                let restore = move || {
                    // Off the camera's thread, but not beside those who wait for a core.
                    let claim = instance.meter().tenant.claim();
                    let _permit = claim.take();
                    let restored = instance.restore(&snapshot, &claim);
                    (instance, restored)
                };
                let (restored, result) = host
                    .loader
                    .run(spec.tenant.as_str(), restore)
                    .await
                    .map_err(|error| Refusal::at(Step::HandOver, error.to_string()))?;
                instance = restored;
                if let Err(error) = result {
                    let (camera, tenant, plugin) =
                        (self.id.as_str(), spec.tenant.as_str(), instance.name());
                    tracing::warn!(
                        camera,
                        tenant,
                        plugin,
                        error,
                        "a plugin begins afresh after a restart"
                    );
                }
            }
            instances.push(instance);
        }
        Ok(instances)
    }

    /// Stops the camera, which gives out what it has received. Why it had stopped by itself.
    pub async fn stop(&mut self) -> Option<End> {
        let spec = self.kept.get().map(|desired| desired.spec.clone());
        self.runner.stop(Arc::clone(&self.context.host), spec).await
    }

    // === its topics ===

    /// One of its topics is another one.
    pub async fn note_topic(&mut self, other: OtherTopic) {
        match other {
            OtherTopic::Input(input) => self.note_input(input).await,
            OtherTopic::Output => self.output_was_made_again().await,
        }
    }

    /// Says that what comes from here on goes to another output topic.
    pub async fn output_was_made_again(&self) {
        let Some(desired) = self.kept.get() else { return };
        let (id, topic) = (self.id.as_str(), &desired.spec.produce_topic);
        let message = format!(
            "⚠ {id}: its output topic `{topic}` was deleted and made again; what had not been \
             acknowledged before is in the new one"
        );
        self.context.publisher.event("output-made-again", id, &message).await;
    }

    /// It consumes this topic now. Keeps that, and says so when it was made again.
    async fn note_input(&mut self, input: Incarnation) {
        if self.input.as_ref() == Some(&input) || self.kept.get().is_none() {
            return;
        }
        let before = self.input.replace(input.clone());
        let is_made_again = before.is_some_and(|it| it.topic == input.topic) && input.number > 0;
        let (publisher, id) = (&self.context.publisher, self.id.as_str());
        if let Err(error) = publisher.put_input(id, Some(&input)).await {
            tracing::warn!(camera = id, %error, "the state topic did not take which topic is read");
        }
        if is_made_again {
            let (topic, number) = (&input.topic, input.number);
            let message = format!(
                "⚠ {id}: its input topic `{topic}` was deleted and made again; it is read from its \
                 beginning, and `comux-source` of its records ends in `/{number}`"
            );
            publisher.event("topic-made-again", id, &message).await;
        }
    }

    // === what there is to see ===

    /// The plugins that run.
    pub fn present(&self) -> Result<&[Placed], Refusal> {
        let stopped = || ErrorCode::Failed.because("the camera has stopped; `resume` it first");
        self.runner.chain().ok_or_else(stopped)
    }

    /// A refused change of plugins: what runs all the same.
    pub fn with_what_stays(&self, refusal: Refusal) -> Refusal {
        if refusal.step.is_none() || !self.runner.is_running() {
            return refusal;
        }
        let message = format!("{refusal}; still {}", self.runner.in_words());
        Refusal { message, ..refusal }
    }

    /// Shows the camera in the registry as it is now.
    pub fn show(&self) {
        let view = self.kept.get().map(|desired| CameraView {
            spec: Arc::new(desired.spec.clone()),
            stats: Arc::clone(self.runner.stats()),
            generation: desired.generation,
            phase: self.runner.phase(desired.paused),
            plugins: self.runner.identities(),
            pinned: desired.components().collect(),
            error: self.runner.failure().or(self.runner.lack().map(|lack| &lack.why)).cloned(),
        });
        self.context.registry.show(&self.id, view);
    }

    /// The answer to a command.
    pub fn answer(&self, result: Done, swap: Option<SwapReport>) -> CameraAnswer {
        let desired = self.kept.get();
        CameraAnswer {
            result,
            tenant: desired.map(|desired| desired.spec.tenant.to_string()),
            generation: desired.map(|desired| desired.generation),
            plugins: self.runner.identities(),
            swap,
        }
    }
}
