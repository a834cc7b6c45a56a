//! Why a plugin can't be had, in words for the person who named it.

use std::io;
use std::time::Duration;

use super::engine::VERSION;
use super::loader::JobFailed;
use super::pool::JobPanicked;
use super::source::{NoSource, Source};
use super::step::Step;
use super::store::FetchError;

/// A plugin can't be loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}`: {problem}")]
pub struct LoadError {
    /// The plugin, as it was named.
    pub plugin: Source,
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

/// What is wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadProblem {
    /// It can't be found, or not be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It can't be kept for a rollback or a restart.
    #[error("a copy of it can't be kept in `state_dir`: {0}; make room there")]
    NotKept(io::Error),
    /// The file is something else.
    #[error("it is not a WebAssembly component: {0}; build it with `comux plugin build`")]
    NotAComponent(String),
    /// The compiler has a bug.
    #[error("{0}; build the plugin in another way, and report it")]
    CompilerPanicked(#[from] JobPanicked),
    /// It takes too long.
    #[error(
        "it was not compiled within {} s; try again: compiling goes on in the background",
        .0.as_secs()
    )]
    Late(Duration),
    /// comux has a bug.
    #[error("{0}")]
    Failed(#[from] JobFailed),
    /// It wants something that this host does not give.
    #[error(
        "it imports `{0}`, which comux does not give to plugins; \
         build it for wasm32-unknown-unknown, without WASI: `comux plugin build` does that"
    )]
    ForeignImport(String),
    /// It was made for another version of the interface.
    #[error(
        "it wants `{0}`, and this host has comux:plugin {VERSION}; \
         build the plugin with an SDK of that version"
    )]
    OtherVersion(String),
    /// It does not export what a plugin must.
    #[error("it does not fit the world `comux:plugin/plugin`: {0}")]
    WrongShape(String),
    /// It failed while it was asked to describe itself.
    #[error("it could not describe itself: {0}")]
    NoDescription(String),
    /// It has a name or version that can't be told apart from others in headers and sources.
    #[error("{0}; give it another in its descriptor")]
    Name(#[from] NoSource),
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
            Self::Fetch(_) | Self::NotKept(_) => Step::Fetch,
            // Nothing else takes long.
            Self::NotAComponent(_) | Self::CompilerPanicked(_) | Self::Late(_) => Step::Compile,
            Self::Failed(_)
            | Self::ForeignImport(_)
            | Self::OtherVersion(_)
            | Self::WrongShape(_)
            | Self::NoDescription(_)
            | Self::Name(_)
            | Self::Header { .. }
            | Self::OtherName { .. } => Step::Check,
        }
    }
}
