//! A running camera becomes another one, in place: by a command, or by what a person wrote onto the
//! state topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::context::{OnBehalf, blocking};
use super::controlled::ControlledCamera;
use super::lifecycle::keys_are_the_operators;
use super::plan::Plan;
use crate::camera::{self, CameraInput};
use crate::config::{CameraSpec, OPERATORS_KEYS};
use crate::control::wire::{
    CommandPositions, Desired, Done, ErrorCode, Origin, Record, Refusal, SwapReport, patched,
};
use crate::host::CameraStart;

impl ControlledCamera {
    pub async fn update(
        &mut self,
        patch: Map<String, Value>,
        on_behalf: OnBehalf,
        swap: &mut Option<SwapReport>,
    ) -> Done {
        let OnBehalf { scope, origin, .. } = on_behalf;
        let Some(desired) = self.kept.get().cloned() else { return Ok(String::new()) };
        if scope.is_some() && OPERATORS_KEYS.iter().any(|key| patch.contains_key(*key)) {
            return Err(keys_are_the_operators());
        }
        let keys: Vec<String> =
            patch.keys().filter(|key| !matches!(key.as_str(), "id" | "_id")).cloned().collect();
        let spec = patched(&desired.spec, patch, &self.context.host.config)?;
        if let Some(tenant) = &scope {
            // What the operator has set stays, whatever it is.
            self.check_limits(spec.limits.other_than(desired.spec.limits), tenant)?;
        }
        if spec == desired.spec && self.runner.is_running() {
            return Ok("nothing to change".to_owned());
        }
        self.become_as(spec, origin.as_ref(), swap).await?;
        Ok(keys.join(", "))
    }

    /// Changes the camera into what `spec` says, in place.
    async fn become_as(
        &mut self,
        spec: CameraSpec,
        origin: Option<&Origin>,
        swap: &mut Option<SwapReport>,
    ) -> Result<(), Refusal> {
        let Some(desired) = self.kept.get().cloned() else { return Ok(()) };
        if spec.tenant != desired.spec.tenant {
            let message = "a camera can't change its tenant; delete it and create it anew";
            return Err(ErrorCode::Conflict.because(message));
        }
        let config = &self.context.host.config;
        let old = Arc::new(desired.spec.clone());
        self.context.registry.reserve(config, &Arc::new(spec.clone()))?;
        let changed = self.change(&old, spec, desired, swap).await;
        let stays = changed.as_ref().map_or(&*old, |desired| &desired.spec);
        self.context.registry.settle(&Arc::new(stays.clone()));
        self.accept(changed?, origin).await
    }

    async fn change(
        &mut self,
        old: &Arc<CameraSpec>,
        mut spec: CameraSpec,
        mut desired: Desired,
        swap: &mut Option<SwapReport>,
    ) -> Result<Desired, Refusal> {
        if !self.runner.is_running() {
            let paused = desired.paused;
            let how = CameraStart { paused, goes_on: true, remembers: true, ..Default::default() };
            desired.spec = self.start_reserved(&spec, how, swap).await?;
            return Ok(desired);
        }
        // All that can fail comes first: nothing has changed until the plugins are swapped.
        let host = Arc::clone(&self.context.host);
        let other_input = spec.consume_topic != old.consume_topic;
        if other_input || !spec.output_topics().eq(old.output_topics()) {
            self.context.ensure_topics(&spec).await?;
        }
        let checked = camera::check(&spec);
        checked.map_err(|error| ErrorCode::Refused.because(error.to_string()))?;
        let input = if other_input {
            let (host, spec) = (Arc::clone(&host), spec.clone());
            let input = blocking(move || host.open_input(&spec, false, None)).await?;
            Some(input.map_err(|error| ErrorCode::Failed.because(error.to_string()))?)
        } else {
            None
        };
        let changed = self.change_prepared(&mut spec, &mut desired, input, swap).await;
        if other_input {
            let given_up = if changed.is_ok() { Arc::clone(old) } else { Arc::new(spec) };
            blocking(move || host.close_input(&given_up)).await?;
        }
        changed.map(|()| desired)
    }

    async fn change_prepared(
        &mut self,
        spec: &mut CameraSpec,
        desired: &mut Desired,
        input: Option<CameraInput>,
        swap: &mut Option<SwapReport>,
    ) -> Result<(), Refusal> {
        let other_limits = spec.limits != desired.spec.limits;
        if spec.plugins != desired.spec.plugins || other_limits {
            // Instances are made for their limits.
            desired.spec.limits = spec.limits;
            let plan = Plan::of_list(spec.plugins.clone(), other_limits);
            self.swap(plan, desired, swap.get_or_insert_default()).await?;
            spec.plugins.clone_from(&desired.spec.plugins);
        }
        if *spec != desired.spec {
            self.runner.change(spec.clone(), input).await?;
            desired.spec.clone_from(spec);
        }
        Ok(())
    }

    /// Becomes what the configuration file says, whatever commands have made of it.
    pub async fn reset(&mut self, on_behalf: OnBehalf, swap: &mut Option<SwapReport>) -> Done {
        let OnBehalf { reach, origin, .. } = on_behalf;
        let of_file = self.context.host.config.cameras.iter().find(|it| it.id == self.id).cloned();
        let reached = of_file.filter(|it| reach.as_ref().is_none_or(|own| *own == it.tenant));
        let (spec, before) = match (reached, self.kept.get().cloned()) {
            (Some(spec), before) => (spec, before),
            (None, Some(_)) => {
                let message = "the configuration file has no such camera; `delete` it, or leave it";
                return Err(ErrorCode::Refused.because(message));
            }
            (None, None) => {
                let message = format!("no camera `{}`", self.id);
                return Err(ErrorCode::UnknownCamera.because(message));
            }
        };
        let commands = match before {
            None => {
                let spec = self.start(&spec, CameraStart::default(), swap).await?;
                self.kept.resume(Desired::new(spec));
                self.context.deleted_by.get(self.id.as_str()).cloned().unwrap_or_default()
            }
            Some(desired) => {
                if !desired.spec.satisfies(&spec) || !self.runner.is_running() {
                    self.become_as(spec, None, swap).await?;
                }
                self.runner.pause(false).await?;
                desired.commands
            }
        };
        let Some(desired) = self.kept.get() else { return Err(Refusal::stopped()) };
        let commands = commands.with(origin.as_ref());
        let desired = Desired { commands, ..Desired::new(desired.spec.clone()) };
        // Without a record there, the file is what counts.
        let (publisher, id) = (&self.context.publisher, self.id.as_str());
        let kept = publisher.put_state(id, None, &desired.commands).await;
        self.kept.resume(desired);
        kept.map_err(|error| {
            ErrorCode::Failed.because(format!("done, but the state topic did not take it: {error}"))
        })?;
        Ok(self.runner.in_words())
    }

    /// Does as a person wrote onto the state topic.
    pub async fn declare(&mut self, value: Option<Vec<u8>>, swap: &mut Option<SwapReport>) -> Done {
        let record = match value {
            None => Record::Deleted,
            Some(value) => {
                let (id, config) = (self.id.as_str(), &self.context.host.config);
                Record::parse(id, &value, CommandPositions::default(), config)?
            }
        };
        let (declared, generation) = match (record, self.kept.get()) {
            (Record::Deleted, None) => return Ok(String::new()),
            (Record::Deleted, Some(_)) => return self.delete(None).await,
            (Record::Camera(declared, generation), _) => (*declared, generation),
        };
        let Some(desired) = self.kept.get().cloned() else {
            let how = CameraStart { paused: declared.paused, ..CameraStart::default() };
            let spec = self.start(&declared.spec, how, swap).await?;
            let generation = generation.unwrap_or(1).max(1);
            let previous = BTreeMap::new();
            let desired = Desired { spec, generation, previous, ..declared };
            return self.keep(desired).await.map(|()| self.runner.in_words());
        };
        if let Some(generation) = generation
            && generation <= desired.generation
        {
            let message = format!(
                "generation {generation} is not after {}, which is there; write a higher one, or none",
                desired.generation
            );
            return Err(ErrorCode::Conflict.because(message));
        }
        // Until plugins are pinned anew, they may be any of that source.
        if !desired.spec.satisfies(&declared.spec) {
            self.become_as(declared.spec, None, swap).await?;
        }
        if declared.paused != desired.paused {
            self.pause(declared.paused, None, swap).await?;
        }
        if let Some(mut desired) = self.kept.get().cloned() {
            desired.generation = generation.unwrap_or(desired.generation);
            self.keep(desired).await?;
        }
        Ok(self.runner.in_words())
    }

    /// Tells of a wrong record on the state topic, and writes what is true over it.
    pub async fn put_back(&self, refusal: &Refusal) {
        let publisher = &self.context.publisher;
        let message = format!("✘ state {}: {refusal}", self.id);
        publisher.event("state-refused", self.id.as_str(), &message).await;
        let record = self.kept.get().map(Desired::to_json);
        let commands = self.kept.get().map(|desired| desired.commands.clone()).unwrap_or_default();
        if let Err(error) =
            publisher.put_state(self.id.as_str(), record.as_deref(), &commands).await
        {
            tracing::error!(camera = self.id.as_str(), %error, "the state could not be put back");
        }
    }
}
