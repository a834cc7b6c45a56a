//! What runs of a camera: its thread and the plugins on it, or why there is none.
//!
//! It does as it is told, and knows nothing of desired states.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::context::blocking;
use super::resolve::Placed;
use crate::camera::{
    Camera, CameraError, CameraInput, Change, Command, Link, OtherTopic, Swap, SwapEvent,
};
use crate::config::CameraSpec;
use crate::control::registry::Phase;
use crate::control::wire::{Cut, ErrorCode, Refusal, RolloutOptions, SwapReport};
use crate::host::{CameraStart, Host};
use crate::kafka::Incarnation;
use crate::plugin::instance::CameraPlugin;
use crate::policy::Step;
use crate::stats::CameraStats;
use crate::tenancy::Tenant;

/// See the module.
pub(crate) struct Runner {
    state: RunState,
    /// How often the camera was started.
    starts: u64,
    /// The start whose thread has ended, told by that thread.
    ended: watch::Sender<u64>,
    /// Told by its thread of topics that were made again, and of the one that it consumes.
    topics: mpsc::UnboundedSender<OtherTopic>,
    /// Its counters, also of a camera that has stopped.
    stats: Arc<CameraStats>,
}

enum RunState {
    Running {
        camera: Camera,
        chain: Vec<Placed>,
        /// Its plugins can't be had.
        lack: Option<Lack>,
    },
    /// With the reason, where it should run.
    Stopped(Option<String>),
}

/// A camera's thread ended by itself.
pub(crate) struct End {
    /// Why.
    pub why: String,
    /// Its output topic was deleted; another one mends that.
    pub output_is_gone: bool,
}

/// A camera runs without its plugins.
pub(crate) struct Lack {
    /// What keeps them from being loaded.
    pub why: String,
    /// When that is tried again.
    pub again: Instant,
    /// How long it is waited after that.
    wait: Duration,
}

/// How long after a failure plugins are loaded again at first, and at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Lack {
    fn new(why: String) -> Self {
        Self { why, again: Instant::now() + FIRST_WAIT, wait: FIRST_WAIT * 2 }
    }
}

impl Runner {
    /// Nothing runs yet. Each end of a thread is told to `ended`, each other topic to `topics`.
    pub fn new(ended: watch::Sender<u64>, topics: mpsc::UnboundedSender<OtherTopic>) -> Self {
        Self { state: RunState::Stopped(None), starts: 0, ended, topics, stats: Arc::default() }
    }

    // === what there is to see ===

    /// Its counters.
    pub fn stats(&self) -> &Arc<CameraStats> {
        &self.stats
    }

    /// Whether there is a thread.
    pub fn is_running(&self) -> bool {
        matches!(self.state, RunState::Running { .. })
    }

    /// Why it does not run although it should.
    pub fn failure(&self) -> Option<&String> {
        match &self.state {
            RunState::Running { .. } => None,
            RunState::Stopped(why) => why.as_ref(),
        }
    }

    /// What it does, `paused` or not.
    pub fn phase(&self, paused: bool) -> Phase {
        match &self.state {
            RunState::Stopped(_) => Phase::Failed,
            RunState::Running { .. } if paused => Phase::Paused,
            RunState::Running { lack: Some(_), .. } => Phase::NoPlugin,
            RunState::Running { lack: None, .. } => Phase::Running,
        }
    }

    /// Why it runs without its plugins, if it does.
    pub fn lack(&self) -> Option<&Lack> {
        match &self.state {
            RunState::Running { lack, .. } => lack.as_ref(),
            RunState::Stopped(_) => None,
        }
    }

    /// Its plugins still can't be had.
    pub fn lacks_still(&mut self, why: String) {
        if let RunState::Running { lack: Some(lack), .. } = &mut self.state {
            lack.why = why;
            lack.again = Instant::now() + lack.wait;
            lack.wait = (lack.wait * 2).min(LONGEST_WAIT);
        }
    }

    /// The plugins on it, in their order.
    pub fn chain(&self) -> Option<&[Placed]> {
        match &self.state {
            RunState::Running { chain, .. } => Some(chain),
            RunState::Stopped(_) => None,
        }
    }

    /// The identities of its plugins.
    pub fn identities(&self) -> Vec<String> {
        let chain = self.chain().into_iter().flatten();
        chain.map(|placed| placed.plugin.identity.clone()).collect()
    }

    /// In a few words, what it does.
    pub fn in_words(&self) -> String {
        if let Some(Lack { why, .. }) = self.lack() {
            return format!("passing records without its plugins, which can't be loaded: {why}");
        }
        match self.chain() {
            None => "stopped".to_owned(),
            Some([]) => "passing records through".to_owned(),
            Some(chain) => {
                let titles: Vec<String> = chain.iter().map(Placed::title).collect();
                format!("running {}", titles.join(", "))
            }
        }
    }

    // === its life ===

    /// Starts the thread, with configured instances of these plugins, or with the reason why there
    /// are none. `before`: the topic that it consumed last. Waits for the broker.
    pub async fn start(
        &mut self,
        host: Arc<Host>,
        (spec, tenant): (Arc<CameraSpec>, Arc<Tenant>),
        plugins: Result<(Vec<Placed>, Vec<CameraPlugin>), Refusal>,
        how: CameraStart,
        before: Option<Incarnation>,
    ) -> Result<(), Refusal> {
        self.starts += 1;
        let (ended, start) = (self.ended.clone(), self.starts);
        let on_end = move || {
            ended.send_replace(start);
        };
        let (chain, instances, lack) = match plugins {
            Ok((chain, instances)) => (chain, Some(instances), None),
            Err(refusal) => (Vec::new(), None, Some(Lack::new(refusal.to_string()))),
        };
        let topics = self.topics.clone();
        // Nobody takes it when the node ends.
        let on_topic = move |other| _ = topics.send(other);
        let calls = (Box::new(on_end) as _, Box::new(on_topic) as _);
        let start =
            move || host.start_camera(&spec, tenant, instances, (how, before.as_ref()), calls);
        let camera =
            blocking(start).await?.map_err(|error| ErrorCode::Failed.because(error.to_string()))?;
        self.stats = Arc::clone(&camera.stats);
        self.state = RunState::Running { camera, chain, lack };
        Ok(())
    }

    /// It could not be started.
    pub fn fail(&mut self, why: String) {
        self.state = RunState::Stopped(Some(why));
    }

    /// Whether the thread of this start is the latest.
    pub fn is_latest(&self, start: u64) -> bool {
        start == self.starts
    }

    /// Stops the camera, which gives out what it has received; its input is closed behind it. Why
    /// it had stopped by itself.
    pub async fn stop(&mut self, host: Arc<Host>, spec: Option<CameraSpec>) -> Option<End> {
        let (camera, chain) = match std::mem::replace(&mut self.state, RunState::Stopped(None)) {
            RunState::Running { camera, chain, .. } => (camera, chain),
            stopped @ RunState::Stopped(_) => {
                self.state = stopped;
                return None;
            }
        };
        camera.stop();
        let ended = blocking(move || {
            let ended = camera.join();
            if let Some(spec) = spec {
                host.close_input(&spec);
            }
            drop(chain);
            ended.err().map(|error| End {
                why: error.to_string(),
                output_is_gone: matches!(error, CameraError::OutputGone { .. }),
            })
        });
        let defect = |refusal: Refusal| End { why: refusal.to_string(), output_is_gone: false };
        ended.await.unwrap_or_else(|refusal| Some(defect(refusal)))
    }

    /// Forgets why it does not run.
    pub fn forget_failure(&mut self) {
        if let RunState::Stopped(why) = &mut self.state {
            *why = None;
        }
    }

    // === changes ===

    /// Lets records pass without being analysed, or no longer; nothing if there is no thread.
    pub async fn pause(&self, paused: bool) -> Result<(), Refusal> {
        let RunState::Running { camera, .. } = &self.state else { return Ok(()) };
        let (done, is_done) = oneshot::channel();
        let _ = camera.send(Command::Pause(paused, done));
        is_done.await.map_err(|_| Refusal::stopped())
    }

    /// Goes on as `spec` says, its plugins excepted.
    pub async fn change(
        &self,
        spec: CameraSpec,
        input: Option<CameraInput>,
    ) -> Result<(), Refusal> {
        let (done, is_done) = oneshot::channel();
        let other = input.as_ref().map(|(queue, _)| queue.incarnation());
        let change = Change { spec: Arc::new(spec), input, done };
        if let RunState::Running { camera, .. } = &self.state {
            camera.send(Command::Change(change)).map_err(|_| Refusal::stopped())?;
        }
        let changed = is_done.await.map_err(|_| Refusal::stopped())?;
        changed.map_err(|error| ErrorCode::Refused.because(error.to_string()))?;
        if let Some(other) = other {
            let _ = self.topics.send(OtherTopic::Input(other));
        }
        Ok(())
    }

    /// Other plugins are on it; or the same, asked for in other words.
    pub fn set_chain(&mut self, new: Vec<Placed>) {
        if let RunState::Running { chain, lack, .. } = &mut self.state {
            *chain = new;
            *lack = None;
        }
    }

    /// Has the thread swap its plugins, and waits for the end of probation.
    pub async fn swap(
        &self,
        chain: Vec<Link>,
        options: RolloutOptions,
        mut stop: watch::Receiver<bool>,
        report: &mut SwapReport,
    ) -> Result<(), Refusal> {
        let RunState::Running { camera, .. } = &self.state else { return Err(Refusal::stopped()) };
        // Bounded by what is told of a swap: five events.
        let (events, mut received) = mpsc::unbounded_channel();
        let RolloutOptions { shadow, probation, fresh } = options;
        let swap = Swap { chain, shadow, probation, fresh, events };
        camera.send(Command::Swap(swap)).map_err(|_| Refusal::stopped())?;
        let mut cut = None;
        loop {
            let event = tokio::select! {
                event = received.recv() => event.ok_or_else(Refusal::stopped)?,
                _ = stop.wait_for(|stop| *stop) => {
                    // The version before is what should run after the restart.
                    camera.stop();
                    return Err(Refusal::stopped());
                }
            };
            match event {
                SwapEvent::Shadowed(shadowed) => report.shadow = Some(shadowed),
                SwapEvent::Switched { waited, hand_over, switch, notes } => {
                    report.steps.add(if shadow > 0 { Step::Shadow } else { Step::Cut }, waited);
                    if hand_over > Duration::ZERO {
                        report.steps.add(Step::HandOver, hand_over);
                    }
                    report.steps.add(Step::Switch, switch);
                    report.gap = Some(hand_over + switch);
                    report.notes.extend(notes);
                }
                SwapEvent::Cut { seq, source } => cut = Some(Cut { seq, source }),
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
        report.cut = cut;
        Ok(())
    }
}
