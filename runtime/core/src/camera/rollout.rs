//! A swap of plugins on its way: waiting for its place, in the shadow, on probation.
//!
//! Until probation is over the old plugins are kept as they were at the cut, so that going back
//! takes no more than putting them in place again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::commands::{Link, Shadowed, Swap, SwapEvent};
use crate::plugin::instance::CameraPlugin;
use crate::plugin::sandbox::{NoResult, Restored};
use crate::policy::Step;
use crate::record::ResultHeader;
use crate::sched::CoreClaim;
use crate::video::frame::Frame;

/// A place to cut is waited for this long; at an anchor frame there always is one.
const CUT_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames that a shadow run asks for may come this slowly, and a shadow run takes no longer than
/// that in all: meanwhile the camera takes no other command.
const SHADOW_FRAME: Duration = Duration::from_millis(200);
/// See [`SHADOW_FRAME`].
const SHADOW_TIMEOUT: Duration = Duration::from_secs(600);
/// Probation is over after this time even if fewer frames came than it asks for, so that a camera
/// without video can be changed.
const PROBATION_TIMEOUT: Duration = Duration::from_secs(10);
/// What somebody may do whose plugins can't hand over their state.
const WAY_OUT: &str = "; with `\"fresh\": true` the new version begins without it";

/// What a swap is waiting for.
pub(crate) enum Rollout {
    /// The new chain is ready, and has not given any result.
    Staged(Staged),
    /// The new chain analyses; the old one is kept.
    Probation(Probation),
}

pub(crate) struct Staged {
    swap: Swap,
    since: Instant,
    shadow: Shadowed,
    /// The new plugins see frames already, and have the old ones' state.
    has_begun: bool,
    /// What they said of that state.
    notes: Vec<String>,
}

pub(crate) struct Probation {
    before: Vec<Before>,
    /// For each place of the present chain, whether its plugin is new.
    is_new: Vec<bool>,
    frames: u32,
    wanted: u32,
    since: Instant,
    events: mpsc::UnboundedSender<SwapEvent>,
}

/// A place of the chain before the swap.
enum Before {
    /// Its plugin runs on, at this place of the present chain.
    Kept(usize),
    Retired(Box<CameraPlugin>),
}

/// The chain of before, with the place in the given-up chain of each plugin that ran on.
pub(crate) struct Restoration {
    pub chain: Vec<CameraPlugin>,
    pub kept: Vec<Option<usize>>,
}

impl Staged {
    pub fn new(swap: Swap) -> Self {
        let since = Instant::now();
        let (shadow, notes) = (Shadowed::default(), Vec::new());
        Self { swap, since, shadow, has_begun: false, notes }
    }

    /// Whether the chain after the swap is empty.
    pub fn leaves_nothing(&self) -> bool {
        self.swap.chain.is_empty()
    }

    /// Whether the new plugins have run beside the old ones for as long as was asked.
    pub fn is_ready(&self) -> bool {
        self.shadow.frames >= self.swap.shadow
    }

    /// What has been waited for too long.
    pub fn what_is_late(&self) -> Option<(Step, String)> {
        let waited = self.since.elapsed();
        let shadow = (SHADOW_FRAME * self.swap.shadow).min(SHADOW_TIMEOUT);
        if waited <= CUT_TIMEOUT + shadow {
            return None;
        }
        if self.is_ready() {
            return Some((Step::Cut, "the video has no place to cut".to_owned()));
        }
        let (frames, wanted) = (self.shadow.frames, self.swap.shadow);
        Some((
            Step::Shadow,
            format!("only {frames} of {wanted} frames came in {} s", waited.as_secs()),
        ))
    }

    pub fn fail(self, step: Step, reason: String) {
        let _ = self.swap.events.send(SwapEvent::Failed { step, reason });
    }

    /// Before the first frame that new plugins see beside the old ones: gives them what the old
    /// ones know.
    ///
    /// # Errors
    /// Why the swap can't go on.
    pub fn begin_beside(
        &mut self,
        chain: &mut [CameraPlugin],
        claim: &Arc<CoreClaim>,
    ) -> Result<(), (Step, String)> {
        if self.swap.shadow > 0 && !self.has_begun {
            self.notes = self.hand_over(chain, claim).map_err(|reason| (Step::HandOver, reason))?;
            self.has_begun = true;
        }
        Ok(())
    }

    /// Runs the new plugins on a frame that the old ones have analysed with these `results`.
    ///
    /// # Errors
    /// Why the swap can't go on.
    pub fn run_beside(
        &mut self,
        frame: &Arc<Frame>,
        input_headers: &[ResultHeader],
        results: &[Vec<ResultHeader>],
        claim: &Arc<CoreClaim>,
    ) -> Result<(), (Step, String)> {
        if !self.has_begun {
            return Ok(());
        }
        let mut seen = input_headers.to_vec();
        let (mut new, mut kept) = (Vec::new(), vec![false; results.len()]);
        for link in &mut self.swap.chain {
            match link {
                Link::Keep(place) => {
                    seen.extend(results.get(*place).into_iter().flatten().cloned());
                    if let Some(kept) = kept.get_mut(*place) {
                        *kept = true;
                    }
                }
                Link::New { instance, .. } => {
                    let result = instance.on_frame(frame, seen.clone(), claim);
                    let headers = result.map_err(|no_result| {
                        let reason = match no_result {
                            NoResult::Failed(failure) => failure.message,
                            NoResult::Quarantined => "failed before".to_owned(),
                        };
                        (Step::Shadow, format!("{}: {reason}", instance.name()))
                    })?;
                    seen.extend(headers.iter().cloned());
                    new.extend(headers);
                }
            }
        }
        if self.shadow.frames >= self.swap.shadow {
            // Only the place to cut is missing; until then no frame may be missed.
            return Ok(());
        }
        let replaced = results.iter().zip(kept).filter(|(_, kept)| !kept);
        let same = replaced.flat_map(|(headers, _)| headers).eq(&new);
        self.shadow.frames += 1;
        if same {
            self.shadow.same += 1;
        } else {
            self.shadow.different += 1;
        }
        Ok(())
    }

    /// Gives the new plugins what the old ones know. Returns what they say of it.
    fn hand_over(
        &mut self,
        chain: &mut [CameraPlugin],
        claim: &Arc<CoreClaim>,
    ) -> Result<Vec<String>, String> {
        let mut notes = Vec::new();
        for link in &mut self.swap.chain {
            let Link::New { instance, succeeds: Some(place) } = link else { continue };
            let Some(old) = chain.get_mut(*place) else { continue };
            instance.follow(old);
            if old.name() != instance.name() || !old.has_state() {
                continue;
            }
            let name = old.name().to_owned();
            if self.swap.fresh {
                notes.push(format!("{name}: begins afresh, as it was asked for"));
                continue;
            }
            if !instance.has_state() {
                notes.push(format!("{name}: the new version keeps no state; it begins afresh"));
                continue;
            }
            let saved = old.save(claim).map_err(|why| format!("{name}: `save`: {why}{WAY_OUT}"))?;
            let restored = instance.restore(&saved, claim);
            match restored.map_err(|why| format!("{name}: `restore`: {why}{WAY_OUT}"))? {
                Restored::Full => {}
                Restored::Partial(what) => notes.push(format!("{name}: took over a part: {what}")),
                Restored::Fresh(why) => notes.push(format!("{name}: begins afresh: {why}")),
            }
        }
        Ok(notes)
    }

    /// Puts the new chain in the place of the old one.
    ///
    /// # Errors
    /// The swap has failed, and the chain is as it was.
    pub fn switch(
        mut self,
        chain: &mut Vec<CameraPlugin>,
        claim: &Arc<CoreClaim>,
    ) -> Result<Probation, ()> {
        let waited = self.since.elapsed();
        if self.swap.shadow > 0 {
            let _ = self.swap.events.send(SwapEvent::Shadowed(self.shadow));
        }
        let begin = Instant::now();
        let notes = if self.has_begun {
            std::mem::take(&mut self.notes)
        } else {
            match self.hand_over(chain, claim) {
                Ok(notes) => notes,
                Err(reason) => {
                    self.fail(Step::HandOver, reason);
                    return Err(());
                }
            }
        };
        let hand_over = begin.elapsed();
        let begin = Instant::now();
        let mut old: Vec<Option<CameraPlugin>> = chain.drain(..).map(Some).collect();
        let mut is_new = Vec::with_capacity(self.swap.chain.len());
        let mut moved = vec![None; old.len()];
        for link in self.swap.chain {
            let (instance, new) = match link {
                Link::Keep(place) => (old.get_mut(place).and_then(Option::take), Some(place)),
                Link::New { instance, .. } => (Some(*instance), None),
            };
            let Some(instance) = instance else { continue };
            if let Some(moved) = new.and_then(|place| moved.get_mut(place)) {
                *moved = Some(chain.len());
            }
            is_new.push(new.is_none());
            chain.push(instance);
        }
        let place = |(instance, moved): (Option<CameraPlugin>, Option<usize>)| match instance {
            Some(instance) => Some(Before::Retired(Box::new(instance))),
            None => moved.map(Before::Kept),
        };
        let before = old.into_iter().zip(moved).filter_map(place).collect();
        let switch = begin.elapsed();
        let events = self.swap.events;
        let _ = events.send(SwapEvent::Switched { waited, hand_over, switch, notes });
        Ok(Probation {
            before,
            is_new,
            frames: 0,
            wanted: self.swap.probation,
            since: Instant::now(),
            events,
        })
    }
}

impl Probation {
    /// Where to tell of this swap.
    pub fn events(&self) -> &mpsc::UnboundedSender<SwapEvent> {
        &self.events
    }

    /// Whether the plugin at this place is on probation.
    pub fn is_new(&self, place: usize) -> bool {
        self.is_new.get(place).copied().unwrap_or_default()
    }

    /// One more frame was analysed without a failure of a new plugin.
    pub fn count(&mut self) {
        self.frames += 1;
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.frames >= self.wanted || self.since.elapsed() > PROBATION_TIMEOUT
    }

    /// The new chain stays; the old plugins end.
    pub fn pass(self) {
        let (frames, took) = (self.frames, self.since.elapsed());
        let _ = self.events.send(SwapEvent::Passed { frames, took });
    }

    /// The old chain comes back.
    pub fn restore(self, chain: Vec<CameraPlugin>, reason: String) -> Restoration {
        let mut present: Vec<Option<CameraPlugin>> = chain.into_iter().map(Some).collect();
        let mut old = Restoration { chain: Vec::new(), kept: Vec::new() };
        for before in self.before {
            let (instance, kept) = match before {
                Before::Kept(place) => (present.get_mut(place).and_then(Option::take), Some(place)),
                Before::Retired(mut instance) => {
                    if self.frames > 0 {
                        instance.has_missed_frames();
                    }
                    (Some(*instance), None)
                }
            };
            if let Some(instance) = instance {
                old.chain.push(instance);
                old.kept.push(kept);
            }
        }
        let _ = self.events.send(SwapEvent::Failed { step: Step::Probation, reason });
        old
    }
}
