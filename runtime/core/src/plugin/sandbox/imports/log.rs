//! The interface `log`: a plugin's lines in the operator's log, bounded in their number and length.

use std::time::Instant;

use wasmtime::component::Linker;

use super::context::{Caller, CallerOf};
use crate::plugin::sandbox::bindings::comux::plugin::log::{self, Host, Level};
use crate::plugin::sandbox::message::{beginning, one_line};
use crate::policy::Grant;

/// As in `wit/`.
pub(super) const NAME: &str = "log";
/// What a plugin needs that imports it.
pub(super) const NEEDS: Option<Grant> = Some(Grant::Log);

/// What a line costs beside its text: level, time, and whose it is.
const LINE_OVERHEAD: usize = 64;

/// What it may still write, its meter knows.
#[derive(Default)]
pub(crate) struct State {
    /// Its latest line at the level `error`, in this entry: of one that traps, what it said of
    /// that.
    last_error: Option<String>,
}

impl State {
    /// Its last line at the level `error` since this was asked.
    pub fn take_last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }
}

pub(super) fn link<T: 'static>(
    linker: &mut Linker<T>,
    caller: fn(&mut T) -> Caller<'_, State>,
) -> wasmtime::Result<()> {
    log::add_to_linker::<T, CallerOf<State>>(linker, caller)
}

impl Host for Caller<'_, State> {
    fn emit(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let message = beginning(&message);
        let (owner, meter) = (&self.context.owner, &self.context.meter);
        let bytes = (message.len() + owner.plugin.len() + LINE_OVERHEAD) as u64;
        let Some(dropped) = meter.charge_log(Instant::now(), bytes) else { return Ok(()) };
        let message = one_line(message);
        if level == Level::Error {
            self.state.last_error = Some(message.clone());
        }
        let (tenant, camera, plugin) = (&*owner.tenant, &*owner.camera, &*owner.plugin);
        if dropped > 0 {
            tracing::warn!(tenant, camera, plugin, dropped, "the plugin logs too much");
        }
        match level {
            Level::Trace => tracing::trace!(tenant, camera, plugin, "{message}"),
            Level::Debug => tracing::debug!(tenant, camera, plugin, "{message}"),
            Level::Info => tracing::info!(tenant, camera, plugin, "{message}"),
            Level::Warn => tracing::warn!(tenant, camera, plugin, "{message}"),
            Level::Error => tracing::error!(tenant, camera, plugin, "{message}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plugin::sandbox::meter::Meter;
    use crate::policy::Limits;
    use crate::tenancy::Tenant;

    #[test]
    fn a_flood_is_cut_and_its_size_is_told_once() {
        let limits = Limits { log_kb_per_s: 1, ..Limits::default() };
        let meter = Meter::new(Tenant::nobody(), String::new(), &limits);
        let start = Instant::now();
        let passed = (0..1000).filter(|_| meter.charge_log(start, 256).is_some()).count() as u64;
        assert!((4..=5).contains(&passed), "{passed}");
        let later = start + std::time::Duration::from_secs(5);
        assert_eq!(meter.charge_log(later, 256), Some(1000 - passed));
        assert_eq!(meter.charge_log(later, 256), Some(0));
        assert_eq!(Arc::strong_count(&meter.tenant), 1);
    }
}
