//! An instance of a plugin that is replaced when it is lost, with what it remembered.
//!
//! It promises that an entry which trapped is the last one into that instance, that a replacement
//! is ready within the time of one call, and that it is not restored from what made it fail. When
//! an instance should be replaced, and whether a plugin is called at all, is for others to say.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::Resource;

use super::frame_call::{Answer, Invoked};
use crate::plugin::sandbox::bindings::FrameHandle;
use crate::plugin::sandbox::{
    CallEnd, CallFailure, Charge, ConfigureError, Engine, Entry, Exports, HostState, Instance,
    Left, LentFrame, LoadedPlugin, Meter, Owner, Restored, Snapshot, failed, one_line,
};
use crate::policy::Limits;
use crate::record::FailReason;
use crate::sched::CoreClaim;
use crate::tenancy::Reservation;

/// What an instance is made of.
pub(crate) struct InstanceSpec {
    pub engine: Engine,
    pub loaded: Arc<LoadedPlugin>,
    pub owner: Owner,
    /// A JSON object.
    pub config: String,
    pub limits: Limits,
    /// What it uses is charged here.
    pub meter: Arc<Meter>,
}

/// A configured instance.
pub(crate) struct SupervisedInstance {
    spec: InstanceSpec,
    /// What it remembered last: it begins with that after a trap.
    snapshot: Option<Snapshot>,
    /// Absent after a trap, when there is no other one yet.
    instance: Option<Instance>,
    /// How many there were; those who knew an earlier one are not known to this one.
    number: u64,
    _reservation: Reservation,
}

impl SupervisedInstance {
    /// Instantiates and configures a plugin.
    ///
    /// # Errors
    /// When the tenant has no room for it, or the plugin refuses the configuration or fails while
    /// it is configured.
    pub fn start(spec: InstanceSpec) -> Result<Self, ConfigureError> {
        let tenant = &spec.meter.tenant;
        let reservation = tenant.reserve(spec.limits.memory_mb)?;
        // Off the camera's thread, but not beside those who wait for a core.
        let claim = tenant.claim();
        let permit = claim.take();
        let instance = spec.configure(spec.time_from(Instant::now()), Some(&claim));
        drop(permit);
        let instance = Some(instance?);
        Ok(Self { spec, snapshot: None, instance, number: 1, _reservation: reservation })
    }

    /// Bytes of its linear memory.
    pub fn memory(&self) -> u64 {
        self.instance.as_ref().map(Instance::memory_bytes).unwrap_or_default()
    }

    /// Puts another instance in the place of one that is lost. All that takes no longer than a call
    /// may.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn revive(&mut self, claim: Option<&Arc<CoreClaim>>) -> Result<(), String> {
        if self.instance.is_none() {
            self.instance = Some(self.replace(claim)?);
        }
        Ok(())
    }

    fn replace(&mut self, claim: Option<&Arc<CoreClaim>>) -> Result<Instance, String> {
        self.number += 1;
        let spec = &self.spec;
        let configure = |within| spec.configure(within, claim).map_err(|error| error.to_string());
        let mut instance = configure(spec.time_from(Instant::now()))?;
        let Some(snapshot) = self.snapshot.take() else { return Ok(instance) };
        let entry = spec.entry(instance.time_left(), claim);
        match restore(&mut instance, entry, &snapshot) {
            Ok(_) => {
                self.snapshot = Some(snapshot);
                Ok(instance)
            }
            // It would fail with the same state again.
            Err(why) => {
                let Owner { tenant, camera, plugin } = &spec.owner;
                let (tenant, camera, plugin) = (&**tenant, &**camera, &**plugin);
                tracing::warn!(tenant, camera, plugin, "begins afresh after a trap: {why}");
                configure(instance.time_left())
            }
        }
    }

    fn take_instance(&mut self, claim: &Arc<CoreClaim>) -> Result<Instance, String> {
        self.instance.take().map_or_else(|| self.replace(Some(claim)), Ok)
    }

    /// Calls the plugin with one frame, now or as soon as there is an instance again. `give_back`
    /// gets the frame, unless the instance was lost.
    pub fn call_with(
        &mut self,
        frame: LentFrame,
        claim: &Arc<CoreClaim>,
        now: Instant,
        give_back: impl FnMut(LentFrame),
    ) -> Invoked<Answer> {
        let call = |exports: &Exports, store: &mut Store<HostState>, handles: Range<u32>| {
            let hook = exports.plugin.comux_plugin_frame_hook();
            hook.call_on_frame(store, Resource::new_borrow(handles.start))
        };
        self.call(std::iter::once(frame), None, claim, now, call, give_back)
    }

    /// As [`Self::call_with`], with frames of several cameras: as many answers as frames.
    pub fn call_with_all(
        &mut self,
        frames: Vec<LentFrame>,
        claim: &Arc<CoreClaim>,
        now: Instant,
        give_back: impl FnMut(LentFrame),
    ) -> Invoked<Vec<Answer>> {
        let count = frames.len();
        let output_bytes = self.spec.limits.output_bytes().saturating_mul(count);
        let call = |exports: &Exports, store: &mut Store<HostState>, handles: Range<u32>| {
            let Some(hook) = &exports.batches else {
                return Err(wasmtime::format_err!("the plugin takes no batches"));
            };
            let handles: Vec<Resource<FrameHandle>> = handles.map(Resource::new_own).collect();
            hook.call_on_batch(store, &handles)
        };
        let mut called = self.call(frames, Some(output_bytes), claim, now, call, give_back);
        if let Ok(answers) = &called.answer
            && answers.len() != count
        {
            let answered = answers.len();
            let message = format!("gave {answered} answers about {count} frames");
            called.answer = Err(failed(FailReason::PluginError, message));
        }
        called
    }

    fn call<T>(
        &mut self,
        frames: impl IntoIterator<Item = LentFrame>,
        output_bytes: Option<usize>,
        claim: &Arc<CoreClaim>,
        mut begin: Instant,
        call: impl FnOnce(&Exports, &mut Store<HostState>, Range<u32>) -> wasmtime::Result<T>,
        give_back: impl FnMut(LentFrame),
    ) -> Invoked<T> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                let replacement = self.replace(Some(claim));
                begin = Instant::now();
                match replacement {
                    Ok(instance) => instance,
                    Err(message) => {
                        let answer = Err(failed(FailReason::PluginTrap, message));
                        return Invoked { answer, end: CallEnd::immediate(begin) };
                    }
                }
            }
        };
        let number = self.number;
        let handles = instance.lend(frames.into_iter().map(|frame| frame.shown_to(number)));
        let entry = Entry {
            within: self.spec.time_from(begin),
            claim: Some(claim),
            charge: Charge::Caller,
            output_bytes,
        };
        let Left { answer, end } =
            instance.enter(entry, |exports, store| call(exports, store, handles));
        match answer {
            Ok(answer) => {
                instance.take_back().for_each(give_back);
                self.instance = Some(instance);
                Invoked { answer: Ok(answer), end }
            }
            Err(trapped) => Invoked { answer: Err(trapped.failure()), end },
        }
    }

    /// What the plugin remembers.
    ///
    /// # Errors
    /// Its own words, or how it failed; the instance is lost then.
    pub fn save(&mut self, claim: &Arc<CoreClaim>) -> Result<Snapshot, SaveError> {
        let mut instance = self.take_instance(claim).map_err(SaveError::Refused)?;
        let entry = self.spec.entry(self.spec.time_from(Instant::now()), Some(claim));
        let output_bytes = Some(self.spec.limits.snapshot_bytes());
        let Left { answer, .. } =
            instance.enter(Entry { output_bytes, ..entry }, |exports, store| {
                let Some(state) = &exports.state else { return Ok(Err(NO_STATE.to_owned())) };
                state.call_save(store)
            });
        let answer = answer.map_err(|trapped| SaveError::Failed(trapped.failure()))?;
        self.instance = Some(instance);
        let snapshot =
            answer.map(Snapshot::from).map_err(|why| SaveError::Refused(one_line(&why)))?;
        self.snapshot = Some(snapshot.clone());
        Ok(snapshot)
    }

    /// Gives the plugin what it, or its predecessor, remembered.
    ///
    /// # Errors
    /// Its own words, or how it failed; the instance is given up.
    pub fn restore(
        &mut self,
        snapshot: &Snapshot,
        claim: &Arc<CoreClaim>,
    ) -> Result<Restored, String> {
        let mut instance = self.take_instance(claim)?;
        let entry = self.spec.entry(self.spec.time_from(Instant::now()), Some(claim));
        let restored = restore(&mut instance, entry, snapshot)?;
        self.instance = Some(instance);
        self.snapshot = Some(snapshot.clone());
        Ok(restored)
    }
}

const NO_STATE: &str = "it keeps no state";

/// A plugin's memory can't be had.
pub(crate) enum SaveError {
    /// It says why.
    Refused(String),
    /// It failed.
    Failed(CallFailure),
}

impl InstanceSpec {
    /// The time that a call has which begins then.
    fn time_from(&self, begin: Instant) -> Range<Instant> {
        begin..begin + self.limits.deadline()
    }

    /// An entry that is about no frame.
    fn entry<'a>(&self, within: Range<Instant>, claim: Option<&'a Arc<CoreClaim>>) -> Entry<'a> {
        Entry { within, claim, charge: Charge::Meter, output_bytes: None }
    }

    /// A configured instance, within this time.
    fn configure(
        &self,
        within: Range<Instant>,
        claim: Option<&Arc<CoreClaim>>,
    ) -> Result<Instance, ConfigureError> {
        let (owner, meter) = (self.owner.clone(), Arc::clone(&self.meter));
        let state = HostState::new(self.engine.ticker(), owner, meter, self.limits);
        let entry = self.entry(within, claim);
        let component = self.loaded.component();
        let Left { answer, .. } = Instance::start(component, state, entry, |exports, store| {
            exports.plugin.comux_plugin_lifecycle().call_configure(store, &self.config)
        });
        let plugin = Arc::clone(&self.owner.plugin);
        match answer {
            Ok((instance, Ok(()))) => Ok(instance),
            Ok((_, Err(reason))) => {
                Err(ConfigureError::Refused { plugin, reason: one_line(&reason) })
            }
            Err(trapped) => {
                Err(ConfigureError::Failed { plugin, reason: trapped.failure().message })
            }
        }
    }
}

fn restore(
    instance: &mut Instance,
    entry: Entry<'_>,
    snapshot: &Snapshot,
) -> Result<Restored, String> {
    let Left { answer, .. } = instance.enter(entry, |exports, store| {
        let Some(state) = &exports.state else { return Ok(Err(NO_STATE.to_owned())) };
        state.call_restore(store, &snapshot.into())
    });
    let answer = answer.map_err(|trapped| trapped.failure().message)?;
    answer.map(Restored::from).map_err(|why| one_line(&why))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plugin::compile::compile_here;
    use crate::plugin::test_plugin::stateful;
    use crate::policy::Digest;
    use crate::tenancy::Tenant;

    fn supervised(limits: Limits) -> SupervisedInstance {
        let (engine, tenant) = (Engine::new().unwrap(), Tenant::nobody());
        let bytes = stateful("s", "1.0.0");
        let component = compile_here(engine.wasmtime(), &bytes).unwrap();
        let loaded = engine.check(&component, Digest::of(&bytes), (&tenant, limits)).unwrap();
        let owner = Owner { tenant: "".into(), camera: "gate".into(), plugin: "s@1.0.0".into() };
        let meter = Arc::new(Meter::new(tenant, loaded.identity.clone(), &limits));
        let loaded = Arc::new(loaded);
        let config = "{}".to_owned();
        SupervisedInstance::start(InstanceSpec { engine, loaded, owner, config, limits, meter })
            .unwrap()
    }

    /// It ran on after the ticks of its call had been ended: where no other call ran, it looked at
    /// its deadline only when somebody happened to tick.
    #[test]
    fn restoring_after_a_trap_is_held_to_its_deadline_as_every_entry_is() {
        let deadline = Duration::from_secs(2);
        let limits = Limits { deadline_ms: 2_000, ..Limits::default() };
        let mut supervised = supervised(limits);
        let ticker = Arc::clone(supervised.spec.engine.ticker());
        let (_, begun_before) = ticker.counts();
        // As after a trap: nothing runs, and there is what it remembered, with which it never ends.
        supervised.instance = None;
        supervised.snapshot =
            Some(Snapshot { schema: 1, plugin_version: "1.0.0".into(), data: Vec::new() });
        let begin = Instant::now();
        let reviving = std::thread::spawn(move || {
            // Whether configuring it afresh had any time left is another question.
            let _ = supervised.revive(None);
            (supervised, begin.elapsed())
        });
        let (mut looks, mut running) = (0, 0);
        while !reviving.is_finished() {
            let (calls, begun) = ticker.counts();
            // Configuring it is the first that begins.
            if begun > begun_before {
                looks += 1;
                running += calls;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let (supervised, took) = reviving.join().unwrap();
        assert!(supervised.snapshot.is_none(), "it would fail with the same state again");
        assert!(running * 2 > looks, "ticks were made at {running} of {looks} looks");
        assert!((deadline..deadline * 10).contains(&took), "{took:?}");
        assert_eq!(ticker.counts().0, 0, "whoever enters leaves");
    }
}
