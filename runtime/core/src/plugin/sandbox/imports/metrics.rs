//! The interface `metrics`: a plugin's own numbers, which go into the book that its meter keeps.

use wasmtime::component::Linker;

use super::context::{Caller, CallerOf};
use crate::plugin::sandbox::bindings::comux::plugin::metrics::{self, Host};
use crate::plugin::sandbox::metrics_book::Report;
use crate::policy::Grant;

/// As in `wit/`.
pub(super) const NAME: &str = "metrics";
/// What a plugin needs that imports it.
pub(super) const NEEDS: Option<Grant> = Some(Grant::Metrics);

/// Nothing: the book outlives the instance.
#[derive(Default)]
pub(crate) struct State;

pub(super) fn link<T: 'static>(
    linker: &mut Linker<T>,
    caller: fn(&mut T) -> Caller<'_, State>,
) -> wasmtime::Result<()> {
    metrics::add_to_linker::<T, CallerOf<State>>(linker, caller)
}

impl Caller<'_, State> {
    fn enter(&self, name: &str, report: Report) {
        let meter = &self.context.meter;
        if let Some(why) = meter.metrics.enter(name, report) {
            let owner = &self.context.owner;
            let (tenant, camera, plugin) = (&*owner.tenant, &*owner.camera, &*owner.plugin);
            tracing::warn!(tenant, camera, plugin, "the plugin's metrics are incomplete: {why}");
        }
    }
}

impl Host for Caller<'_, State> {
    fn add(&mut self, name: String, amount: u64) -> wasmtime::Result<()> {
        self.enter(&name, Report::Add(amount));
        Ok(())
    }

    fn set(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.enter(&name, Report::Set(value));
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.enter(&name, Report::Observe(value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::sandbox::imports::InstanceContext;
    use crate::plugin::sandbox::metrics_book::Metric;

    #[test]
    fn what_a_plugin_counts_is_in_the_book_of_its_meter() {
        let (context, mut state) = (InstanceContext::nobodys(), State);
        let mut caller = Caller { context: &context, state: &mut state };
        caller.add("frames".to_owned(), 2).unwrap();
        caller.add("frames".to_owned(), 3).unwrap();
        caller.set("frames".to_owned(), 1.0).unwrap();
        let snapshot = context.meter.metrics.snapshot();
        assert_eq!(snapshot.values["frames"], Metric::Counter(5));
        assert_eq!(snapshot.dropped, 1, "another kind than it has");
    }
}
