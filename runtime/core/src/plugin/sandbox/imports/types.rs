//! The interface `types`: words for the others, and no function.

use wasmtime::component::Linker;

use super::context::{Caller, CallerOf};
use crate::plugin::sandbox::bindings::comux::plugin::types::{self, Host};
use crate::policy::Grant;

/// As in `wit/`.
pub(super) const NAME: &str = "types";
/// Every plugin gets it.
pub(super) const NEEDS: Option<Grant> = None;

/// Nothing.
#[derive(Default)]
pub(crate) struct State;

pub(super) fn link<T: 'static>(
    linker: &mut Linker<T>,
    caller: fn(&mut T) -> Caller<'_, State>,
) -> wasmtime::Result<()> {
    types::add_to_linker::<T, CallerOf<State>>(linker, caller)
}

impl Host for Caller<'_, State> {}
