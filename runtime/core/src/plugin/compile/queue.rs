//! Compiling components for one engine, in this process or in one of its own: where, and how many
//! at once. It keeps nothing of what it compiles, and chooses nobody: who may compile next, others
//! say.

use std::path::PathBuf;

use wasmtime::component::Component;

use super::cache::engine_key;
use super::pool::Pool;
use super::process;
use crate::plugin::sandbox::innermost;
use crate::plugin::supply::LoadProblem;
use crate::policy::{Digest, LoadLimits};
use crate::tenancy::Tenant;

/// Where plugins are compiled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// On threads of this process: nothing more is needed, and nothing bounds what a component
    /// takes of memory and time. For plugins of one's own.
    #[default]
    InProcess,
    /// In a process of its own for each, running this program: the `comux` binary of this very
    /// version. It has limits on memory and time, and ends with its time.
    Process(PathBuf),
}

impl Compiler {
    /// The program that runs, when that is the `comux` binary: also after its file was replaced.
    #[must_use]
    pub fn this_program() -> Self {
        if cfg!(target_os = "linux") {
            return Self::Process("/proc/self/exe".into());
        }
        std::env::current_exe().map_or(Self::InProcess, Self::Process)
    }
}

/// Compiles, in the one way or the other, for one engine.
pub(crate) struct CompileQueue {
    engine: wasmtime::Engine,
    /// What the code is for.
    engine_key: Digest,
    pub(crate) place: CompilePlace,
}

/// Where components are compiled, and the threads that see to it.
pub(crate) enum CompilePlace {
    InProcess(Pool),
    /// From the pool's threads, so that it has their low priority from its first moment. It ends
    /// with the thread that began it, and they stay.
    Process(PathBuf, Pool),
}

impl CompileQueue {
    /// `at_once` is how many are compiled at the same time.
    ///
    /// # Errors
    /// When the operating system gives no threads.
    pub fn open(
        engine: &wasmtime::Engine,
        compiler: Compiler,
        at_once: usize,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let place = match compiler {
            Compiler::InProcess => CompilePlace::InProcess(Pool::of_all_cores()?),
            Compiler::Process(program) => CompilePlace::Process(program, Pool::new(at_once)?),
        };
        Ok(Self { engine: engine.clone(), engine_key: engine_key(engine), place })
    }

    /// Compiles a component for a tenant, to which a process of its own is charged. Blocks until it
    /// is done, or until its time is over. In this process neither the one nor the other is known:
    /// its threads take up parts of several jobs.
    pub fn compile(
        &self,
        bytes: &[u8],
        limits: &LoadLimits,
        tenant: &Tenant,
    ) -> Result<Component, LoadProblem> {
        match &self.place {
            // Nothing but this runs in the pool: what a job waits for must not be locked by
            // another.
            CompilePlace::InProcess(pool) => pool.run(|| compile_here(&self.engine, bytes))?,
            CompilePlace::Process(program, pool) => {
                let key = self.engine_key;
                let charge = |cpu| tenant.charge_compile(cpu);
                let code = pool.run(|| process::compile(program, key, bytes, limits, charge))??;
                // SAFETY: `deserialize` needs what `precompile_component` gave out for this engine.
                // The process that gave this out runs our own program, says that its engine is the
                // same, and said that it succeeded; nobody else holds the file it wrote to.
                let component = unsafe { Component::deserialize(&self.engine, &code) };
                component.map_err(|error| LoadProblem::NoCompiler(innermost(&error)))
            }
        }
    }

    /// Whether what is compiled goes on when nobody waits for it any more.
    pub fn goes_on(&self) -> bool {
        matches!(self.place, CompilePlace::InProcess(_))
    }
}

/// Compiles a component on the calling thread, without a bound on time and memory.
pub(crate) fn compile_here(
    engine: &wasmtime::Engine,
    bytes: &[u8],
) -> Result<Component, LoadProblem> {
    Component::from_binary(engine, bytes)
        .map_err(|error| LoadProblem::NotAComponent(innermost(&error)))
}
