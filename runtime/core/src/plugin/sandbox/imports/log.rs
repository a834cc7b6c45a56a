//! The interface `log`: a plugin's lines in the operator's log, bounded in their number and length.

use std::time::Instant;

use crate::plugin::sandbox::bindings::comux::plugin::log::{Host, Level};
use crate::plugin::sandbox::host_state::HostState;
use crate::policy::LOG_LINE_BYTES;

/// What a line costs beside its text: level, time, and whose it is.
const LINE_OVERHEAD: usize = 64;

impl Host for HostState {
    fn emit(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let message = beginning(&message);
        let bytes = (message.len() + self.owner.plugin.len() + LINE_OVERHEAD) as u64;
        let Some(dropped) = self.meter.charge_log(Instant::now(), bytes) else { return Ok(()) };
        let message = one_line(message);
        let tenant = &*self.owner.tenant;
        let camera = &*self.owner.camera;
        let plugin = &*self.owner.plugin;
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

/// The beginning of what a plugin says, without what would make it look like several lines, or like those of
/// somebody else.
pub(crate) fn one_line(message: &str) -> String {
    let visible = |character: char| if character.is_control() { ' ' } else { character };
    beginning(message).chars().map(visible).collect()
}

/// What is said of a message.
fn beginning(message: &str) -> &str {
    message.get(..message.floor_char_boundary(LOG_LINE_BYTES)).unwrap_or_default()
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

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let forged = "done\n2026-01-01 ERROR tenant=zeta \u{1b}[31mfire\r";
        assert_eq!(one_line(forged), "done 2026-01-01 ERROR tenant=zeta  [31mfire ");
        assert_eq!(one_line(&"ä".repeat(10_000)).len(), LOG_LINE_BYTES);
    }
}
