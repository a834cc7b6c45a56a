//! One plugin on one camera: how it is called with a frame, and what becomes of its answer.
//!
//! Behind it stands an instance of the camera's own, or one that it shares with other cameras of its
//! tenant (see [`crate::plugin::instance::shared`]).
//!
//! What a plugin remembers in the guise of a [`Snapshot`] outlives the instance: it is restored
//! after a trap, and handed to the successor in a swap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::breaker::{Breaker, BreakerSettings, BreakerState};
use super::supervised::{Answer, InstanceSpec, SaveError, SupervisedInstance};
use crate::plugin::instance::shared::SharedHandle;
use crate::plugin::sandbox::CallEnd;
use crate::plugin::sandbox::FrameView;
use crate::plugin::sandbox::Meter;
use crate::plugin::sandbox::Owner;
use crate::plugin::sandbox::bindings::comux::plugin::types::Header;
use crate::plugin::sandbox::imports::one_line;
use crate::plugin::sandbox::{Blame, CallFailure, ConfigureError, NoResult, failed, told};
use crate::plugin::sandbox::{Engine, LoadedPlugin};
use crate::plugin::sandbox::{Restored, Snapshot};
use crate::policy::Limits;
use crate::record::{FailReason, ResultHeader};
use crate::sched::CoreClaim;
use crate::tenancy::Tenant;
use crate::video::frame::Frame;

/// What an instance may do, and when it is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// How much it may use.
    pub limits: Limits,
    /// When it is left out because it fails.
    pub breaker: BreakerSettings,
}

/// A configured plugin of one camera.
pub struct CameraPlugin {
    loaded: Arc<LoadedPlugin>,
    owner: Owner,
    limits: Limits,
    breaker: Breaker,
    meter: Arc<Meter>,
    sight: FrameView,
    home: Placement,
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

/// What came of a call.
pub(crate) struct FrameCall {
    pub result: Result<Answer, (CallFailure, Blame)>,
    pub end: CallEnd,
    /// Bytes of pixels that were read.
    pub bytes_read: u64,
    /// Bytes of the instance's linear memory.
    pub memory: u64,
    /// How long the frame waited for others.
    pub waited: Duration,
}

impl CameraPlugin {
    /// Instantiates and configures `loaded` with the JSON object `config`.
    ///
    /// # Errors
    /// When the tenant has no room for it, or the plugin refuses the configuration or fails while it
    /// is configured.
    pub fn start(
        engine: &Engine,
        loaded: Arc<LoadedPlugin>,
        (tenant, camera): (Arc<Tenant>, &str),
        config: String,
        terms: Terms,
    ) -> Result<Self, ConfigureError> {
        let Terms { limits, breaker } = terms;
        let plugin: Arc<str> = format!("{}@{}", loaded.name, loaded.version).into();
        let owner = Owner { tenant: Arc::clone(&tenant.id), camera: camera.into(), plugin };
        let meter = Meter::new(tenant, loaded.identity.clone(), &limits);
        let (home, meter) = if loaded.has_batches() {
            let (tenant, loaded) = (&meter.tenant, &loaded);
            let seatmate = engine.batches().join(engine, loaded, tenant, (config, limits))?;
            let (metrics, batches) = (seatmate.metrics(), seatmate.counts());
            (Placement::Shared(seatmate), Arc::new(meter.sharing(metrics, batches)))
        } else {
            let meter = Arc::new(meter);
            let (engine, loaded) = (engine.clone(), Arc::clone(&loaded));
            let (owner, charged) = (owner.clone(), Arc::clone(&meter));
            let recipe = InstanceSpec { engine, loaded, owner, config, limits, meter: charged };
            (Placement::Own(Box::new(SupervisedInstance::start(recipe)?)), meter)
        };
        let (sight, breaker) = (FrameView::of(Arc::clone(&owner.camera)), Breaker::new(breaker));
        let waited = Duration::ZERO;
        Ok(Self { loaded, owner, limits, breaker, meter, sight, home, waited })
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

    /// Calls the plugin with a frame; `headers` are the input record's and earlier plugins'. `seat`:
    /// the camera's, on whose thread this is.
    ///
    /// # Errors
    /// When the plugin fails, or is left out because it did so too often. A trapped instance is
    /// replaced at once.
    pub fn on_frame(
        &mut self,
        picture: &Arc<Frame>,
        headers: Vec<ResultHeader>,
        seat: &Arc<CoreClaim>,
    ) -> Result<Vec<ResultHeader>, NoResult> {
        let begin = Instant::now();
        self.waited = Duration::ZERO;
        if !self.breaker.admits(begin) {
            self.has_missed_pictures();
            return Err(NoResult::Quarantined);
        }
        let FrameCall { result, end, bytes_read, memory, waited } =
            self.call((Arc::clone(picture), headers), seat, begin);
        self.waited = waited;
        let now = end.at;
        let result = match result.and_then(|answer| self.accept(answer)) {
            Ok(headers) => {
                self.breaker.succeeded(now);
                let bytes = headers.iter().map(|header| header.name.len() + header.value.len());
                self.meter.charge_headers(now, bytes.sum::<usize>() as u64);
                Ok(headers)
            }
            Err((failure, weight)) => Err(NoResult::Failed(self.fail(now, failure, weight, seat))),
        };
        self.meter.set_breaker(self.breaker.state());
        self.meter.charge_call(now, end.used, bytes_read, memory);
        result
    }

    fn call(
        &mut self,
        frame: (Arc<Frame>, Vec<ResultHeader>),
        seat: &Arc<CoreClaim>,
        begin: Instant,
    ) -> FrameCall {
        match &mut self.home {
            Placement::Own(resident) => {
                let frame = self.sight.lend(frame, &self.limits);
                let (sight, mut bytes_read) = (&mut self.sight, None);
                let called = resident.call_with(frame, seat, begin, |frame| {
                    bytes_read = Some(frame.bytes_read);
                    sight.take_back(frame);
                });
                if bytes_read.is_none() {
                    self.sight.miss_pictures();
                }
                FrameCall {
                    result: called.answer.map_err(|failure| (failure, Blame::Counted)),
                    end: called.end,
                    bytes_read: bytes_read.unwrap_or_default(),
                    memory: resident.memory(),
                    waited: Duration::ZERO,
                }
            }
            Placement::Shared(seatmate) => {
                // One that is on trial is judged by its own frames.
                let alone = self.breaker.state() != BreakerState::Closed;
                seatmate.call((frame, &mut self.sight), seat, begin, alone)
            }
        }
    }

    /// A call failed: counts that, and puts another instance in the place of a lost one.
    fn fail(
        &mut self,
        now: Instant,
        mut failure: CallFailure,
        weight: Blame,
        seat: &Arc<CoreClaim>,
    ) -> CallFailure {
        self.meter.count_failure(failure.reason);
        match weight {
            // The plugin works; it is the frame that does not.
            Blame::FrameOnly => self.breaker.succeeded(now),
            Blame::Unattributed => {}
            Blame::Counted => failure.quarantine = self.breaker.failed(now, false),
            Blame::Fatal => failure.quarantine = self.breaker.failed(now, true),
        }
        if let Placement::Own(resident) = &mut self.home
            && self.breaker.state() != BreakerState::Open
        {
            // What keeps it from starting is said with the next frame.
            let _ = resident.revive(Some(seat));
        }
        failure
    }

    /// What the plugin remembers. `seat` is the calling thread's claim to a core.
    ///
    /// # Errors
    /// Its own words, or how it failed; a trapped instance is replaced.
    pub fn save(&mut self, seat: &Arc<CoreClaim>) -> Result<Snapshot, String> {
        if self.breaker.state() == BreakerState::Open {
            return Err("it is left out".to_owned());
        }
        match self.resident()?.save(seat) {
            Ok(snapshot) => Ok(snapshot),
            Err(SaveError::Refused(why)) => Err(why),
            Err(SaveError::Failed(failure)) => {
                self.meter.count_failure(failure.reason);
                self.breaker.failed(Instant::now(), false);
                self.meter.set_breaker(self.breaker.state());
                Err(failure.message)
            }
        }
    }

    /// Gives the plugin what it, or its predecessor, remembered. `seat` is the calling thread's claim to
    /// a core.
    ///
    /// # Errors
    /// Its own words, or how it failed; a trapped instance is replaced.
    pub fn restore(
        &mut self,
        snapshot: &Snapshot,
        seat: &Arc<CoreClaim>,
    ) -> Result<Restored, String> {
        self.resident()?.restore(snapshot, seat)
    }

    fn resident(&mut self) -> Result<&mut SupervisedInstance, String> {
        match &mut self.home {
            Placement::Own(resident) => Ok(resident),
            Placement::Shared(_) => Err("it is shared by several cameras".to_owned()),
        }
    }

    /// Goes on where `old` stands: the picture before the next one is the one that it saw.
    pub fn follow(&mut self, old: &Self) {
        self.sight.follow(&old.sight);
    }

    /// Pictures went by that the plugin did not see.
    pub fn has_missed_pictures(&mut self) {
        self.sight.miss_pictures();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::test_plugin::stateful;
    use crate::policy::Digest;
    use crate::sched::sched_idle;

    type Hook = fn(&mut CameraPlugin, &Arc<CoreClaim>) -> String;

    fn save(instance: &mut CameraPlugin, seat: &Arc<CoreClaim>) -> String {
        instance.save(seat).unwrap_err()
    }

    fn restore(instance: &mut CameraPlugin, seat: &Arc<CoreClaim>) -> String {
        let snapshot = Snapshot { schema: 1, plugin_version: "1.0.0".into(), data: Vec::new() };
        instance.restore(&snapshot, seat).unwrap_err()
    }

    /// Otherwise a tenant could hold up others whenever it is asked what it remembers.
    #[test]
    fn saving_and_restoring_stand_behind_others_when_the_tenant_has_had_its_part() {
        if !sched_idle::is_allowed() {
            return;
        }
        let (engine, tenant, bytes) =
            (Engine::new().unwrap(), Tenant::nobody(), stateful("s", "1.0.0"));
        let component = engine.compile(&bytes).unwrap();
        let loaded = Arc::new(
            engine.check(&component, Digest::of(&bytes), (&tenant, Limits::default())).unwrap(),
        );
        let limits = Limits { deadline_ms: 1_000, ..Limits::default() };
        let terms = Terms { limits, ..Terms::default() };
        for hook in [save as Hook, restore] {
            let owner = (Arc::clone(&tenant), "gate");
            let mut instance =
                CameraPlugin::start(&engine, Arc::clone(&loaded), owner, "{}".into(), terms)
                    .unwrap();
            let seat = tenant.seat();
            seat.charge_helpers(Duration::from_secs(3600));
            let claim = Arc::clone(&seat);
            let calling = std::thread::spawn(move || {
                let _turn = claim.take();
                hook(&mut instance, &claim)
            });
            let mut was_behind = false;
            while !calling.is_finished() {
                was_behind |= seat.is_behind();
                std::thread::sleep(Duration::from_millis(1));
            }
            let why = calling.join().unwrap();
            assert!(was_behind && why.contains("deadline"), "{was_behind}: {why}");
        }
    }
}
