//! Why a plugin can't be had, in words for the person who named it.

use std::io;
use std::time::Duration;

use super::resolver::FetchError;
use crate::policy::{Grant, INTERFACE_VERSION, NoPluginRef, PluginRef, Step};

/// A plugin can't be loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}`: {problem}")]
pub struct LoadError {
    /// The plugin, as it was named.
    pub plugin: PluginRef,
    /// What is wrong with it.
    pub problem: LoadProblem,
}

impl LoadError {
    /// The step that failed.
    #[must_use]
    pub fn step(&self) -> Step {
        self.problem.step()
    }
}

/// A job of loading a plugin ended by a panic: a bug in comux.
#[derive(Debug, thiserror::Error)]
#[error("it failed by a bug in comux; see the log, and report it")]
pub struct JobFailed;

/// A job of the compiler ended by a panic: a bug in the compiler, which must cost no more than that
/// one plugin.
#[derive(Debug, thiserror::Error)]
#[error("the compiler failed by a bug of its own: {0}")]
pub struct JobPanicked(pub(crate) String);

/// What is wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadProblem {
    /// It can't be found, or not be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It can't be kept for a rollback or a restart.
    #[error("a copy of it can't be kept in `state_dir`: {0}; make room there")]
    NotKept(io::Error),
    /// Nobody signed it whom its tenant's plugins need.
    #[error(
        "it {what}, and plugins of tenant `{tenant}` need a signature by one of `trusted_keys` \
         ([security] in comux.toml); `comux plugin sign` makes one"
    )]
    NotTrusted {
        /// Whose plugin it is to be.
        tenant: String,
        /// What is wrong with its signatures.
        what: String,
    },
    /// The file is something else.
    #[error("it is not a WebAssembly component: {0}; build it with `comux plugin build`")]
    NotAComponent(String),
    /// It declares more than a plugin needs.
    #[error("it has {found} {what}, and a plugin may have {most}; make it smaller, or split it")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How many, or so far.
        found: u64,
        /// What is allowed.
        most: u64,
    },
    /// The compiler has a bug.
    #[error("{0}; build the plugin in another way, and report it")]
    CompilerPanicked(#[from] JobPanicked),
    /// The compiler has a bug, in a process of its own.
    #[error("{0}; build the plugin in another way, and report it")]
    CompilerFailed(String),
    /// The compiler was ended by a signal.
    #[error(
        "compiling it crashed ({how}, signal {signal}), which harmed nothing else; build the plugin in \
         another way, with smaller functions"
    )]
    CompilerCrashed {
        /// The signal's number.
        signal: i32,
        /// What is known of it.
        how: &'static str,
    },
    /// The compiler needs more memory than it gets.
    #[error(
        "compiling it takes more than the {} MiB of memory that a plugin may take; make it smaller",
        .0 / (1 << 20)
    )]
    CompilerMemory(u64),
    /// Its code is larger than any plugin's should be.
    #[error("its compiled code has more than {0} bytes, and a plugin's may not; make it smaller")]
    TooMuchCode(u64),
    /// The process that compiles can't be started, or does not do what it should.
    #[error("the process that compiles plugins does not work ({0}); see the log, and report it")]
    NoCompiler(String),
    /// The compiler needs more processor time than it gets.
    #[error(
        "compiling it takes more than the {} s of processor time that a plugin may take; make it \
         smaller",
        .0.as_secs()
    )]
    CompilerTime(Duration),
    /// It takes too long.
    #[error(
        "it was not compiled within {} s, and compiling was ended; make it smaller, or try again when \
         the machine is less busy",
        .0.as_secs()
    )]
    Late(Duration),
    /// It takes too long, and can't be ended.
    #[error(
        "it was not compiled within {} s; try again: compiling goes on in the background",
        .0.as_secs()
    )]
    StillCompiling(Duration),
    /// Others are loaded or compiled first.
    #[error("its turn did not come within {} s, so many plugins are loaded; try again", .0.as_secs())]
    Busy(Duration),
    /// It waits for a core to describe itself on.
    #[error(
        "it had no core to describe itself on within {} s: its tenant has used more than its part of the \
         cores, or so many plugins are loaded; try again",
        .0.as_secs()
    )]
    NotDescribed(Duration),
    /// comux has a bug.
    #[error("{0}")]
    Failed(#[from] JobFailed),
    /// It exports two interfaces that go against each other.
    #[error(
        "it exports `batch-hook` and `state`: an instance that several cameras share has no state of \
         one camera to hand over; leave out one of them"
    )]
    SharedState,
    /// It wants something that this host does not give.
    #[error(
        "it imports `{0}`, which comux does not give to plugins; \
         build it for wasm32-unknown-unknown, without WASI: `comux plugin build` does that"
    )]
    ForeignImport(String),
    /// It wants something that its tenant's plugins do not get.
    #[error(
        "it imports `{import}`, which plugins of tenant `{tenant}` are not granted; build it without, \
         or have the operator add \"{grant}\" to `grants` ([security] in comux.toml)"
    )]
    NotGranted {
        /// The import.
        import: String,
        /// Whose plugin it is to be.
        tenant: String,
        /// What would have to be granted.
        grant: Grant,
    },
    /// It was made for another version of the interface.
    #[error(
        "it wants `{0}`, and this host has comux:plugin {INTERFACE_VERSION}; \
         build the plugin with an SDK of that version"
    )]
    OtherVersion(String),
    /// It does not export what a plugin must.
    #[error(
        "it does not fit the world `comux:plugin/plugin`: {0}; `comux plugin new` makes one that \
         fits"
    )]
    WrongShape(String),
    /// It failed while it was asked to describe itself.
    #[error("it could not describe itself: {0}")]
    NoDescription(String),
    /// It has a name or version that can't be told apart from others in headers and sources.
    #[error("{0}; give it another in its descriptor")]
    Name(#[from] NoPluginRef),
    /// It claims headers that it may not write.
    #[error("it declares the header `{header}`: {reason}")]
    Header {
        /// The header's name.
        header: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The store has it under another name or version than its own.
    #[error(
        "it calls itself {name}@{version}; `comux plugin add` stores each plugin under its own name \
         and version"
    )]
    OtherName {
        /// The name it gives itself.
        name: String,
        /// The version it gives itself.
        version: String,
    },
}

impl LoadProblem {
    fn step(&self) -> Step {
        match self {
            Self::Fetch(_) | Self::NotKept(_) | Self::NotTrusted { .. } => Step::Fetch,
            Self::NotAComponent(_)
            | Self::CompilerPanicked(_)
            | Self::CompilerFailed(_)
            | Self::CompilerCrashed { .. }
            | Self::CompilerMemory(_)
            | Self::CompilerTime(_)
            | Self::TooMuchCode(_)
            | Self::NoCompiler(_)
            // Nothing else takes long.
            | Self::Late(_)
            | Self::StillCompiling(_)
            | Self::Busy(_) => Step::Compile,
            Self::Failed(_)
            | Self::NotDescribed(_)
            | Self::TooMuch { .. }
            | Self::ForeignImport(_)
            | Self::NotGranted { .. }
            | Self::OtherVersion(_)
            | Self::WrongShape(_)
            | Self::SharedState
            | Self::NoDescription(_)
            | Self::Name(_)
            | Self::Header { .. }
            | Self::OtherName { .. } => Step::Check,
        }
    }
}
