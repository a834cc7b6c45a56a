//! One plugin on one camera: an instance that is replaced when it traps.
//!
//! What a plugin remembers in the guise of a [`Snapshot`] outlives the instance: it is restored
//! after a trap, and handed to the successor in a swap.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::Resource;

use super::breaker::{Breaker, BreakerSettings, BreakerState};
use super::clock::{self, CallEnd};
use super::engine::{Engine, LoadedPlugin};
use super::failure::{CallFailure, ConfigureError, NoResult, Weight, failed, told, trapped};
use super::frames::FrameHandle;
use super::guest::{Guest, Owner};
use super::limits::Limits;
use super::log::one_line;
use super::meter::Meter;
use super::snapshot::{Restored, Snapshot};
use super::wit::Plugin;
use super::wit::comux::plugin::types::{Header, PluginError};
use super::wit::exports::comux::plugin::state;
use crate::outcome::{FailReason, ResultHeader};
use crate::picture::Picture;
use crate::tenant::{Room, Seat, Tenant, cpu};

/// What an instance may do, and when it is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// How much it may use.
    pub limits: Limits,
    /// When it is left out because it fails.
    pub breaker: BreakerSettings,
}

struct Running {
    store: Store<Guest>,
    plugin: Plugin,
    state: Option<state::Guest>,
}

/// What came of a call.
struct Called {
    result: Result<Vec<ResultHeader>, (CallFailure, Weight)>,
    end: CallEnd,
    /// Bytes of pixels.
    bytes_read: u64,
}

/// A configured plugin of one camera.
pub struct Instance {
    engine: Engine,
    loaded: Arc<LoadedPlugin>,
    owner: Owner,
    config: String,
    limits: Limits,
    breaker: Breaker,
    meter: Arc<Meter>,
    /// What it remembered last: it begins with that after a trap.
    snapshot: Option<Snapshot>,
    /// Absent behind a trap, when there is no other instance yet.
    running: Option<Running>,
    _room: Room,
}

impl Instance {
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
        let room = tenant.take_room(limits.memory_mb)?;
        let plugin: Arc<str> = format!("{}@{}", loaded.name, loaded.version).into();
        let owner = Owner { tenant: Arc::clone(&tenant.id), camera: camera.into(), plugin };
        let mut instance = Self {
            engine: engine.clone(),
            meter: Arc::new(Meter::new(tenant, loaded.identity.clone(), &limits)),
            loaded,
            owner,
            config,
            limits,
            breaker: Breaker::new(breaker),
            snapshot: None,
            running: None,
            _room: room,
        };
        let begin = cpu::of_this_thread();
        // Off the camera's thread, but not beside those who wait for a core.
        let seat = instance.meter.tenant.seat();
        let turn = seat.take();
        let running = instance.run_up(instance.time_from(Instant::now()), Some(&seat));
        drop(turn);
        instance.charge_since(begin);
        instance.running = Some(running?);
        Ok(instance)
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
        self.loaded.state.is_some()
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
        picture: &Arc<Picture>,
        headers: Vec<ResultHeader>,
        seat: &Arc<Seat>,
    ) -> Result<Vec<ResultHeader>, NoResult> {
        let begin = Instant::now();
        if !self.breaker.admits(begin) {
            self.has_missed_pictures();
            return Err(NoResult::Quarantined);
        }
        let Called { result, end, bytes_read } = self.call(picture, headers, seat, begin);
        let now = end.at;
        let result = match result {
            Ok(headers) => {
                self.breaker.succeeded(now);
                let bytes = headers.iter().map(|header| header.name.len() + header.value.len());
                self.meter.charge_headers(now, bytes.sum::<usize>() as u64);
                Ok(headers)
            }
            Err((failure, weight)) => Err(NoResult::Failed(self.fail(now, failure, weight, seat))),
        };
        self.meter.set_breaker(self.breaker.state());
        let memory = self.running.as_ref().map(|running| running.store.data().memory.bytes());
        self.meter.charge_call(now, end.used, bytes_read, memory.unwrap_or_default());
        result
    }

    /// One call, now or as soon as there is an instance again.
    fn call(
        &mut self,
        picture: &Arc<Picture>,
        headers: Vec<ResultHeader>,
        seat: &Arc<Seat>,
        now: Instant,
    ) -> Called {
        let (mut running, begin) = if let Some(running) = self.running.take() {
            (running, now)
        } else {
            let replacement = self.replace(Some(seat));
            let at = Instant::now();
            match replacement {
                Ok(running) => (running, at),
                Err(message) => {
                    let failure = failed(FailReason::PluginTrap, message);
                    let (result, end) = (Err((failure, Weight::Some)), CallEnd::immediate(at));
                    return Called { result, end, bytes_read: 0 };
                }
            }
        };
        running.store.data_mut().enter(Arc::clone(picture), headers);
        clock::start(&mut running.store, self.time_from(begin), Some(seat));
        let frame = Resource::<FrameHandle>::new_borrow(0);
        let hook = running.plugin.comux_plugin_frame_hook();
        let answer = hook.call_on_frame(&mut running.store, frame);
        let end = clock::leave(&mut running.store);
        let bytes_read = running.store.data_mut().leave();
        let result = match answer {
            Ok(result) => {
                self.running = Some(running);
                self.accept(result)
            }
            Err(error) => Err((trapped(&error, &mut running.store), Weight::Some)),
        };
        Called { result, end, bytes_read }
    }

    /// A call failed: counts that, and puts another instance in the place of a lost one.
    fn fail(
        &mut self,
        now: Instant,
        mut failure: CallFailure,
        weight: Weight,
        seat: &Arc<Seat>,
    ) -> CallFailure {
        self.meter.count_failure(failure.reason);
        match weight {
            // The plugin works; it is the frame that does not.
            Weight::None => self.breaker.succeeded(now),
            Weight::Some => failure.quarantine = self.breaker.failed(now, false),
            Weight::Fatal => failure.quarantine = self.breaker.failed(now, true),
        }
        if self.running.is_none() && self.breaker.state() != BreakerState::Open {
            // What keeps it from starting is said with the next frame.
            self.running = self.replace(Some(seat)).ok();
        }
        failure
    }

    /// What the plugin remembers.
    ///
    /// # Errors
    /// Its own words, or how it failed; a trapped instance is replaced.
    pub fn save(&mut self) -> Result<Snapshot, String> {
        if self.breaker.state() == BreakerState::Open {
            return Err("it is left out".to_owned());
        }
        let mut running = self.take_running()?;
        let Some(state) = &running.state else { return Err("it keeps no state".to_owned()) };
        let begin = cpu::of_this_thread();
        running.store.set_hostcall_fuel(self.limits.snapshot_bytes());
        clock::start(&mut running.store, self.time_from(Instant::now()), None);
        let saved = state.call_save(&mut running.store);
        clock::leave(&mut running.store);
        running.store.set_hostcall_fuel(self.limits.output_bytes());
        let result = match saved {
            Ok(answer) => {
                self.running = Some(running);
                answer.map(Snapshot::from).map_err(|why| one_line(&why))
            }
            Err(error) => {
                let failure = trapped(&error, &mut running.store);
                self.meter.count_failure(failure.reason);
                self.breaker.failed(Instant::now(), false);
                self.meter.set_breaker(self.breaker.state());
                Err(failure.message)
            }
        };
        self.charge_since(begin);
        let snapshot = result?;
        self.snapshot = Some(snapshot.clone());
        Ok(snapshot)
    }

    /// Gives the plugin what it, or its predecessor, remembered.
    ///
    /// # Errors
    /// Its own words, or how it failed; a trapped instance is replaced.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<Restored, String> {
        let mut running = self.take_running()?;
        let begin = cpu::of_this_thread();
        clock::start(&mut running.store, self.time_from(Instant::now()), None);
        let restored = restore(&mut running, snapshot);
        self.charge_since(begin);
        let restored = restored?;
        self.running = Some(running);
        self.snapshot = Some(snapshot.clone());
        Ok(restored)
    }

    /// Goes on where `old` stands: the picture before the next one is the one that it saw.
    pub fn follow(&mut self, old: &Self) {
        if let (Some(new), Some(old)) = (&mut self.running, &old.running) {
            new.store.data_mut().follow(old.store.data());
        }
    }

    /// Pictures went by that the plugin did not see.
    pub fn has_missed_pictures(&mut self) {
        if let Some(running) = &mut self.running {
            running.store.data_mut().miss_pictures();
        }
    }

    fn charge_since(&self, begin: u64) {
        let cpu = Duration::from_nanos(cpu::of_this_thread().saturating_sub(begin));
        self.meter.charge_cpu(Instant::now(), cpu);
    }

    fn accept(
        &self,
        result: Result<Vec<Header>, PluginError>,
    ) -> Result<Vec<ResultHeader>, (CallFailure, Weight)> {
        let headers = result.map_err(told)?;
        let (most, most_kb) = (self.limits.headers, self.limits.header_kb);
        let bytes = headers.iter().map(|header| header.name.len() + header.value.len());
        let bytes = bytes.sum::<usize>();
        if headers.len() > most as usize || bytes > most_kb as usize * 1024 {
            let count = headers.len();
            let message = format!(
                "returned {count} headers of {bytes} bytes, and may return {most} of {most_kb} KiB"
            );
            return Err((failed(FailReason::Output, message), Weight::Some));
        }
        let undeclared = headers.iter().find(|header| !self.loaded.headers.contains(&header.name));
        if let Some(header) = undeclared {
            let message = format!("returned the header `{}` undeclared", one_line(&header.name));
            return Err((failed(FailReason::PluginError, message), Weight::Some));
        }
        let own = |header: Header| ResultHeader { name: header.name, value: header.value };
        Ok(headers.into_iter().map(own).collect())
    }

    /// The instance that runs, or another one in its place.
    fn take_running(&mut self) -> Result<Running, String> {
        self.running.take().map_or_else(|| self.replace(None), Ok)
    }

    /// Another instance, with the state that was kept. All that takes no longer than a call may.
    fn replace(&mut self, seat: Option<&Arc<Seat>>) -> Result<Running, String> {
        let begin = cpu::of_this_thread();
        let replacement = self.begin_again(seat);
        self.charge_since(begin);
        replacement
    }

    fn begin_again(&mut self, seat: Option<&Arc<Seat>>) -> Result<Running, String> {
        let within = self.time_from(Instant::now());
        let mut running = self.run_up(within.clone(), seat).map_err(|error| error.to_string())?;
        if let Some(snapshot) = self.snapshot.take() {
            match restore(&mut running, &snapshot) {
                Ok(_) => self.snapshot = Some(snapshot),
                // It would fail with the same state again.
                Err(why) => {
                    let (tenant, camera, plugin) =
                        (&*self.owner.tenant, &*self.owner.camera, &*self.owner.plugin);
                    tracing::warn!(tenant, camera, plugin, "begins afresh after a trap: {why}");
                    running = self.run_up(within, seat).map_err(|error| error.to_string())?;
                }
            }
        }
        // It did not see the frame on which the other one failed.
        running.store.data_mut().miss_pictures();
        Ok(running)
    }

    /// The time that a call has which begins then.
    fn time_from(&self, begin: Instant) -> Range<Instant> {
        begin..begin + self.limits.deadline()
    }

    /// A configured instance, within this time.
    fn run_up(
        &self,
        within: Range<Instant>,
        seat: Option<&Arc<Seat>>,
    ) -> Result<Running, ConfigureError> {
        let (owner, meter) = (self.owner.clone(), Arc::clone(&self.meter));
        let guest = Guest::new(&self.engine, owner, meter, self.limits);
        let mut store = Guest::store(&self.engine, guest);
        clock::start(&mut store, within, seat);
        let configured = self.loaded.instantiate(&mut store).and_then(|(plugin, state)| {
            let answer =
                plugin.comux_plugin_lifecycle().call_configure(&mut store, &self.config)?;
            Ok((plugin, state, answer))
        });
        clock::leave(&mut store);
        let plugin_name = || Arc::clone(&self.owner.plugin);
        match configured {
            Ok((plugin, state, Ok(()))) => Ok(Running { store, plugin, state }),
            Ok((_, _, Err(reason))) => {
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
fn restore(running: &mut Running, snapshot: &Snapshot) -> Result<Restored, String> {
    let Some(state) = &running.state else { return Err("it keeps no state".to_owned()) };
    let answer = state.call_restore(&mut running.store, &snapshot.into());
    clock::leave(&mut running.store);
    let answer = answer.map_err(|error| trapped(&error, &mut running.store).message)?;
    answer.map(Restored::from).map_err(|why| one_line(&why))
}
