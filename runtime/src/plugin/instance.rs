//! One plugin on one camera: an instance that is replaced when it traps.
//!
//! What a plugin remembers in the guise of a [`Snapshot`] outlives the instance: it is restored
//! after a trap, and handed to the successor in a swap.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Resource;
use wasmtime::{Store, Trap};

use super::engine::{Engine, LoadedPlugin, TICK, innermost};
use super::frames::FrameHandle;
use super::guest::{Guest, Owner};
use super::limits::{Limits, RESULT_BYTES};
use super::metrics::MetricsBook;
use super::snapshot::{Restored, Snapshot};
use super::wit::Plugin;
use super::wit::comux::plugin::types::PluginError;
use super::wit::exports::comux::plugin::state;
use crate::outcome::{FailReason, ResultHeader};
use crate::picture::Picture;

/// The plugin would not take its configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// It says what is wrong.
    #[error("plugin {plugin} refuses its configuration: {reason}")]
    Refused {
        /// The plugin as `name@version`.
        plugin: Arc<str>,
        /// Its own words.
        reason: String,
    },
    /// It failed while it was configured.
    #[error("plugin {plugin} failed in `configure`: {reason}")]
    Failed {
        /// The plugin as `name@version`.
        plugin: Arc<str>,
        /// How.
        reason: String,
    },
}

/// A call gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailure {
    /// What goes into `comux-reason`.
    pub reason: FailReason,
    /// For the log.
    pub message: String,
    /// The instance was lost and replaced.
    pub restarted: bool,
}

struct Running {
    store: Store<Guest>,
    plugin: Plugin,
    state: Option<state::Guest>,
}

/// A configured plugin of one camera.
pub struct Instance {
    engine: Engine,
    loaded: Arc<LoadedPlugin>,
    owner: Owner,
    config: String,
    limits: Limits,
    /// Its own numbers, which go on in the next instance after a trap.
    metrics: Arc<MetricsBook>,
    /// What it remembered last: it begins with that after a trap.
    snapshot: Option<Snapshot>,
    /// Absent between a trap and the next frame.
    running: Option<Running>,
}

impl Instance {
    /// Instantiates and configures `loaded` with the JSON object `config`.
    ///
    /// # Errors
    /// When the plugin refuses the configuration or fails while it is configured.
    pub fn start(
        engine: &Engine,
        loaded: Arc<LoadedPlugin>,
        (tenant, camera): (Arc<str>, Arc<str>),
        config: String,
        limits: Limits,
    ) -> Result<Self, ConfigureError> {
        let plugin: Arc<str> = format!("{}@{}", loaded.name, loaded.version).into();
        let owner = Owner { tenant, camera, plugin };
        let engine = engine.clone();
        let metrics = Arc::default();
        let mut instance =
            Self { engine, loaded, owner, config, limits, metrics, snapshot: None, running: None };
        instance.running = Some(instance.run_up()?);
        Ok(instance)
    }

    /// The plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// `name@version+sha256.…`.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.loaded.identity
    }

    /// The plugin's own numbers, to be read by anyone at any time.
    #[must_use]
    pub fn metrics(&self) -> &Arc<MetricsBook> {
        &self.metrics
    }

    /// Whether the plugin has state that can be saved and restored.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.loaded.state.is_some()
    }

    /// Calls the plugin with a frame; `headers` are the input record's and earlier plugins'.
    ///
    /// # Errors
    /// When the plugin fails. A trapped instance is replaced at the next frame.
    pub fn on_frame(
        &mut self,
        picture: &Arc<Picture>,
        headers: Vec<ResultHeader>,
    ) -> Result<Vec<ResultHeader>, CallFailure> {
        let mut running = self.take_running().map_err(|message| CallFailure {
            reason: FailReason::PluginTrap,
            message,
            restarted: false,
        })?;
        running.store.data_mut().enter(Arc::clone(picture), headers);
        set_deadline(&mut running.store, self.limits);
        let frame = Resource::<FrameHandle>::new_borrow(0);
        let hook = running.plugin.comux_plugin_frame_hook();
        let answer = hook.call_on_frame(&mut running.store, frame);
        running.store.data_mut().leave();
        match answer {
            Ok(result) => {
                self.running = Some(running);
                self.accept(result)
            }
            Err(error) => Err(trapped(&error, running.store.data().memory.hit)),
        }
    }

    /// What the plugin remembers.
    ///
    /// # Errors
    /// Its own words, or how it failed; a trapped instance is replaced at the next frame.
    pub fn save(&mut self) -> Result<Snapshot, String> {
        let mut running = self.take_running()?;
        let Some(state) = &running.state else { return Err("it keeps no state".to_owned()) };
        set_deadline(&mut running.store, self.limits);
        let saved = state.call_save(&mut running.store);
        let snapshot = match saved {
            Ok(answer) => {
                self.running = Some(running);
                Snapshot::from(answer?)
            }
            Err(error) => return Err(trapped(&error, running.store.data().memory.hit).message),
        };
        self.snapshot = Some(snapshot.clone());
        Ok(snapshot)
    }

    /// Gives the plugin what it, or its predecessor, remembered.
    ///
    /// # Errors
    /// Its own words, or how it failed; a trapped instance is replaced at the next frame.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<Restored, String> {
        let mut running = self.take_running()?;
        let restored = restore(&mut running, self.limits, snapshot)?;
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

    fn accept(
        &self,
        result: Result<Vec<super::wit::comux::plugin::types::Header>, PluginError>,
    ) -> Result<Vec<ResultHeader>, CallFailure> {
        let refuse =
            |message| CallFailure { reason: FailReason::PluginError, message, restarted: false };
        let headers = result.map_err(|error| {
            refuse(match error {
                PluginError::InvalidInput(why) => format!("invalid input: {why}"),
                PluginError::Transient(why) => format!("transient: {why}"),
                PluginError::Fatal(why) => format!("fatal: {why}"),
            })
        })?;
        let undeclared = headers.iter().find(|header| !self.loaded.headers.contains(&header.name));
        if let Some(header) = undeclared {
            return Err(refuse(format!("returned the header `{}` undeclared", header.name)));
        }
        let own = |header: super::wit::comux::plugin::types::Header| ResultHeader {
            name: header.name,
            value: header.value,
        };
        Ok(headers.into_iter().map(own).collect())
    }

    /// The instance that runs; after a trap, another one with the state that was kept.
    fn take_running(&mut self) -> Result<Running, String> {
        if let Some(running) = self.running.take() {
            return Ok(running);
        }
        let mut running = self.run_up().map_err(|error| error.to_string())?;
        if let Some(snapshot) = &self.snapshot
            && let Err(why) = restore(&mut running, self.limits, snapshot)
        {
            let (tenant, camera, plugin) =
                (&*self.owner.tenant, &*self.owner.camera, &*self.owner.plugin);
            tracing::warn!(tenant, camera, plugin, "begins afresh after a trap: {why}");
            running = self.run_up().map_err(|error| error.to_string())?;
        }
        Ok(running)
    }

    fn run_up(&self) -> Result<Running, ConfigureError> {
        let guest = Guest::new(self.owner.clone(), self.limits, Arc::clone(&self.metrics));
        let mut store = Store::new(self.engine.wasmtime(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(RESULT_BYTES);
        set_deadline(&mut store, self.limits);
        let configured = self.loaded.instantiate(&mut store).and_then(|(plugin, state)| {
            let answer =
                plugin.comux_plugin_lifecycle().call_configure(&mut store, &self.config)?;
            Ok((plugin, state, answer))
        });
        let plugin_name = || Arc::clone(&self.owner.plugin);
        match configured {
            Ok((plugin, state, Ok(()))) => Ok(Running { store, plugin, state }),
            Ok((_, _, Err(reason))) => {
                Err(ConfigureError::Refused { plugin: plugin_name(), reason })
            }
            Err(error) => {
                let failure = trapped(&error, store.data().memory.hit);
                Err(ConfigureError::Failed { plugin: plugin_name(), reason: failure.message })
            }
        }
    }
}

fn restore(running: &mut Running, limits: Limits, snapshot: &Snapshot) -> Result<Restored, String> {
    let Some(state) = &running.state else { return Err("it keeps no state".to_owned()) };
    set_deadline(&mut running.store, limits);
    let answer = state.call_restore(&mut running.store, &snapshot.into());
    let answer =
        answer.map_err(|error| trapped(&error, running.store.data().memory.hit).message)?;
    answer.map(Restored::from)
}

/// Every entry into a plugin needs a deadline of its own: without one it would trap at once.
fn set_deadline(store: &mut Store<Guest>, limits: Limits) {
    let deadline = Duration::from_millis(u64::from(limits.deadline_ms.get()));
    let ticks = deadline.as_micros() / TICK.as_micros();
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
}

fn trapped(error: &wasmtime::Error, memory_hit: bool) -> CallFailure {
    let (reason, message) = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => (FailReason::Deadline, "ran past its deadline".to_owned()),
        _ if memory_hit => (FailReason::Memory, "wanted more memory than it may have".to_owned()),
        _ => (FailReason::PluginTrap, innermost(error)),
    };
    CallFailure { reason, message, restarted: true }
}
