//! What a component exports: what every plugin has, and what it may have besides.

use wasmtime::component::InstancePre;
use wasmtime::{ResourcesRequired, Store};

use super::bindings::exports::comux::plugin::{batch_hook, state};
use super::bindings::{Plugin, PluginIndices};
use super::host_state::HostState;
use super::message::{innermost, one_line};
use crate::plugin::supply::LoadProblem;
use crate::policy::{INTERFACE_PACKAGE, is_of_this_track};

/// A component with its imports linked, and where its exports are.
pub(crate) struct LinkedComponent {
    pre: InstancePre<HostState>,
    plugin: PluginIndices,
    batches: Option<batch_hook::GuestIndices>,
    state: Option<state::GuestIndices>,
}

/// The exports of an instance.
pub(crate) struct Exports {
    /// What every plugin has.
    pub plugin: Plugin,
    /// Present when it takes frames of several cameras at once.
    pub batches: Option<batch_hook::Guest>,
    /// Present when it has something to remember.
    pub state: Option<state::Guest>,
}

impl LinkedComponent {
    /// Looks for its exports.
    pub fn new(pre: InstancePre<HostState>) -> Result<Self, LoadProblem> {
        let wrong_shape = |error: wasmtime::Error| LoadProblem::WrongShape(innermost(&error));
        let plugin = PluginIndices::new(&pre).map_err(wrong_shape)?;
        let batches = has(&pre, "batch-hook")?.then(|| batch_hook::GuestIndices::new(&pre));
        let state = has(&pre, "state")?.then(|| state::GuestIndices::new(&pre));
        let batches = batches.transpose().map_err(wrong_shape)?;
        let state = state.transpose().map_err(wrong_shape)?;
        let found = Self { pre, plugin, batches, state };
        if found.batches.is_some() && found.state.is_some() {
            return Err(LoadProblem::SharedState);
        }
        Ok(found)
    }

    /// The engine that it was compiled for.
    pub fn engine(&self) -> &wasmtime::Engine {
        self.pre.engine()
    }

    /// Its linear memories and tables.
    pub fn declared(&self) -> Option<ResourcesRequired> {
        self.pre.component().resources_required()
    }

    /// Whether the plugin takes frames of several cameras in one call.
    pub fn has_batches(&self) -> bool {
        self.batches.is_some()
    }

    /// Whether what the plugin remembers can be saved and restored.
    pub fn has_state(&self) -> bool {
        self.state.is_some()
    }

    /// A new instance in `store`.
    pub fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Exports> {
        let instance = self.pre.instantiate(&mut *store)?;
        let plugin = self.plugin.load(&mut *store, &instance)?;
        let batches = self.batches.as_ref();
        let batches = batches.map(|batches| batches.load(&mut *store, &instance)).transpose()?;
        let state = self.state.as_ref();
        let state = state.map(|state| state.load(&mut *store, &instance)).transpose()?;
        Ok(Exports { plugin, batches, state })
    }
}

/// Whether an interface that need not be there is.
fn has(pre: &InstancePre<HostState>, interface: &str) -> Result<bool, LoadProblem> {
    let component = pre.component().component_type();
    let mut exports = component.exports(pre.engine());
    let is_it = |name: &str| {
        let name =
            name.strip_prefix(INTERFACE_PACKAGE).and_then(|name| name.strip_prefix(interface));
        name.is_some_and(|version| version.starts_with('@'))
    };
    let Some((name, _)) = exports.find(|(name, _)| is_it(name)) else { return Ok(false) };
    if !is_of_this_track(name) {
        return Err(LoadProblem::OtherVersion(one_line(name)));
    }
    Ok(true)
}
