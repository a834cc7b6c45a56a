//! `deploy` and `rollback`: which plugins shall run, by what a command says and what runs.

use serde_json::Map;

use super::controlled::ControlledCamera;
use super::plan::{Plan, Planned};
use super::resolve::{self, Placed};
use crate::config::{CameraSpec, PluginEntry};
use crate::control::wire::{
    Deploy, Done, ErrorCode, Origin, Refusal, Rollback, RolloutOptions, SwapReport, Wanted,
    WantedPlugin,
};

impl ControlledCamera {
    pub async fn deploy(
        &mut self,
        deploy: &Deploy,
        origin: Option<&Origin>,
        report: &mut Option<SwapReport>,
    ) -> Done {
        let Some(mut desired) = self.kept.get().cloned() else { return Ok(String::new()) };
        let report = report.get_or_insert_default();
        let plan = match &deploy.wanted {
            Wanted::List(entries) => {
                Plan { options: deploy.options, ..Plan::of_list(entries.clone(), false) }
            }
            Wanted::One { plugin, replaces } => {
                let chain =
                    self.plan_one(&desired.spec, plugin, replaces.as_deref(), report).await?;
                Plan { chain, options: deploy.options, afresh: false, goes_back: false }
            }
        };
        if self.swap(plan, &mut desired, report).await? {
            self.accept(desired, origin).await?;
        }
        Ok(self.runner.in_words())
    }

    /// The present chain with one plugin in the place of another.
    async fn plan_one(
        &self,
        spec: &CameraSpec,
        wanted: &WantedPlugin,
        replaces: Option<&str>,
        report: &mut SwapReport,
    ) -> Result<Vec<Planned>, Refusal> {
        let present = self.present()?;
        if self.runner.lack().is_some() && spec.plugins.len() > 1 {
            let message = "its plugins can't be loaded; say with `plugins` which all shall run";
            return Err(ErrorCode::Refused.because(message));
        }
        let WantedPlugin { source, sha256, config } = wanted.clone();
        let entry = PluginEntry { source, sha256, config: Map::new() };
        let host = &self.context.host;
        let tenant = resolve::tenant(host, &spec.tenant)?;
        let owner = (&tenant, host.config.terms_of(spec).limits);
        let loading = resolve::load(&host.loader, owner, entry, &mut report.steps);
        let mut placed = self.context.unless_stopping(loading).await?;
        let named = |name: &str| {
            present.iter().position(|old| old.plugin.name == name || old.title() == name)
        };
        let place = match (replaces, present) {
            (Some(name), _) => Some(named(name).ok_or_else(|| {
                let titles: Vec<String> = present.iter().map(Placed::title).collect();
                let message =
                    format!("`replaces`: no plugin `{name}` runs; {} do", titles.join(", "));
                ErrorCode::Invalid.because(message)
            })?),
            (None, []) => None,
            (None, [_]) => Some(0),
            (None, _) => Some(named(&placed.plugin.name).ok_or_else(|| {
                let titles: Vec<String> = present.iter().map(Placed::title).collect();
                ErrorCode::Invalid.because(format!(
                    "the camera runs {}; say with `replaces` which of them {} takes the place of",
                    titles.join(", "),
                    placed.title()
                ))
            })?),
        };
        let old = place.and_then(|place| present.get(place));
        let inherited = old.filter(|old| old.plugin.name == placed.plugin.name);
        placed.entry.config =
            config.or_else(|| inherited.map(|old| old.entry.config.clone())).unwrap_or_default();
        let mut chain: Vec<Planned> = (0..present.len()).map(Planned::Present).collect();
        match place.and_then(|place| chain.get_mut(place)) {
            Some(slot) => *slot = Planned::Loaded(placed, place),
            None => chain.push(Planned::Loaded(placed, None)),
        }
        Ok(chain)
    }

    pub async fn roll_back(
        &mut self,
        Rollback { plugin, fresh }: Rollback,
        origin: Option<&Origin>,
        report: &mut Option<SwapReport>,
    ) -> Done {
        let Some(mut desired) = self.kept.get().cloned() else { return Ok(String::new()) };
        let present = self.present()?;
        let known = |old: &&Placed| desired.previous.contains_key(&old.plugin.name);
        let named = |old: &&Placed| {
            plugin.as_ref().is_none_or(|name| old.plugin.name == *name || old.title() == *name)
        };
        let candidates: Vec<&Placed> = present.iter().filter(known).filter(named).collect();
        let name = match candidates.as_slice() {
            [one] => one.plugin.name.clone(),
            [] => {
                let message = "there is no version before to go back to";
                return Err(ErrorCode::Refused.because(message));
            }
            several => {
                let titles: Vec<String> = several.iter().map(|placed| placed.title()).collect();
                let message = format!("say with `plugin` which one: {}", titles.join(", "));
                return Err(ErrorCode::Invalid.because(message));
            }
        };
        let report = report.get_or_insert_default();
        let place = present.iter().position(|old| old.plugin.name == name);
        let Some(entry) = desired.previous.get(&name).and_then(|it| it.last()).cloned() else {
            return Err(Refusal::stopped());
        };
        let host = &self.context.host;
        let tenant = resolve::tenant(host, &desired.spec.tenant)?;
        let owner = (&tenant, host.config.terms_of(&desired.spec).limits);
        let placed = resolve::load(&host.loader, owner, entry, &mut report.steps).await?;
        let mut chain: Vec<Planned> = (0..present.len()).map(Planned::Present).collect();
        if let Some(slot) = place.and_then(|place| chain.get_mut(place)) {
            *slot = Planned::Loaded(placed, place);
        }
        let options = RolloutOptions { fresh, ..RolloutOptions::default() };
        let plan = Plan { chain, options, afresh: false, goes_back: true };
        if self.swap(plan, &mut desired, report).await? {
            self.accept(desired, origin).await?;
        }
        Ok(self.runner.in_words())
    }
}
