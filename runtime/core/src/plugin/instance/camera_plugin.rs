//! One plugin on one camera: how it is called with a frame, and what becomes of its answer.
//!
//! It runs in an instance of the camera's own, or in one that it shares with other cameras of its
//! tenant (see [`super::shared`]).
//!
//! What a plugin remembers as a [`Snapshot`] outlives the instance: it is restored
//! after a trap, and handed to the successor in a swap.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::frame_call::{Answer, FrameCall};
use super::instances::Instances;
use super::shared::SharedHandle;
use super::supervised::{InstanceSpec, SaveError, SupervisedInstance};
use crate::plugin::sandbox::bindings::comux::plugin::types::Header;
use crate::plugin::sandbox::{
    Blame, CallFailure, ConfigureError, FrameView, LoadedPlugin, Meter, NoResult, Owner, Restored,
    Snapshot, failed, one_line, told,
};
use crate::policy::{BreakerSettings, BreakerState, Limits, Terms};
use crate::record::{FailReason, ResultHeader};
use crate::sched::CoreClaim;
use crate::tenancy::Tenant;
use crate::video::frame::Frame;

/// A configured plugin of one camera.
pub struct CameraPlugin {
    loaded: Arc<LoadedPlugin>,
    owner: Owner,
    limits: Limits,
    breaker: Breaker,
    meter: Arc<Meter>,
    view: FrameView,
    placement: Placement,
    /// How long the latest frame waited for others.
    waited: Duration,
}

/// Where a plugin runs.
enum Placement {
    /// In an instance of this camera.
    Own(Box<SupervisedInstance>),
    /// In one that it shares.
    Shared(SharedHandle),
}

impl CameraPlugin {
    /// Instantiates and configures `loaded` with the JSON object `config`.
    ///
    /// # Errors
    /// When the tenant has no room for it, or the plugin refuses the configuration or fails while
    /// it is configured.
    pub fn start(
        instances: &Instances,
        loaded: Arc<LoadedPlugin>,
        (tenant, camera): (Arc<Tenant>, &str),
        config: String,
        terms: Terms,
    ) -> Result<Self, ConfigureError> {
        let Terms { limits, breaker } = terms;
        let plugin: Arc<str> = format!("{}@{}", loaded.name, loaded.version).into();
        let owner = Owner { tenant: Arc::clone(&tenant.id), camera: camera.into(), plugin };
        let meter = Meter::new(tenant, loaded.identity.clone(), &limits);
        let Instances { engine, shared } = instances;
        let (placement, meter) = if loaded.has_batches() {
            let handle = shared.join(engine, &loaded, &meter.tenant, (config, limits))?;
            let (metrics, batches) = (handle.metrics(), handle.counts());
            (Placement::Shared(handle), Arc::new(meter.sharing(metrics, batches)))
        } else {
            let meter = Arc::new(meter);
            let (engine, loaded) = (engine.clone(), Arc::clone(&loaded));
            let (owner, charged) = (owner.clone(), Arc::clone(&meter));
            let spec = InstanceSpec { engine, loaded, owner, config, limits, meter: charged };
            (Placement::Own(Box::new(SupervisedInstance::start(spec)?)), meter)
        };
        let (view, breaker) =
            (FrameView::of(Arc::clone(&owner.camera)), Breaker::new(breaker, seed(&owner)));
        let waited = Duration::ZERO;
        Ok(Self { loaded, owner, limits, breaker, meter, view, placement, waited })
    }

    /// The plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// `name@version+sha256.…`.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.loaded.identity
    }

    /// What it uses.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Whether the plugin has state that can be saved and restored.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.loaded.has_state()
    }

    /// How long the latest frame waited for frames of other cameras to be analysed with.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// From now on it is left out by other rules.
    pub fn set_breaker(&mut self, settings: BreakerSettings) {
        self.breaker.set(settings);
    }

    /// Calls the plugin with a frame; `headers` are the input record's and earlier plugins'.
    /// `claim`: the camera's, on whose thread this is.
    ///
    /// # Errors
    /// When the plugin fails, or is left out because it did so too often. A trapped instance is
    /// replaced at once.
    pub fn on_frame(
        &mut self,
        frame: &Arc<Frame>,
        headers: Vec<ResultHeader>,
        claim: &Arc<CoreClaim>,
    ) -> Result<Vec<ResultHeader>, NoResult> {
        let begin = Instant::now();
        self.waited = Duration::ZERO;
        if !self.breaker.admits(begin) {
            self.has_missed_frames();
            return Err(NoResult::Quarantined);
        }
        let FrameCall { result, end, bytes_read, memory, waited } =
            self.call((Arc::clone(frame), headers), claim, begin);
        self.waited = waited;
        let now = end.at;
        let result = match result.and_then(|answer| self.accept(answer)) {
            Ok(headers) => {
                self.breaker.succeeded(now);
                let bytes = headers.iter().map(|header| header.name.len() + header.value.len());
                self.meter.charge_headers(now, bytes.sum::<usize>() as u64);
                Ok(headers)
            }
            Err((failure, blame)) => Err(NoResult::Failed(self.fail(now, failure, blame, claim))),
        };
        self.meter.set_breaker(self.breaker.state());
        self.meter.charge_call(now, end.used, bytes_read, memory);
        result
    }

    fn call(
        &mut self,
        frame: (Arc<Frame>, Vec<ResultHeader>),
        claim: &Arc<CoreClaim>,
        begin: Instant,
    ) -> FrameCall {
        match &mut self.placement {
            Placement::Own(instance) => {
                let frame = self.view.lend(frame, &self.limits);
                let (view, mut bytes_read) = (&mut self.view, None);
                let called = instance.call_with(frame, claim, begin, |frame| {
                    bytes_read = Some(frame.bytes_read);
                    view.take_back(frame);
                });
                if bytes_read.is_none() {
                    self.view.miss_frames();
                }
                FrameCall {
                    result: called.answer.map_err(|failure| (failure, Blame::Counted)),
                    end: called.end,
                    bytes_read: bytes_read.unwrap_or_default(),
                    memory: instance.memory(),
                    waited: Duration::ZERO,
                }
            }
            Placement::Shared(handle) => {
                // One that is on trial is judged by its own frames.
                let alone = self.breaker.state() != BreakerState::Closed;
                handle.call((frame, &mut self.view), claim, begin, alone)
            }
        }
    }

    /// A call failed: counts that, and puts another instance in the place of a lost one.
    fn fail(
        &mut self,
        now: Instant,
        mut failure: CallFailure,
        blame: Blame,
        claim: &Arc<CoreClaim>,
    ) -> CallFailure {
        self.meter.count_failure(failure.reason, &failure.message);
        match blame {
            // The plugin works; it is the frame that does not.
            Blame::FrameOnly => self.breaker.succeeded(now),
            Blame::Unattributed => {}
            Blame::Counted => failure.quarantine = self.breaker.failed(now, false),
            Blame::Fatal => failure.quarantine = self.breaker.failed(now, true),
        }
        if let Placement::Own(instance) = &mut self.placement
            && self.breaker.state() != BreakerState::Open
        {
            // What keeps it from starting is said with the next frame.
            let _ = instance.revive(Some(claim));
        }
        failure
    }

    /// Whether it is not called, because it kept failing.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        self.breaker.state() == BreakerState::Open
    }

    /// What the plugin remembers. `claim` is the calling thread's claim to a core.
    ///
    /// # Errors
    /// Its own words, or how it failed; a trapped instance is replaced.
    pub fn save(&mut self, claim: &Arc<CoreClaim>) -> Result<Snapshot, String> {
        if self.is_left_out() {
            return Err("it is left out".to_owned());
        }
        match self.own_instance()?.save(claim) {
            Ok(snapshot) => Ok(snapshot),
            Err(SaveError::Refused(why)) => Err(why),
            Err(SaveError::Failed(failure)) => {
                self.meter.count_failure(failure.reason, &failure.message);
                self.breaker.failed(Instant::now(), false);
                self.meter.set_breaker(self.breaker.state());
                Err(failure.message)
            }
        }
    }

    /// Gives the plugin what it, or its predecessor, remembered. `claim` is the calling thread's
    /// claim to a core.
    ///
    /// # Errors
    /// Its own words, or how it failed; a trapped instance is replaced.
    pub fn restore(
        &mut self,
        snapshot: &Snapshot,
        claim: &Arc<CoreClaim>,
    ) -> Result<Restored, String> {
        self.own_instance()?.restore(snapshot, claim)
    }

    fn own_instance(&mut self) -> Result<&mut SupervisedInstance, String> {
        match &mut self.placement {
            Placement::Own(instance) => Ok(instance),
            Placement::Shared(_) => Err("it is shared by several cameras".to_owned()),
        }
    }

    /// Goes on where `old` is: the frame before the next one is the one that it saw.
    pub fn follow(&mut self, old: &Self) {
        self.view.follow(&old.view);
    }

    /// Frames went by that the plugin did not see.
    pub fn has_missed_frames(&mut self) {
        self.view.miss_frames();
    }

    fn accept(&self, answer: Answer) -> Result<Vec<ResultHeader>, (CallFailure, Blame)> {
        let headers = answer.map_err(told)?;
        let (most, most_kb) = (self.limits.headers, self.limits.header_kb);
        let bytes = headers.iter().map(|header| header.name.len() + header.value.len());
        let bytes = bytes.sum::<usize>();
        if headers.len() > most as usize || bytes > most_kb as usize * 1024 {
            let count = headers.len();
            let message = format!(
                "returned {count} headers of {bytes} bytes, and may return {most} of {most_kb} KiB"
            );
            return Err((failed(FailReason::Output, message), Blame::Counted));
        }
        let undeclared = headers.iter().find(|header| !self.loaded.headers.contains(&header.name));
        if let Some(header) = undeclared {
            let message = format!("returned the header `{}` undeclared", one_line(&header.name));
            return Err((failed(FailReason::PluginError, message), Blame::Counted));
        }
        let own = |header: Header| ResultHeader { name: header.name, value: header.value };
        Ok(headers.into_iter().map(own).collect())
    }
}

/// A number of this plugin's on this camera, the same in each process.
fn seed(Owner { tenant, camera, plugin }: &Owner) -> u64 {
    let mut hasher = DefaultHasher::new();
    (tenant, camera, plugin).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::compile::compile_here;
    use crate::plugin::sandbox::Engine;
    use crate::plugin::test_plugin::stateful;
    use crate::policy::Digest;
    use crate::sched::sched_idle;

    type Hook = fn(&mut CameraPlugin, &Arc<CoreClaim>) -> String;

    fn save(instance: &mut CameraPlugin, claim: &Arc<CoreClaim>) -> String {
        instance.save(claim).unwrap_err()
    }

    fn restore(instance: &mut CameraPlugin, claim: &Arc<CoreClaim>) -> String {
        let snapshot = Snapshot { schema: 1, plugin_version: "1.0.0".into(), data: Vec::new() };
        instance.restore(&snapshot, claim).unwrap_err()
    }

    /// Otherwise a tenant could hold up others whenever it is asked what it remembers.
    #[test]
    fn saving_and_restoring_leave_the_cores_to_others_when_the_tenant_has_had_its_part() {
        if !sched_idle::is_allowed() {
            return;
        }
        let (engine, tenant, bytes) =
            (Engine::new().unwrap(), Tenant::nobody(), stateful("s", "1.0.0"));
        let component = compile_here(engine.wasmtime(), &bytes).unwrap();
        let loaded = Arc::new(
            engine.check(&component, Digest::of(&bytes), (&tenant, Limits::default())).unwrap(),
        );
        let instances = Instances::on(engine);
        let limits = Limits { deadline_ms: 1_000, ..Limits::default() };
        let terms = Terms { limits, ..Terms::default() };
        for hook in [save as Hook, restore] {
            let owner = (Arc::clone(&tenant), "gate");
            let mut instance =
                CameraPlugin::start(&instances, Arc::clone(&loaded), owner, "{}".into(), terms)
                    .unwrap();
            let claim = tenant.claim();
            claim.charge_helpers(Duration::from_secs(3600));
            let own = Arc::clone(&claim);
            let calling = std::thread::spawn(move || {
                let _permit = own.take();
                hook(&mut instance, &own)
            });
            let mut was_behind = false;
            while !calling.is_finished() {
                was_behind |= claim.is_demoted();
                std::thread::sleep(Duration::from_millis(1));
            }
            let why = calling.join().unwrap();
            assert!(was_behind && why.contains("deadline"), "{was_behind}: {why}");
        }
    }
}
