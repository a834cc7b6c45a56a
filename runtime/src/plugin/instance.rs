//! One plugin on one camera: an instance that is replaced when it traps.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Resource;
use wasmtime::{Store, Trap};

use super::engine::{Engine, LoadedPlugin, TICK, innermost};
use super::frames::FrameHandle;
use super::guest::{Guest, Owner};
use super::limits::{Limits, RESULT_BYTES};
use super::wit::Plugin;
use super::wit::comux::plugin::types::PluginError;
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
}

/// A configured plugin of one camera.
pub struct Instance {
    engine: Engine,
    loaded: Arc<LoadedPlugin>,
    owner: Owner,
    config: String,
    limits: Limits,
    /// Absent between a trap and the next frame, when the replacement could not be configured.
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
        let mut instance =
            Self { engine: engine.clone(), loaded, owner, config, limits, running: None };
        instance.running = Some(instance.run_up()?);
        Ok(instance)
    }

    /// `name@version+sha256.…`.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.loaded.identity
    }

    /// Calls the plugin with a frame; `headers` are the input record's and earlier plugins'.
    ///
    /// # Errors
    /// When the plugin fails. A trapped instance has then been replaced already.
    pub fn on_frame(
        &mut self,
        picture: &Arc<Picture>,
        headers: Vec<ResultHeader>,
    ) -> Result<Vec<ResultHeader>, CallFailure> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.run_up().map_err(|error| CallFailure {
                reason: FailReason::PluginTrap,
                message: error.to_string(),
                restarted: false,
            })?,
        };
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
            Err(error) => {
                let memory_hit = running.store.data().memory.hit;
                let failure = trapped(&error, memory_hit);
                drop(running);
                self.running = self.run_up().ok();
                Err(failure)
            }
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

    fn run_up(&self) -> Result<Running, ConfigureError> {
        let guest = Guest::new(self.owner.clone(), self.limits);
        let mut store = Store::new(self.engine.wasmtime(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(RESULT_BYTES);
        set_deadline(&mut store, self.limits);
        let configured = self.loaded.pre.instantiate(&mut store).and_then(|plugin| {
            let answer =
                plugin.comux_plugin_lifecycle().call_configure(&mut store, &self.config)?;
            Ok((plugin, answer))
        });
        let plugin_name = || Arc::clone(&self.owner.plugin);
        match configured {
            Ok((plugin, Ok(()))) => Ok(Running { store, plugin }),
            Ok((_, Err(reason))) => Err(ConfigureError::Refused { plugin: plugin_name(), reason }),
            Err(error) => {
                let failure = trapped(&error, store.data().memory.hit);
                Err(ConfigureError::Failed { plugin: plugin_name(), reason: failure.message })
            }
        }
    }
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
