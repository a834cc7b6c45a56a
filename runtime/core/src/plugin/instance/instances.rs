//! Where instances come from: the engine that they run on, and those of them that cameras share.

use std::sync::Arc;

use super::shared::SharedInstances;
use crate::plugin::sandbox::Engine;

/// What plugins are instantiated with. Cheap to clone.
#[derive(Clone)]
pub struct Instances {
    pub(super) engine: Engine,
    pub(super) shared: Arc<SharedInstances>,
}

impl Instances {
    /// None yet, on this engine.
    #[must_use]
    pub fn on(engine: Engine) -> Self {
        Self { engine, shared: Arc::default() }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}
