//! An instance of a plugin that is replaced when it is lost, with what it remembered.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::Resource;

use crate::plugin::sandbox::Exports;
use crate::plugin::sandbox::LentFrame;
use crate::plugin::sandbox::Meter;
use crate::plugin::sandbox::bindings::FrameHandle;
use crate::plugin::sandbox::bindings::comux::plugin::types::{Header, PluginError};
use crate::plugin::sandbox::imports::one_line;
use crate::plugin::sandbox::{CallEnd, deadline};
use crate::plugin::sandbox::{CallFailure, ConfigureError, failed, trapped};
use crate::plugin::sandbox::{Engine, LoadedPlugin};
use crate::plugin::sandbox::{HostState, Owner};
use crate::plugin::sandbox::{Restored, Snapshot};
use crate::policy::Limits;
use crate::record::FailReason;
use crate::sched::{CoreClaim, cpu_time};
use crate::tenancy::Reservation;

/// What a plugin says of one frame.
pub(crate) type Answer = Result<Vec<Header>, PluginError>;

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
    recipe: InstanceSpec,
    /// What it remembered last: it begins with that after a trap.
    snapshot: Option<Snapshot>,
    /// Absent behind a trap, when there is no other instance yet.
    running: Option<Instance>,
    /// How many there were; those who knew an earlier one are not known to this one.
    number: u64,
    _room: Reservation,
}

struct Instance {
    store: Store<HostState>,
    exports: Exports,
}

/// What came of a call.
pub(crate) struct Invoked<T> {
    pub answer: Result<T, CallFailure>,
    pub end: CallEnd,
}

impl SupervisedInstance {
    /// Instantiates and configures a plugin.
    ///
    /// # Errors
    /// When the tenant has no room for it, or the plugin refuses the configuration or fails while it
    /// is configured.
    pub fn start(recipe: InstanceSpec) -> Result<Self, ConfigureError> {
        let tenant = &recipe.meter.tenant;
        let room = tenant.take_room(recipe.limits.memory_mb)?;
        let begin = cpu_time::of_this_thread();
        // Off the camera's thread, but not beside those who wait for a core.
        let seat = tenant.seat();
        let turn = seat.take();
        let running = recipe.run_up(recipe.time_from(Instant::now()), Some(&seat));
        drop(turn);
        recipe.charge_since(begin);
        let running = Some(running?);
        Ok(Self { recipe, snapshot: None, running, number: 1, _room: room })
    }

    /// Bytes of its linear memory.
    pub fn memory(&self) -> u64 {
        let bytes = |running: &Instance| running.store.data().memory.bytes();
        self.running.as_ref().map(bytes).unwrap_or_default()
    }

    /// Puts another instance in the place of one that is lost. All that takes no longer than a call
    /// may.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn revive(&mut self, seat: Option<&Arc<CoreClaim>>) -> Result<(), String> {
        if self.running.is_none() {
            self.running = Some(self.replace(seat)?);
        }
        Ok(())
    }

    fn replace(&mut self, seat: Option<&Arc<CoreClaim>>) -> Result<Instance, String> {
        self.number += 1;
        let begin = cpu_time::of_this_thread();
        let replacement = self.begin_again(seat);
        self.recipe.charge_since(begin);
        replacement
    }

    fn begin_again(&mut self, seat: Option<&Arc<CoreClaim>>) -> Result<Instance, String> {
        let recipe = &self.recipe;
        let within = recipe.time_from(Instant::now());
        let mut running = recipe.run_up(within.clone(), seat).map_err(|error| error.to_string())?;
        if let Some(snapshot) = self.snapshot.take() {
            match restore(&mut running, &snapshot) {
                Ok(_) => self.snapshot = Some(snapshot),
                // It would fail with the same state again.
                Err(why) => {
                    let Owner { tenant, camera, plugin } = &recipe.owner;
                    let (tenant, camera, plugin) = (&**tenant, &**camera, &**plugin);
                    tracing::warn!(tenant, camera, plugin, "begins afresh after a trap: {why}");
                    running = recipe.run_up(within, seat).map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(running)
    }

    /// Calls the plugin with one frame, now or as soon as there is an instance again. `give_back` gets
    /// the frame, unless the instance was lost.
    pub fn call_with(
        &mut self,
        frame: LentFrame,
        seat: &Arc<CoreClaim>,
        now: Instant,
        give_back: impl FnMut(LentFrame),
    ) -> Invoked<Answer> {
        let call = |running: &mut Instance, handles: Range<u32>| {
            let hook = running.exports.plugin.comux_plugin_frame_hook();
            hook.call_on_frame(&mut running.store, Resource::new_borrow(handles.start))
        };
        self.enter(std::iter::once(frame), seat, now, call, give_back)
    }

    /// As [`Self::call_with`], with frames of several cameras: as many answers as frames.
    pub fn call_with_all(
        &mut self,
        frames: Vec<LentFrame>,
        seat: &Arc<CoreClaim>,
        now: Instant,
        give_back: impl FnMut(LentFrame),
    ) -> Invoked<Vec<Answer>> {
        let (count, output_bytes) = (frames.len(), self.recipe.limits.output_bytes());
        let call = |running: &mut Instance, handles: Range<u32>| {
            let Instance { store, exports } = running;
            let Some(hook) = &exports.batches else {
                return Err(wasmtime::format_err!("the plugin takes no batches"));
            };
            let handles: Vec<Resource<FrameHandle>> = handles.map(Resource::new_own).collect();
            store.set_hostcall_fuel(output_bytes.saturating_mul(count));
            let answers = hook.call_on_batch(&mut *store, &handles);
            store.set_hostcall_fuel(output_bytes);
            answers
        };
        let mut called = self.enter(frames, seat, now, call, give_back);
        if let Ok(answers) = &called.answer
            && answers.len() != count
        {
            let answered = answers.len();
            let message = format!("gave {answered} answers about {count} frames");
            called.answer = Err(failed(FailReason::PluginError, message));
        }
        called
    }

    fn enter<T>(
        &mut self,
        frames: impl IntoIterator<Item = LentFrame>,
        seat: &Arc<CoreClaim>,
        mut begin: Instant,
        call: impl FnOnce(&mut Instance, Range<u32>) -> wasmtime::Result<T>,
        give_back: impl FnMut(LentFrame),
    ) -> Invoked<T> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => {
                let replacement = self.replace(Some(seat));
                begin = Instant::now();
                match replacement {
                    Ok(running) => running,
                    Err(message) => {
                        let answer = Err(failed(FailReason::PluginTrap, message));
                        return Invoked { answer, end: CallEnd::immediate(begin) };
                    }
                }
            }
        };
        let number = self.number;
        let shown = frames.into_iter().map(|frame| frame.shown_to(number));
        let handles = running.store.data_mut().enter(shown);
        deadline::start(&mut running.store, self.recipe.time_from(begin), Some(seat));
        let answer = call(&mut running, handles);
        let end = deadline::leave(&mut running.store);
        match answer {
            Ok(answer) => {
                running.store.data_mut().leave().for_each(give_back);
                self.running = Some(running);
                Invoked { answer: Ok(answer), end }
            }
            Err(error) => Invoked { answer: Err(trapped(&error, &mut running.store)), end },
        }
    }

    fn take_running(&mut self, seat: &Arc<CoreClaim>) -> Result<Instance, String> {
        self.running.take().map_or_else(|| self.replace(Some(seat)), Ok)
    }

    /// What the plugin remembers.
    ///
    /// # Errors
    /// Its own words, or how it failed; the instance is lost then.
    pub fn save(&mut self, seat: &Arc<CoreClaim>) -> Result<Snapshot, SaveError> {
        let mut running = self.take_running(seat).map_err(SaveError::Refused)?;
        let recipe = &self.recipe;
        let Instance { store, exports } = &mut running;
        let Some(state) = &exports.state else {
            self.running = Some(running);
            return Err(SaveError::Refused(NO_STATE.to_owned()));
        };
        let begin = cpu_time::of_this_thread();
        store.set_hostcall_fuel(recipe.limits.snapshot_bytes());
        deadline::start(store, recipe.time_from(Instant::now()), Some(seat));
        let saved = state.call_save(&mut *store);
        deadline::leave(store);
        store.set_hostcall_fuel(recipe.limits.output_bytes());
        let saved = saved.map_err(|error| SaveError::Failed(trapped(&error, store)));
        recipe.charge_since(begin);
        let answer = saved?;
        self.running = Some(running);
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
        seat: &Arc<CoreClaim>,
    ) -> Result<Restored, String> {
        let mut running = self.take_running(seat)?;
        let begin = cpu_time::of_this_thread();
        let within = self.recipe.time_from(Instant::now());
        deadline::start(&mut running.store, within, Some(seat));
        let restored = restore(&mut running, snapshot);
        self.recipe.charge_since(begin);
        let restored = restored?;
        self.running = Some(running);
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

    fn charge_since(&self, begin: u64) {
        let cpu = Duration::from_nanos(cpu_time::of_this_thread().saturating_sub(begin));
        self.meter.charge_cpu(Instant::now(), cpu);
    }

    /// A configured instance, within this time.
    fn run_up(
        &self,
        within: Range<Instant>,
        seat: Option<&Arc<CoreClaim>>,
    ) -> Result<Instance, ConfigureError> {
        let (owner, meter) = (self.owner.clone(), Arc::clone(&self.meter));
        let guest = HostState::new(&self.engine, owner, meter, self.limits);
        let mut store = HostState::store(&self.engine, guest);
        deadline::start(&mut store, within, seat);
        let configured = self.loaded.instantiate(&mut store).and_then(|exports| {
            let lifecycle = exports.plugin.comux_plugin_lifecycle();
            let answer = lifecycle.call_configure(&mut store, &self.config)?;
            Ok((exports, answer))
        });
        deadline::leave(&mut store);
        let plugin_name = || Arc::clone(&self.owner.plugin);
        match configured {
            Ok((exports, Ok(()))) => Ok(Instance { store, exports }),
            Ok((_, Err(reason))) => {
                Err(ConfigureError::Refused { plugin: plugin_name(), reason: one_line(&reason) })
            }
            Err(error) => {
                let failure = trapped(&error, &mut store);
                Err(ConfigureError::Failed { plugin: plugin_name(), reason: failure.message })
            }
        }
    }
}

/// The clock goes on.
fn restore(running: &mut Instance, snapshot: &Snapshot) -> Result<Restored, String> {
    let Instance { store, exports } = running;
    let Some(state) = &exports.state else { return Err(NO_STATE.to_owned()) };
    let answer = state.call_restore(&mut *store, &snapshot.into());
    deadline::leave(store);
    let answer = answer.map_err(|error| trapped(&error, store).message)?;
    answer.map(Restored::from).map_err(|why| one_line(&why))
}
