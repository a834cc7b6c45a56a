//! Other plugins for a running camera: prepared beside the old ones, put in their place between two
//! pictures, kept only if they prove themselves.

use std::time::Duration;

use serde_json::Map;
use tokio::sync::mpsc;

use super::actor::Actor;
use super::resolve::Placed;
use crate::camera::{Command, Link, Swap, SwapEvent};
use crate::config::{CameraSpec, PluginEntry};
use crate::control::camera::resolve;
use crate::control::wire::{
    Cut, Deploy, Desired, Done, ErrorCode, Origin, Refusal, Rollback, RolloutOptions, SwapReport,
    Wanted, WantedPlugin,
};
use crate::policy::Step;

/// A chain of plugins to come.
pub(crate) struct Plan {
    chain: Vec<Planned>,
    options: RolloutOptions,
    /// What runs already is instantiated anew.
    afresh: bool,
}

enum Planned {
    /// What runs at this place.
    Present(usize),
    /// What this says, perhaps in the place of what runs.
    Entry(PluginEntry),
    /// This, in the place of what runs there.
    Loaded(Placed, Option<usize>),
}

impl Plan {
    /// These plugins and no others; `afresh`: none of them as it runs now.
    pub fn of_list(entries: Vec<PluginEntry>, afresh: bool) -> Self {
        let chain = entries.into_iter().map(Planned::Entry).collect();
        Self { chain, options: RolloutOptions::default(), afresh }
    }
}

impl Actor {
    pub(crate) async fn deploy(
        &mut self,
        deploy: &Deploy,
        origin: Option<&Origin>,
        report: &mut Option<SwapReport>,
    ) -> Done {
        let Some(mut desired) = self.desired.clone() else { return Ok(String::new()) };
        let report = report.get_or_insert_default();
        let plan = match &deploy.wanted {
            Wanted::List(entries) => {
                Plan { options: deploy.options, ..Plan::of_list(entries.clone(), false) }
            }
            Wanted::One { plugin, replaces } => {
                let chain =
                    self.plan_one(&desired.spec, plugin, replaces.as_deref(), report).await?;
                Plan { chain, options: deploy.options, afresh: false }
            }
        };
        if self.swap(plan, &mut desired, report).await? {
            self.accept(desired, origin).await?;
        }
        Ok(self.what_runs())
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
        let WantedPlugin { source, sha256, config } = wanted.clone();
        let entry = PluginEntry { source, sha256, config: Map::new() };
        let host = &self.shared.host;
        let tenant = resolve::tenant(host, &spec.tenant)?;
        let owner = (&tenant, host.config.terms_of(spec).limits);
        let loading = resolve::load(&host.loader, owner, entry, &mut report.steps);
        let mut placed = self.unless_stopping(loading).await?;
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

    pub(crate) async fn roll_back(
        &mut self,
        Rollback { plugin, fresh }: Rollback,
        origin: Option<&Origin>,
        report: &mut Option<SwapReport>,
    ) -> Done {
        let Some(mut desired) = self.desired.clone() else { return Ok(String::new()) };
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
        let Some(entry) = desired.previous.get(&name).cloned() else {
            return Err(Refusal::stopped());
        };
        let host = &self.shared.host;
        let tenant = resolve::tenant(host, &desired.spec.tenant)?;
        let owner = (&tenant, host.config.terms_of(&desired.spec).limits);
        let placed = resolve::load(&host.loader, owner, entry, &mut report.steps).await?;
        let mut chain: Vec<Planned> = (0..present.len()).map(Planned::Present).collect();
        if let Some(slot) = place.and_then(|place| chain.get_mut(place)) {
            *slot = Planned::Loaded(placed, place);
        }
        let options = RolloutOptions { fresh, ..RolloutOptions::default() };
        let plan = Plan { chain, options, afresh: false };
        if self.swap(plan, &mut desired, report).await? {
            self.accept(desired, origin).await?;
        }
        Ok(self.what_runs())
    }

    fn present(&self) -> Result<&[Placed], Refusal> {
        match &self.running {
            Some(running) => Ok(&running.chain),
            None => {
                let message = "the camera has stopped; `resume` it first";
                Err(ErrorCode::Failed.because(message))
            }
        }
    }

    /// Brings another chain of plugins to the camera, and writes it into `desired`. `false`: it is
    /// the one that runs.
    pub(crate) async fn swap(
        &mut self,
        plan: Plan,
        desired: &mut Desired,
        report: &mut SwapReport,
    ) -> Result<bool, Refusal> {
        let host = self.shared.host.clone();
        let present = self.present()?.to_vec();
        let mut chain = Vec::with_capacity(plan.chain.len());
        let mut places = Vec::with_capacity(plan.chain.len());
        for planned in plan.chain {
            let (placed, place) = match planned {
                Planned::Loaded(placed, place) => (placed, place),
                Planned::Present(place) => match present.get(place) {
                    Some(placed) => (placed.clone(), Some(place)),
                    None => continue,
                },
                Planned::Entry(entry) => {
                    let tenant = resolve::tenant(&host, &desired.spec.tenant)?;
                    let owner = (&tenant, host.config.terms_of(&desired.spec).limits);
                    let loading = resolve::load(&host.loader, owner, entry, &mut report.steps);
                    let placed = self.unless_stopping(loading).await?;
                    let succeeds = present.iter().enumerate().position(|(place, old)| {
                        old.plugin.name == placed.plugin.name && !places.contains(&Some(place))
                    });
                    (placed, succeeds)
                }
            };
            chain.push(placed);
            places.push(place);
        }
        resolve::check_headers(&chain)?;
        pair_the_rest(&mut places, present.len());

        let mut links = Vec::with_capacity(chain.len());
        for (placed, place) in chain.iter().zip(&places) {
            let old = place.and_then(|place| present.get(place));
            let same = !plan.afresh && old.is_some_and(|old| is_same(&old.entry, &placed.entry));
            links.push(match (same, place) {
                (true, Some(place)) => Link::Keep(*place),
                _ => {
                    let (spec, steps) = (&desired.spec, &mut report.steps);
                    let configuring = resolve::configure(&host, spec, placed, steps);
                    let instance = self.unless_stopping(configuring).await?;
                    Link::New { instance: Box::new(instance), succeeds: *place }
                }
            });
        }
        let in_order = links.iter().enumerate();
        let unchanged = links.len() == present.len()
            && in_order
                .into_iter()
                .all(|(at, link)| matches!(link, Link::Keep(place) if *place == at));
        if !unchanged {
            self.order_swap(links, plan.options, desired, report).await?;
            remember_replaced(desired, &present, &chain, &places);
        }
        desired.spec.plugins = chain.iter().map(|placed| placed.entry.clone()).collect();
        if let Some(running) = &mut self.running {
            running.chain = chain;
        }
        Ok(!unchanged)
    }

    /// Has the camera's thread swap, and waits for the end of probation.
    async fn order_swap(
        &mut self,
        chain: Vec<Link>,
        options: RolloutOptions,
        desired: &Desired,
        report: &mut SwapReport,
    ) -> Result<(), Refusal> {
        let Some(running) = &self.running else { return Err(Refusal::stopped()) };
        let (events, mut received) = mpsc::unbounded_channel();
        // While nothing is analysed, there is nothing to be seen.
        let (shadow, probation) =
            if desired.paused { (0, 0) } else { (options.shadow, options.probation) };
        let swap = Swap { chain, shadow, probation, fresh: options.fresh, events };
        running.camera.send(Command::Swap(swap)).map_err(|_| Refusal::stopped())?;
        let mut stop = self.shared.stop.clone();
        let mut cut_at = None;
        loop {
            let event = tokio::select! {
                event = received.recv() => event.ok_or_else(Refusal::stopped)?,
                _ = stop.wait_for(|stop| *stop) => {
                    // The version before is what should run after the restart.
                    running.camera.stop();
                    return Err(Refusal::stopped());
                }
            };
            match event {
                SwapEvent::Shadowed(shadowed) => report.shadow = Some(shadowed),
                SwapEvent::Switched { waited, hand_over, switch, notes } => {
                    let zero = Duration::ZERO;
                    report.steps.add(if shadow > 0 { Step::Shadow } else { Step::Cut }, waited);
                    if hand_over > zero {
                        report.steps.add(Step::HandOver, hand_over);
                    }
                    report.steps.add(Step::Switch, switch);
                    report.gap = Some(hand_over + switch);
                    report.notes.extend(notes);
                }
                SwapEvent::Cut { seq, offset } => cut_at = Some((seq, offset)),
                SwapEvent::Passed { frames, took } => {
                    if frames > 0 {
                        report.steps.add(Step::Probation, took);
                    }
                    if frames < probation {
                        let note =
                            format!("judged by {frames} of {probation} frames: no more came");
                        report.notes.push(note);
                    }
                    break;
                }
                SwapEvent::Failed { step, reason } => return Err(Refusal::at(step, reason)),
            }
        }
        report.cut = cut_at.map(|(seq, offset)| {
            let source = format!("{}/0/{offset}", desired.spec.consume_topic);
            Cut { seq, source }
        });
        Ok(())
    }
}

/// Whether it is the same component with the same configuration, whatever it is called.
fn is_same(old: &PluginEntry, new: &PluginEntry) -> bool {
    (old.sha256, &old.config) == (new.sha256, &new.config)
}

/// Plugins of other names than before take the places that are left, in their order, so that a
/// rollback finds what was there.
fn pair_the_rest(places: &mut [Option<usize>], present: usize) {
    let taken = places.to_vec();
    let mut left = (0..present).filter(|place| !taken.contains(&Some(*place)));
    for place in places.iter_mut().filter(|place| place.is_none()) {
        *place = left.next();
    }
}

/// Keeps, for a rollback, what the new plugins took the place of.
fn remember_replaced(
    desired: &mut Desired,
    present: &[Placed],
    chain: &[Placed],
    places: &[Option<usize>],
) {
    for (placed, place) in chain.iter().zip(places) {
        if let Some(old) = place.and_then(|place| present.get(place))
            && !is_same(&old.entry, &placed.entry)
        {
            desired.previous.insert(placed.plugin.name.clone(), old.entry.clone());
        }
    }
    desired.previous.retain(|name, _| chain.iter().any(|placed| placed.plugin.name == *name));
}
