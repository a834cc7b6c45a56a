//! Making machine code of a component: in this process, or in one of its own.
//!
//! A component is written by somebody who is not trusted, and a compiler that is given one may use
//! gigabytes, recurse until its stack is gone, or take hours; and a thread that compiles can't be
//! ended. So a host compiles in a process of its own, [`child`], which has limits of the operating
//! system and is killed when its time is over. What that process is given and gives back, and how it
//! says what went wrong, is known to [`child`] and [`process`] alone.
//!
//! It is not a sandbox against a compiler that can be made to run the component's bytes: such a
//! compiler could as well put them into the code that it gives out.

mod cache;
pub(crate) mod child;
mod inspect;
mod pool;
mod process;

pub use cache::CacheError;
pub(crate) use cache::{CompiledCache, engine_key};
pub use child::{ChildArguments, compile_plugin};
pub(crate) use inspect::{Outline, PACKAGE, VERSION, is_of_this_track};
pub use pool::JobPanicked;

use std::path::PathBuf;

use wasmtime::component::Component;

use crate::plugin::sandbox::Engine;
use crate::plugin::supply::LoadProblem;
use crate::policy::LoadLimits;
use pool::Pool;

/// Where plugins are compiled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// On threads of this process: nothing more is needed, and nothing bounds what a component takes
    /// of memory and time. For plugins of one's own.
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

/// Compiles, in the one way or the other.
pub(crate) enum CompileQueue {
    InProcess(Pool),
    /// From the pool's threads, so that it has their low priority from its first moment. It ends with
    /// the thread that began it, and they stay.
    Process(PathBuf, Pool),
}

impl CompileQueue {
    /// `at_once` is how many are compiled at the same time.
    ///
    /// # Errors
    /// When the operating system gives no threads.
    pub fn open(compiler: Compiler, at_once: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        Ok(match compiler {
            Compiler::InProcess => Self::InProcess(Pool::of_all_cores()?),
            Compiler::Process(program) => Self::Process(program, Pool::new(at_once)?),
        })
    }

    /// Compiles a component. Blocks until it is done, or until its time is over; in this process
    /// that is not known.
    pub fn compile(
        &self,
        engine: &Engine,
        bytes: &[u8],
        limits: &LoadLimits,
    ) -> Result<Component, LoadProblem> {
        match self {
            // Nothing but this runs in the pool: what a job waits for must not be locked by another.
            Self::InProcess(pool) => pool.run(|| engine.compile(bytes))?,
            Self::Process(program, pool) => {
                let code =
                    pool.run(|| process::compile(program, engine.key(), bytes, limits))??;
                // SAFETY: `deserialize` needs what `precompile_component` gave out for this engine.
                // The process that gave this out runs our own program, says that its engine is the
                // same, and said that it succeeded; nobody else holds the file it wrote to.
                unsafe { engine.deserialize(&code) }
            }
        }
    }

    /// Whether what is compiled goes on when nobody waits for it any more.
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::InProcess(_))
    }
}
