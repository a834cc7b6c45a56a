//! What a host interface knows when a plugin calls it: whose instance calls, what that one has
//! used, when it has to be done, and what the interface itself keeps for it.
//!
//! Interfaces are linked without knowing the type of the store's data: each is given a way from
//! there to its own [`Caller`], and nothing else.

use std::marker::PhantomData;
use std::sync::Arc;

use wasmtime::component::HasData;

use crate::plugin::sandbox::call_clock::CallClock;
use crate::plugin::sandbox::meter::Meter;
use crate::policy::Limits;

/// Whose instance this is, for logs.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// The camera's id; of an instance that several share, another word.
    pub camera: Arc<str>,
    /// The plugin as `name@version`.
    pub plugin: Arc<str>,
}

/// An instance, as far as all interfaces know it.
pub(crate) struct InstanceContext {
    pub owner: Owner,
    /// What it uses is charged here.
    pub meter: Arc<Meter>,
    pub limits: Limits,
    pub clock: CallClock,
}

/// The instance that calls an interface, with what the interface keeps for it.
pub(crate) struct Caller<'a, S> {
    pub context: &'a InstanceContext,
    pub state: &'a mut S,
}

/// [`Caller`] for any lifetime, as wasmtime asks for it.
pub(crate) struct CallerOf<S>(PhantomData<S>);

impl<S: 'static> HasData for CallerOf<S> {
    type Data<'a> = Caller<'a, S>;
}

#[cfg(test)]
impl InstanceContext {
    /// That of a plugin which runs on no camera.
    pub fn nobodys() -> Self {
        let owner = Owner { tenant: "".into(), camera: "".into(), plugin: "".into() };
        let limits = Limits::default();
        let meter = Meter::new(crate::tenancy::Tenant::nobody(), String::new(), &limits);
        let clock = CallClock::stopped(&Arc::default());
        Self { owner, meter: Arc::new(meter), limits, clock }
    }
}
