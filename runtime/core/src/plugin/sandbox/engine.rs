//! The wasmtime engine, and plugins as they are loaded: compiled, checked and described.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Store};

use super::deadline::Ticker;
use super::exports::{ExportIndices, Exports};
use super::host_state::HostState;
use crate::plugin::compile::engine_key;
use crate::plugin::instance::shared::SharedInstances;
use crate::plugin::sandbox::bindings::Plugin;
use crate::plugin::sandbox::bindings::exports::comux::plugin::lifecycle::Descriptor;
use crate::plugin::sandbox::deadline;
use crate::plugin::sandbox::imports::link_shared;
use crate::plugin::supply::LoadProblem;
use crate::policy::Digest;
use crate::policy::{DESCRIBE_DEADLINE, Limits, STACK_BYTES};
use crate::policy::{MOST_HEADERS, check_header, check_plugin};
use crate::sched::cpu_time;
use crate::tenancy::Tenant;

/// Compiles and links plugins. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Arc<Linker<HostState>>,
    ticker: Arc<Ticker>,
    batches: Arc<SharedInstances>,
}

/// wasmtime, as plugins are compiled for it and run on it.
pub(crate) fn wasmtime_engine() -> wasmtime::Result<wasmtime::Engine> {
    let mut config = Config::new();
    // Plugins are called synchronously; without this every call costs twice as much.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK_BYTES);
    wasmtime::Engine::new(&config)
}

/// A plugin that can be instantiated: compiled, checked and described.
pub struct LoadedPlugin {
    pre: InstancePre<HostState>,
    exports: ExportIndices,
    /// The name it gives itself.
    pub name: String,
    /// The version it gives itself.
    pub version: String,
    /// The headers that it may write.
    pub headers: Vec<String>,
    /// What the component is known by.
    pub digest: Digest,
    /// `name@version+sha256.…`, as in the output header `comux-plugin`.
    pub identity: String,
}

impl Engine {
    /// Starts an engine, and the thread that wakes calls to look at their deadline.
    ///
    /// # Errors
    /// When wasmtime can't run on this machine.
    pub fn new() -> wasmtime::Result<Self> {
        let engine = wasmtime_engine()?;
        let mut linker = Linker::new(&engine);
        Plugin::add_to_linker::<_, wasmtime::component::HasSelf<HostState>>(
            &mut linker,
            |guest| guest,
        )?;
        link_shared(&mut linker)?;
        let ticker = Ticker::start(engine.weak())?;
        Ok(Self { engine, linker: Arc::new(linker), ticker, batches: Arc::default() })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// What makes the ticks of calls.
    pub(crate) fn ticker(&self) -> &Arc<Ticker> {
        &self.ticker
    }

    /// The instances that cameras share.
    pub(crate) fn batches(&self) -> &SharedInstances {
        &self.batches
    }

    /// What code is for that runs on this engine.
    pub(crate) fn key(&self) -> Digest {
        engine_key(&self.engine)
    }

    /// Compiles a component: the part that takes long.
    pub(crate) fn compile(&self, bytes: &[u8]) -> Result<Component, LoadProblem> {
        Component::from_binary(&self.engine, bytes)
            .map_err(|error| LoadProblem::NotAComponent(innermost(&error)))
    }

    /// Takes code that was compiled elsewhere.
    ///
    /// # Safety
    /// `code` must be what [`wasmtime::Engine::precompile_component`] gave out.
    pub(crate) unsafe fn deserialize(&self, code: &[u8]) -> Result<Component, LoadProblem> {
        // SAFETY: as the caller promises.
        let component = unsafe { Component::deserialize(&self.engine, code) };
        component.map_err(|error| LoadProblem::NoCompiler(innermost(&error)))
    }

    /// Checks what a component with this digest exports, and asks it to describe itself, which takes
    /// this tenant's cores and is held to these limits. What it imports was checked before it was
    /// compiled; what is not in the linker it can't have.
    pub(crate) fn check(
        &self,
        component: &Component,
        digest: Digest,
        (tenant, limits): (&Tenant, Limits),
    ) -> Result<LoadedPlugin, LoadProblem> {
        let wrong_shape = |error: wasmtime::Error| LoadProblem::WrongShape(innermost(&error));
        let pre = self.linker.instantiate_pre(component).map_err(wrong_shape)?;
        let exports = ExportIndices::of(&pre)?;
        let described = self.describe(&pre, &exports, (tenant, limits));
        let Descriptor { name, version, header_names: headers } =
            described.map_err(LoadProblem::NoDescription)?;
        check_plugin(&name, &version)?;
        check_headers(&headers)?;
        let identity = format!("{name}@{version}+sha256.{}", digest.short());
        Ok(LoadedPlugin { pre, exports, name, version, headers, digest, identity })
    }

    fn describe(
        &self,
        pre: &InstancePre<HostState>,
        exports: &ExportIndices,
        (tenant, limits): (&Tenant, Limits),
    ) -> Result<Descriptor, String> {
        let mut store = HostState::store(self, HostState::nobodys(self, limits));
        // Off the cameras' threads, but not beside those who wait for a core.
        let seat = tenant.seat();
        let _turn = seat.take();
        let begin = cpu_time::of_this_thread();
        let now = Instant::now();
        deadline::start(&mut store, now..now + DESCRIBE_DEADLINE, Some(&seat));
        let described = exports.instantiate(pre, &mut store).and_then(|instance| {
            instance.plugin.comux_plugin_lifecycle().call_describe(&mut store)
        });
        deadline::leave(&mut store);
        let used = cpu_time::of_this_thread().saturating_sub(begin);
        tenant.charge_cpu(Instant::now(), Duration::from_nanos(used));
        described.map_err(|error| {
            let Limits { memory_mb, table_elements, .. } = limits;
            let why = innermost(&error);
            if store.data_mut().memory.was_hit() {
                format!("{why}; `memory_mb` is {memory_mb}, and `table_elements` {table_elements}")
            } else {
                why
            }
        })
    }
}

impl LoadedPlugin {
    /// Whether what it remembers can be saved and restored.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.exports.has_state()
    }

    /// Whether one instance of it looks at frames of several cameras.
    #[must_use]
    pub fn has_batches(&self) -> bool {
        self.exports.has_batches()
    }

    /// A new instance in `store`.
    pub(crate) fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Exports> {
        self.exports.instantiate(&self.pre, store)
    }
}

fn check_headers(headers: &[String]) -> Result<(), LoadProblem> {
    let refused = headers.iter().find_map(|name| Some((name, check_header(name).err()?)));
    let too_many = headers.get(MOST_HEADERS).map(|name| (name, "a plugin declares at most 256"));
    if let Some((name, reason)) = refused.or(too_many) {
        // It may be of any length, and is repeated in answers.
        let header = name.chars().take(64).flat_map(char::escape_debug).collect();
        return Err(LoadProblem::Header { header, reason });
    }
    Ok(())
}

/// The cause at the bottom of an error: the one that says what is wrong.
pub(crate) fn innermost(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::plugin::test_plugin::endless;
    use crate::sched::sched_idle;

    /// Otherwise a tenant could hold up others for a second whenever it names a plugin.
    #[test]
    fn describing_stands_behind_others_when_the_tenant_has_had_its_part_and_is_charged() {
        if !sched_idle::is_allowed() {
            return;
        }
        let (engine, tenant, bytes) = (Engine::new().unwrap(), Tenant::nobody(), endless());
        let component = engine.compile(&bytes).unwrap();
        tenant.seat().charge_helpers(Duration::from_secs(3600));
        let (tell, told) = std::sync::mpsc::channel();
        let describing = std::thread::spawn({
            let tenant = Arc::clone(&tenant);
            move || {
                tell.send(nix::unistd::gettid()).unwrap();
                engine
                    .check(&component, Digest::of(&bytes), (&tenant, Limits::default()))
                    .err()
                    .unwrap()
            }
        });
        let thread = told.recv().unwrap();
        let mut was_behind = false;
        while !describing.is_finished() {
            was_behind |= sched_idle::is_demoted(thread);
            std::thread::sleep(Duration::from_millis(1));
        }
        let problem = describing.join().unwrap();
        assert!(matches!(problem, LoadProblem::NoDescription(_)), "{problem}");
        assert!(was_behind && tenant.usage().cpu_us > 0, "{was_behind}: {:?}", tenant.usage());
    }
}
