//! A camera's plugins, which frames they see, and their replacement by others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commands::{Swap, SwapEvent};
use super::rollout::{Rollout, Staged};
use super::stages::rate::RateLimiter;
use crate::config::Rate;
use crate::plugin::instance::CameraPlugin;
use crate::plugin::sandbox::{CallFailure, NoResult, Snapshot};
use crate::policy::BreakerSettings;
use crate::policy::Step;
use crate::record::{Outcome, ResultHeader, SkipReason, Status};
use crate::sched::CoreClaim;
use crate::stats::Meters;
use crate::video::frame::Frame;

/// The chain of plugins that analyses a camera's frames.
pub struct PluginChain {
    chain: Vec<CameraPlugin>,
    /// There should be plugins, and they can't be had.
    is_lacking: bool,
    /// The plugins' identities, as in the header `comux-plugin`.
    identities: String,
    /// What the plugins use, for others to see.
    meters: Meters,
    rate_limiter: Option<RateLimiter>,
    rollout: Option<Rollout>,
}

/// A plugin failed on a frame.
pub(crate) struct PluginFailure<'a> {
    pub plugin: &'a str,
    pub failure: CallFailure,
}

impl PluginChain {
    /// A chain of plugins that run in this order, at most as often as `rate` says.
    #[must_use]
    pub fn new(chain: Vec<CameraPlugin>, rate: Rate) -> Self {
        let (identities, meters) = (String::new(), Meters::default());
        let rate_limiter = RateLimiter::of(rate);
        let is_lacking = false;
        let mut new = Self { chain, is_lacking, identities, meters, rate_limiter, rollout: None };
        new.tell_chain();
        new
    }

    /// A chain whose plugins can't be had, until others are put in place.
    #[must_use]
    pub fn lacking(rate: Rate) -> Self {
        Self { is_lacking: true, ..Self::new(Vec::new(), rate) }
    }

    /// Whether there should be plugins, and are none.
    pub(crate) fn lacks_plugins(&self) -> bool {
        self.is_lacking && self.chain.is_empty()
    }

    /// Whether there is nothing to run, so that nothing needs decoding.
    pub(crate) fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Begins to count frames anew, for another rate.
    pub(crate) fn set_rate(&mut self, rate: Rate) {
        self.rate_limiter = RateLimiter::of(rate);
    }

    /// How often it runs; `None`: on every frame.
    pub(crate) fn rate_limiter(&self) -> Option<&RateLimiter> {
        self.rate_limiter.as_ref()
    }

    /// Lets a frame of this time be analysed if the rate does; then it counts.
    pub(crate) fn admit(&mut self, time_us: i64) -> bool {
        self.rate_limiter.as_mut().is_none_or(|limiter| limiter.admit(time_us))
    }

    /// Its plugins are left out by other rules from now on.
    pub(crate) fn set_breakers(&mut self, settings: BreakerSettings) {
        self.chain.iter_mut().for_each(|plugin| plugin.set_breaker(settings));
    }

    /// A frame goes by that should have been analysed, and is not.
    pub(crate) fn miss_frame(&mut self) {
        self.chain.iter_mut().for_each(CameraPlugin::has_missed_frames);
    }

    /// What its plugins use, whichever they are.
    pub(crate) fn meters(&self) -> Meters {
        Arc::clone(&self.meters)
    }

    /// The chain is another one.
    fn tell_chain(&mut self) {
        self.identities = identities(&self.chain);
        let meters = self.chain.iter().map(|plugin| Arc::clone(plugin.meter())).collect();
        *self.meters.lock() = meters;
    }

    /// Runs every plugin on a frame, one failing or not. The first failure is the record's reason;
    /// results of the other plugins stay. Gives the microseconds that it took, but for those in
    /// which the frame waited for frames of other cameras.
    pub(crate) fn run(
        &mut self,
        frame: &Arc<Frame>,
        input_headers: &[ResultHeader],
        claim: &Arc<CoreClaim>,
        mut report: impl FnMut(PluginFailure<'_>),
    ) -> (Outcome, u64) {
        let (begin, mut waited) = (Instant::now(), Duration::ZERO);
        self.begin_beside(claim);
        let mut results: Vec<Option<PluginResult>> = vec![None; self.chain.len()];
        let mut place = 0;
        while let Some(plugin) = self.chain.get_mut(place) {
            if results.get(place).is_some_and(Option::is_some) {
                // It ran before the chain went back to what it was.
                place += 1;
                continue;
            }
            let earlier = results.iter().take(place).flatten().flat_map(|result| &result.headers);
            let seen = input_headers.iter().chain(earlier).cloned().collect();
            let answer = plugin.on_frame(frame, seen, claim);
            waited += plugin.waited();
            let result = match answer {
                Ok(headers) => PluginResult { headers, status: Status::Analysed },
                Err(NoResult::Quarantined) => {
                    PluginResult::none(Status::Skipped(SkipReason::Quarantined))
                }
                Err(NoResult::Failed(failure)) => {
                    let (reason, message) = (failure.reason, failure.message.clone());
                    report(PluginFailure { plugin: plugin.identity(), failure });
                    if self.roll_back(place, &message, &mut results) {
                        place = 0;
                        continue;
                    }
                    PluginResult::none(Status::Failed(reason))
                }
            };
            if let Some(slot) = results.get_mut(place) {
                *slot = Some(result);
            }
            place += 1;
        }
        let took = begin.elapsed().saturating_sub(waited);
        let plugin_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let results: Vec<PluginResult> = results.into_iter().flatten().collect();
        let status = status_of(&results);
        let is_left_out =
            |result: &PluginResult| result.status == Status::Skipped(SkipReason::Quarantined);
        let plugins = Some(if results.iter().any(is_left_out) {
            let with_results = self.chain.iter().zip(&results);
            let ran = with_results.filter(|(_, result)| !is_left_out(result));
            identities(ran.map(|(plugin, _)| plugin))
        } else {
            self.identities.clone()
        });
        let results: Vec<Vec<ResultHeader>> =
            results.into_iter().map(|result| result.headers).collect();
        self.watch_rollout(frame, input_headers, &results, claim);
        let headers = results.into_iter().flatten().collect();
        (Outcome { status, plugins, headers, timing: None }, plugin_us)
    }

    /// The names of the plugins with state, and their state now; without those that fail, and those
    /// that are not called because they kept failing.
    pub(crate) fn save(&mut self, claim: &Arc<CoreClaim>) -> Vec<(String, Snapshot)> {
        let can_save = |plugin: &&mut CameraPlugin| plugin.has_state() && !plugin.is_left_out();
        let with_state = self.chain.iter_mut().filter(can_save);
        let saved = with_state.filter_map(|plugin| match plugin.save(claim) {
            Ok(snapshot) => Some((plugin.name().to_owned(), snapshot)),
            Err(error) => {
                let (tenant, camera) = (&*plugin.owner().tenant, &*plugin.owner().camera);
                let plugin = plugin.name();
                tracing::warn!(tenant, camera, plugin, error, "its state can't be saved");
                None
            }
        });
        saved.collect()
    }

    /// Whether any plugin has state to save.
    pub(crate) fn has_state(&self) -> bool {
        self.chain.iter().any(CameraPlugin::has_state)
    }

    /// Whether the plugins that run have yet to prove themselves.
    pub(crate) fn is_on_probation(&self) -> bool {
        matches!(self.rollout, Some(Rollout::Probation(_)))
    }

    /// Ends a swap that is under way; the old chain runs, as before or again.
    pub(crate) fn abandon_rollout(&mut self) {
        if let Some(Rollout::Probation(probation)) = self.rollout.take() {
            let reason = "the camera has stopped".to_owned();
            self.chain = probation.restore(std::mem::take(&mut self.chain), reason).chain;
            self.tell_chain();
        }
    }

    // === replacement ===

    /// A swap begins, unless another one is under way.
    pub(crate) fn begin(&mut self, swap: Swap) {
        if self.rollout.is_some() {
            let reason = "another change of this camera's plugins is under way".to_owned();
            let _ = swap.events.send(SwapEvent::Failed { step: Step::Switch, reason });
            return;
        }
        self.rollout = Some(Rollout::Staged(Staged::new(swap)));
    }

    /// Whether a new chain waits for its place.
    pub(crate) fn wants_cut(&self) -> bool {
        matches!(&self.rollout, Some(Rollout::Staged(staged)) if staged.is_ready())
    }

    /// Whether the swap under way turns analysis on or off, so that what is being decoded must be
    /// finished first.
    pub(crate) fn turns_on_or_off(&self) -> bool {
        match &self.rollout {
            Some(Rollout::Staged(staged)) => staged.leaves_nothing() != self.chain.is_empty(),
            _ => false,
        }
    }

    /// Puts the new chain in place, before the next frame. Gives the place to tell of the cut.
    pub(crate) fn cut(
        &mut self,
        claim: &Arc<CoreClaim>,
    ) -> Option<tokio::sync::mpsc::UnboundedSender<SwapEvent>> {
        let Some(Rollout::Staged(staged)) = self.rollout.take() else { return None };
        let probation = staged.switch(&mut self.chain, claim).ok()?;
        self.tell_chain();
        let events = probation.events().clone();
        self.rollout = Some(Rollout::Probation(probation));
        Some(events)
    }

    /// Ends what has waited for too long.
    pub(crate) fn tick(&mut self) {
        match self.rollout.take() {
            Some(Rollout::Staged(staged)) => match staged.what_is_late() {
                Some((step, reason)) => staged.fail(step, reason),
                None => self.rollout = Some(Rollout::Staged(staged)),
            },
            Some(Rollout::Probation(probation)) if probation.is_over() => {
                self.is_lacking = false;
                probation.pass();
            }
            rollout => self.rollout = rollout,
        }
    }

    /// The plugin at `place` failed: if it is on probation, the chain is again what it was before,
    /// and `results` are those of plugins that are in both.
    fn roll_back(
        &mut self,
        place: usize,
        reason: &str,
        results: &mut Vec<Option<PluginResult>>,
    ) -> bool {
        let probation = match self.rollout.take() {
            Some(Rollout::Probation(probation)) if probation.is_new(place) => probation,
            rollout => {
                self.rollout = rollout;
                return false;
            }
        };
        let name =
            self.chain.get(place).map_or_else(String::new, |plugin| plugin.name().to_owned());
        let old = probation.restore(std::mem::take(&mut self.chain), format!("{name}: {reason}"));
        let kept = old.kept.iter().map(|place| results.get_mut((*place)?)?.take());
        *results = kept.collect();
        self.chain = old.chain;
        self.tell_chain();
        true
    }

    fn begin_beside(&mut self, claim: &Arc<CoreClaim>) {
        let Some(Rollout::Staged(staged)) = &mut self.rollout else { return };
        if let Err((step, reason)) = staged.begin_beside(&mut self.chain, claim)
            && let Some(Rollout::Staged(staged)) = self.rollout.take()
        {
            staged.fail(step, reason);
        }
    }

    fn watch_rollout(
        &mut self,
        frame: &Arc<Frame>,
        input_headers: &[ResultHeader],
        results: &[Vec<ResultHeader>],
        claim: &Arc<CoreClaim>,
    ) {
        match &mut self.rollout {
            None => return,
            Some(Rollout::Probation(probation)) => probation.count(),
            Some(Rollout::Staged(staged)) => {
                let beside = staged.run_beside(frame, input_headers, results, claim);
                if let Err((step, reason)) = beside
                    && let Some(Rollout::Staged(staged)) = self.rollout.take()
                {
                    staged.fail(step, reason);
                }
            }
        }
        self.tick();
    }
}

/// What one plugin made of a frame.
#[derive(Debug, Clone)]
struct PluginResult {
    headers: Vec<ResultHeader>,
    status: Status,
}

impl PluginResult {
    fn none(status: Status) -> Self {
        Self { headers: Vec::new(), status }
    }
}

/// The status of a record on which its plugins came to these results.
fn status_of(results: &[PluginResult]) -> Status {
    let mut statuses = results.iter().map(|result| result.status);
    let failed = statuses.clone().find(|status| matches!(status, Status::Failed(_)));
    let other = || statuses.find(|status| *status != Status::Analysed);
    failed.or_else(other).unwrap_or(Status::Analysed)
}

fn identities<'a>(chain: impl IntoIterator<Item = &'a CameraPlugin>) -> String {
    chain.into_iter().map(CameraPlugin::identity).collect::<Vec<_>>().join(",")
}
