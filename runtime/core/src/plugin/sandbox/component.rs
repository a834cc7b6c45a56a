//! A plugin as it is loaded: compiled, checked and described, to be instantiated as often as
//! needed.

use wasmtime::ResourcesRequired;

use super::exports::LinkedComponent;
use crate::policy::Digest;

/// A plugin that can be instantiated.
pub struct LoadedPlugin {
    pub(super) component: LinkedComponent,
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

impl LoadedPlugin {
    /// Whether what it remembers can be saved and restored.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.component.has_state()
    }

    /// Whether one instance of it looks at frames of several cameras.
    #[must_use]
    pub fn has_batches(&self) -> bool {
        self.component.has_batches()
    }

    /// Its linear memories and tables: how many, and how large at first.
    #[must_use]
    pub fn declared(&self) -> Option<ResourcesRequired> {
        self.component.declared()
    }

    /// What its instances are made of.
    pub(crate) fn component(&self) -> &LinkedComponent {
        &self.component
    }
}
