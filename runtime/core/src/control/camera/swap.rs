//! Other plugins for a running camera: prepared beside the old ones, put in their place between two
//! frames, kept only if they prove themselves.

use super::controlled::ControlledCamera;
use super::plan::{Plan, Planned, is_same, pair_the_rest};
use super::resolve::{self, Placed};
use crate::camera::Link;
use crate::control::wire::{Desired, Refusal, RolloutOptions, SwapReport};

/// So many versions can be gone back to, one after the other.
const MOST_VERSIONS: usize = 5;

impl ControlledCamera {
    /// Brings another chain of plugins to the camera, and writes it into `desired`. `false`: it is
    /// the one that runs.
    pub async fn swap(
        &mut self,
        plan: Plan,
        desired: &mut Desired,
        report: &mut SwapReport,
    ) -> Result<bool, Refusal> {
        let host = self.context.host.clone();
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
                    let placed = self.context.unless_stopping(loading).await?;
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
                    let instance = self.context.unless_stopping(configuring).await?;
                    Link::New { instance: Box::new(instance), succeeds: *place }
                }
            });
        }
        let in_order = links.iter().enumerate();
        let unchanged = links.len() == present.len()
            && self.runner.lack().is_none()
            && in_order
                .into_iter()
                .all(|(at, link)| matches!(link, Link::Keep(place) if *place == at));
        if !unchanged {
            // While nothing is analysed, there is nothing to be seen.
            let is_lacking = self.runner.lack().is_some() && links.is_empty();
            let options = match desired.paused || is_lacking {
                true => RolloutOptions { shadow: 0, probation: 0, ..plan.options },
                false => plan.options,
            };
            let stop = self.context.stop.clone();
            self.runner.swap(links, options, stop, report).await?;
            note_replaced(desired, (&present, &chain), &places, plan.goes_back);
        }
        desired.spec.plugins = chain.iter().map(|placed| placed.entry.clone()).collect();
        self.runner.set_chain(chain);
        Ok(!unchanged)
    }
}

/// Keeps, for rollbacks, what the new plugins took the place of; what was left by going back is not
/// gone back to.
fn note_replaced(
    desired: &mut Desired,
    (present, chain): (&[Placed], &[Placed]),
    places: &[Option<usize>],
    goes_back: bool,
) {
    let mut before = std::mem::take(&mut desired.previous);
    for (placed, place) in chain.iter().zip(places) {
        let Some(old) = place.and_then(|place| present.get(place)) else { continue };
        let mut versions = before.remove(&old.plugin.name).unwrap_or_default();
        match is_same(&old.entry, &placed.entry) {
            true => {}
            false if goes_back => _ = versions.pop(),
            false => {
                versions.push(old.entry.clone());
                let too_many = versions.len().saturating_sub(MOST_VERSIONS);
                versions.drain(..too_many);
            }
        }
        if !versions.is_empty() {
            desired.previous.insert(placed.plugin.name.clone(), versions);
        }
    }
}
