//! What the fuzzers in `tests/fuzz` reach of plugins, beside what is public: no logic.

use std::path::Path;

use wasmtime::component::Component;

use crate::plugin::compile::{CompiledCache, Outline, compile_here};
use crate::plugin::sandbox::{Engine, LoadedPlugin};
use crate::plugin::supply::{LoadProblem, Trust};
use crate::policy::{Digest, Limits, LoadLimits, check_header};
use crate::tenancy::Tenant;

/// Whether plugins may write a header of this name.
#[must_use]
pub fn is_header_name(name: &str) -> bool {
    check_header(name).is_ok()
}

/// Looks at a component's outline and imports, as is done before it is compiled.
///
/// # Errors
/// When it is none, declares too much, or wants what no plugin gets.
pub fn inspect(bytes: &[u8]) -> Result<(), LoadProblem> {
    Outline::of(bytes, &LoadLimits::default())?.check_imports("fuzzed", &Trust::default())
}

/// Compiles a component.
///
/// # Errors
/// When it is none.
pub fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadProblem> {
    compile_here(engine.wasmtime(), bytes)
}

/// Checks and describes a component.
///
/// # Errors
/// When it is no plugin.
pub fn check(
    engine: &Engine,
    component: &Component,
    digest: Digest,
) -> Result<LoadedPlugin, LoadProblem> {
    engine.check(component, digest, (&Tenant::nobody(), Limits::default()))
}

/// The cache of compiled code.
pub struct Cache(CompiledCache);

impl Cache {
    /// Opens the cache in a directory.
    #[must_use]
    pub fn open(engine: &Engine, path: &Path) -> Option<Self> {
        CompiledCache::open(path.to_owned(), engine.wasmtime(), 1 << 30).ok().map(Self)
    }

    /// Keeps compiled code.
    pub fn put(&self, digest: Digest, component: &Component) {
        self.0.put(digest, component);
    }

    /// Whether there is compiled code that this host would run.
    #[must_use]
    pub fn has(&self, engine: &Engine, digest: Digest) -> bool {
        self.0.get(engine.wasmtime(), digest).is_some()
    }
}
