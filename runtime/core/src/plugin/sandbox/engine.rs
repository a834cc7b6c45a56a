//! The wasmtime engine, and what makes a compiled component a plugin: its imports are linked, its
//! exports checked, and it describes itself.
//!
//! It compiles nothing, and knows neither cameras nor which instances there are.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::Config;
use wasmtime::component::{Component, Linker};

use super::bindings::exports::comux::plugin::lifecycle::Descriptor;
use super::component::LoadedPlugin;
use super::exports::LinkedComponent;
use super::failure::Trapped;
use super::host_state::HostState;
use super::imports::{self, Owner};
use super::instance::{Charge, Entry, Instance};
use super::message::innermost;
use super::meter::Meter;
use super::ticker::Ticker;
use crate::plugin::supply::LoadProblem;
use crate::policy::{
    DESCRIBE_DEADLINE, Digest, Limits, MOST_HEADERS, STACK_BYTES, check_header, check_plugin,
};
use crate::tenancy::Tenant;

/// Links plugins, and runs them. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Arc<Linker<HostState>>,
    ticker: Arc<Ticker>,
}

/// wasmtime, as plugins are compiled for it and run on it.
pub(crate) fn wasmtime_engine() -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(&config())
}

fn config() -> Config {
    let mut config = Config::new();
    // Plugins are called synchronously; without this every call costs twice as much.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK_BYTES);
    // The same component gives the same results on every machine: x86-64 and arm64 differ in the
    // bits of NaNs that they make, and in what relaxed SIMD does.
    config.cranelift_nan_canonicalization(true);
    config.wasm_relaxed_simd(false);
    config
}

impl Engine {
    /// Starts an engine, and the thread that wakes calls to look at their deadline.
    ///
    /// # Errors
    /// When wasmtime can't run on this machine.
    pub fn new() -> wasmtime::Result<Self> {
        Self::on(wasmtime_engine()?)
    }

    /// Likewise, of an engine that counts the instructions that plugins execute, for which they
    /// take longer.
    ///
    /// # Errors
    /// When wasmtime can't run on this machine.
    pub fn counting() -> wasmtime::Result<Self> {
        Self::on(wasmtime::Engine::new(config().consume_fuel(true))?)
    }

    fn on(engine: wasmtime::Engine) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&engine);
        imports::link(&mut linker)?;
        let ticker = Ticker::start(engine.weak())?;
        Ok(Self { engine, linker: Arc::new(linker), ticker })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// What makes the ticks of calls.
    pub(crate) fn ticker(&self) -> &Arc<Ticker> {
        &self.ticker
    }

    /// Checks what a component with this digest exports, and asks it to describe itself, which
    /// takes this tenant's cores and is held to these limits. What it imports was checked before it
    /// was compiled; what is not in the linker it can't have.
    pub(crate) fn check(
        &self,
        component: &Component,
        digest: Digest,
        (tenant, limits): (&Arc<Tenant>, Limits),
    ) -> Result<LoadedPlugin, LoadProblem> {
        let pre = self.linker.instantiate_pre(component);
        let pre = pre.map_err(|error| LoadProblem::WrongShape(innermost(&error)))?;
        let component = LinkedComponent::new(pre)?;
        let described = self.describe(&component, (tenant, limits));
        let Descriptor { name, version, header_names: headers } =
            described.map_err(LoadProblem::NoDescription)?;
        check_plugin(&name, &version)?;
        check_headers(&headers)?;
        let identity = format!("{name}@{version}+sha256.{}", digest.short());
        Ok(LoadedPlugin { component, name, version, headers, digest, identity })
    }

    fn describe(
        &self,
        component: &LinkedComponent,
        (tenant, limits): (&Arc<Tenant>, Limits),
    ) -> Result<Descriptor, String> {
        // It has no name yet, and runs on no camera.
        let owner = Owner { tenant: "".into(), camera: "".into(), plugin: "".into() };
        let meter = Arc::new(Meter::new(Arc::clone(tenant), String::new(), &limits));
        let state = HostState::new(&self.ticker, owner, meter, limits);
        // Off the cameras' threads, but not beside those who wait for a core.
        let claim = tenant.claim();
        let _permit = claim.take();
        let now = Instant::now();
        let entry = Entry {
            within: now..now + DESCRIBE_DEADLINE,
            claim: Some(&claim),
            charge: Charge::Meter,
            output_bytes: None,
        };
        let started = Instance::start(component, state, entry, |exports, store| {
            exports.plugin.comux_plugin_lifecycle().call_describe(store)
        });
        started.answer.map(|(_, descriptor)| descriptor).map_err(|trapped: Trapped| {
            let (why, Limits { memory_mb, table_elements, .. }) = (trapped.cause(), limits);
            if trapped.was_memory_refused {
                format!("{why}; `memory_mb` is {memory_mb}, and `table_elements` {table_elements}")
            } else {
                why
            }
        })
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plugin::compile::compile_here;
    use crate::plugin::test_plugin::endless;
    use crate::sched::sched_idle;

    /// Of a core module with this function `f` of type `i64`.
    fn result_of(body: &str) -> wasmtime::Result<i64> {
        let text = format!("(module (func (export \"f\") (result i64) {body}))");
        let engine = wasmtime_engine()?;
        let module = wasmtime::Module::new(&engine, wat::parse_str(text).unwrap())?;
        let mut store = wasmtime::Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = wasmtime::Instance::new(&mut store, &module, &[])?;
        instance.get_typed_func::<(), i64>(&mut store, "f")?.call(&mut store, ())
    }

    #[test]
    fn what_processors_do_differently_is_defined_or_refused() {
        let canonical = 0x7ff8_0000_0000_0000;
        let nan = "(i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0)))";
        // x86-64 sets the sign.
        assert_eq!(result_of(nan).unwrap(), canonical);
        let of_payload = "(i64.reinterpret_f64 (f64.add (f64.const nan:0xc000000000001) \
                          (f64.const 1)))";
        assert_eq!(result_of(of_payload).unwrap(), canonical);
        let relaxed = "(i64x2.extract_lane 0 (f32x4.relaxed_madd (v128.const i64x2 0 0) \
                       (v128.const i64x2 0 0) (v128.const i64x2 0 0)))";
        let refused = result_of(relaxed).unwrap_err();
        assert!(format!("{refused:#}").contains("relaxed SIMD"), "{refused:#}");
    }

    /// Otherwise a tenant could hold up others for a second whenever it names a plugin.
    #[test]
    fn describing_leaves_the_cores_to_others_when_the_tenant_has_had_its_part_and_is_charged() {
        if !sched_idle::is_allowed() {
            return;
        }
        let (engine, tenant, bytes) = (Engine::new().unwrap(), Tenant::nobody(), endless());
        let component = compile_here(engine.wasmtime(), &bytes).unwrap();
        tenant.claim().charge_helpers(Duration::from_secs(3600));
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
