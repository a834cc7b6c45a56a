//! What plugins make of a camera's frames: which frames they see, where another chain of plugins
//! takes over, and when their state is saved.
//!
//! It survives a change of the input. Which record a frame belongs to, and when records leave, is
//! not its business.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::commands::{Swap, SwapEvent};
use super::input_record::Input;
use super::plugin_chain::{PluginChain, PluginFailure};
use super::stages::rate::RateLimiter;
use crate::config::Rate;
use crate::policy::BreakerSettings;
use crate::record::{FailReason, Ledger, Outcome, Seq, SkipReason, Status, Timing};
use crate::sched::{CoreClaim, CorePermit};
use crate::snapshots::{CameraSnapshots, SnapshotKey, SnapshotQueue};
use crate::stats::CameraStats;
use crate::tenancy::Tenant;
use crate::video::frame::Frame;

/// How often the state of plugins is saved: what a crash may cost.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);

/// A frame that plugins were called with, and what they complained of.
pub(crate) struct Observed {
    pub seq: Seq,
    pub frame: Arc<Frame>,
    /// `name@version+sha256.…: what went wrong`.
    pub failures: Vec<String>,
}

/// See the module.
pub(crate) struct Analysis {
    chain: PluginChain,
    is_paused: bool,
    /// No frame of a record from here on has been analysed.
    analysed_before: Seq,
    /// The first record of a new chain, until it is there to be named.
    unnamed_cut: Option<(Seq, UnboundedSender<SwapEvent>)>,
    saved_at: Instant,
    snapshots: Arc<SnapshotQueue>,
    owner: SnapshotKey,
    tenant: Arc<Tenant>,
    claim: Arc<CoreClaim>,
    stats: Arc<CameraStats>,
    /// What was analysed since it was taken last; kept for those only who ask.
    observed: Option<Vec<Observed>>,
}

impl Analysis {
    pub fn new(
        (chain, is_paused): (PluginChain, bool),
        (owner, snapshots): (SnapshotKey, Arc<SnapshotQueue>),
        tenant: Arc<Tenant>,
        claim: Arc<CoreClaim>,
        stats: Arc<CameraStats>,
    ) -> Self {
        Self {
            chain,
            is_paused,
            analysed_before: 0,
            unnamed_cut: None,
            saved_at: Instant::now(),
            snapshots,
            owner,
            tenant,
            claim,
            stats,
            observed: None,
        }
    }

    /// Keeps what is analysed from now on, for [`Self::take_observed`].
    pub fn observe(&mut self) {
        self.observed = Some(Vec::new());
    }

    /// What was analysed since the last time.
    pub fn take_observed(&mut self) -> Vec<Observed> {
        self.observed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What becomes of records while nothing is analysed; `None`: frames are analysed.
    pub fn bypass(&self) -> Option<Outcome> {
        if self.is_paused {
            Some(Outcome::skipped(SkipReason::Paused))
        } else if self.chain.lacks_plugins() {
            Some(Outcome::failed(FailReason::NoPlugin))
        } else if self.chain.is_empty() {
            Some(Outcome::bare(Status::Passthrough))
        } else {
            None
        }
    }

    /// Waits until a core is to be had, where one is needed.
    pub fn permit(&self) -> Option<CorePermit> {
        self.bypass().is_none().then(|| self.claim.take())
    }

    /// Whether records pass without being analysed, whatever plugins there are.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Lets records pass without being analysed, or no longer.
    pub fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// How often it runs; `None`: on every frame.
    pub fn rate_limiter(&self) -> Option<&RateLimiter> {
        self.chain.rate_limiter()
    }

    /// How often it runs from here on.
    pub fn set_rate(&mut self, rate: Rate) {
        self.chain.set_rate(rate);
    }

    /// Its plugins are left out by other rules from here on.
    pub fn set_breakers(&mut self, settings: BreakerSettings) {
        self.chain.set_breakers(settings);
    }

    // === frames ===

    /// A frame of this record comes: no earlier place to cut is left.
    pub fn reaches(&mut self, seq: Seq) {
        self.analysed_before = self.analysed_before.max(seq + 1);
    }

    /// Shows a frame to the plugins, if the rate and the tenant's quota let it pass.
    pub fn analyse(
        &mut self,
        seq: Seq,
        record: &impl Input,
        frame: ffmpeg_next::frame::Video,
    ) -> Outcome {
        let facts = record.frame_facts(seq);
        if !self.chain.admit(facts.recorded_at_us.unwrap_or_default()) {
            return Outcome::skipped(SkipReason::Rate);
        }
        if !self.tenant.may_analyse(Instant::now()) {
            self.chain.miss_frame();
            return Outcome::skipped(SkipReason::Quota);
        }
        let input_headers = record.headers();
        let frame = Arc::new(Frame::new(facts, frame));
        let (camera, tenant) = (self.owner.camera.as_str(), &*self.tenant.id);
        let stats = &self.stats;
        let (mut failures, is_observed) = (Vec::new(), self.observed.is_some());
        let report = |failed: PluginFailure<'_>| {
            let PluginFailure { plugin, failure } = failed;
            let (reason, error) = (failure.reason.word(), failure.message.as_str());
            if failure.restarted {
                stats.record_plugin_restart();
            }
            if is_observed {
                failures.push(format!("{plugin}: {error}"));
            }
            tracing::debug!(camera, tenant, plugin, seq, reason, error, "a plugin failed");
            if let Some(quarantine) = failure.quarantine {
                let seconds = quarantine.as_secs_f64();
                tracing::warn!(camera, tenant, plugin, seconds, error, "a plugin is left out");
            }
        };
        let (mut outcome, plugin_us) = self.chain.run(&frame, &input_headers, &self.claim, report);
        if let Some(observed) = &mut self.observed {
            observed.push(Observed { seq, frame, failures });
        }
        self.stats.record_work(0, plugin_us);
        let since_arrival =
            u64::try_from(record.progress().at.elapsed().as_micros()).unwrap_or(u64::MAX);
        let queue = since_arrival.saturating_sub(facts.decode_us + plugin_us);
        outcome.timing = Some(Timing { queue, decode: facts.decode_us, plugin: plugin_us });
        outcome
    }

    // === other plugins ===

    /// A swap begins, unless another one is under way.
    pub fn begin(&mut self, swap: Swap) {
        self.chain.begin(swap);
    }

    /// Whether a new chain waits for its place.
    pub fn wants_cut(&self) -> bool {
        self.chain.wants_cut()
    }

    /// Whether the swap under way turns analysis on or off, so that what is being decoded must be
    /// finished first.
    pub fn turns_on_or_off(&self) -> bool {
        self.chain.turns_on_or_off()
    }

    /// Puts new plugins in place, if they wait and this is the place. With reordering, frames come
    /// out in another order than their records: the place is where all records before it in the
    /// input also are before it in the order in which they are shown.
    pub fn cut_if_possible(&mut self, ledger: &Ledger<impl Input>) {
        if self.wants_cut() && ledger.is_settled_before(self.analysed_before) {
            // The plugins hand over their state.
            let _permit = self.claim.take();
            self.cut(ledger);
        }
    }

    /// As [`Self::cut_if_possible`], with a frame at hand that is not analysed yet.
    pub fn cut_before_frame(&mut self, ledger: &Ledger<impl Input>) {
        let possible = self.wants_cut()
            && !self.turns_on_or_off()
            && ledger.is_settled_before(self.analysed_before);
        if possible {
            self.cut(ledger);
        }
    }

    fn cut(&mut self, ledger: &Ledger<impl Input>) {
        let seq = self.analysed_before.max(ledger.first_seq());
        if let Some(events) = self.chain.cut(&self.claim) {
            self.unnamed_cut = Some((seq, events));
            self.name_cut(ledger);
            self.chain.tick();
        }
    }

    /// Tells which record is the first of the new plugins, as soon as it is there.
    pub fn name_cut(&mut self, ledger: &Ledger<impl Input>) {
        let Some((seq, events)) = &self.unnamed_cut else { return };
        if let Some(record) = ledger.record(*seq) {
            let (seq, source) = (*seq, record.source());
            let _ = events.send(SwapEvent::Cut { seq, source });
            self.unnamed_cut = None;
        }
    }

    /// Ends what has waited for too long.
    pub fn tick(&mut self) {
        self.chain.tick();
    }

    /// The camera stops. What has not proved itself does not run after a restart, and its state
    /// must not be saved.
    pub fn finish(&mut self) {
        self.chain.abandon_rollout();
        self.save();
    }

    // === the state of plugins ===

    /// Saves the state of the plugins from time to time.
    pub fn save_if_due(&mut self) {
        if self.saved_at.elapsed() >= SAVE_INTERVAL && !self.chain.is_on_probation() {
            self.save();
        }
    }

    fn save(&mut self) {
        self.saved_at = Instant::now();
        if !self.chain.has_state() {
            return;
        }
        let permit = self.claim.take();
        let plugins = self.chain.save(&self.claim);
        drop(permit);
        // Without any, the camera would count as forgotten.
        if !plugins.is_empty() {
            self.snapshots.put(CameraSnapshots { of: self.owner.clone(), plugins });
        }
    }
}
