//! Making machine code of a component: in this process, or in one of its own.
//!
//! A component is written by somebody who is not trusted, and a compiler that is given one may use
//! gigabytes, recurse until its stack is gone, or take hours; and a thread that compiles can't be
//! ended. So a host compiles in a process of its own, `child`, which has limits of the operating
//! system and is killed when its time is over. What that process is given and gives back, and how
//! it says what went wrong, is known to `child` and `process` alone.
//!
//! It is not a sandbox against a compiler that can be made to run the component's bytes: such a
//! compiler could as well put them into the code that it gives out.

mod cache;
mod child;
mod inspect;
mod pool;
mod process;
mod queue;

pub use cache::CacheError;
pub(crate) use cache::CompiledCache;
pub use child::{ChildArguments, compile_plugin};
pub use inspect::Outline;
#[cfg(test)]
pub(crate) use queue::CompilePlace;
pub use queue::Compiler;
pub(crate) use queue::{CompileQueue, compile_here};
