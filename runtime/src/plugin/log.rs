//! The interface `log`: a plugin's lines in the operator's log, bounded in number and length.

use std::time::{Duration, Instant};

use super::guest::Guest;
use super::limits::{LOG_LINE_BYTES, LOG_LINES_PER_SECOND};
use super::wit::comux::plugin::log::{Host, Level};

/// Counts an instance's log lines of the second under way.
#[derive(Default)]
pub(super) struct LogBudget {
    second: Option<Instant>,
    lines: u32,
    dropped: u64,
}

impl LogBudget {
    /// Whether one more line may pass, and how many were dropped since the last one.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|start| now.duration_since(start) >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.lines = 0;
        }
        if self.lines >= LOG_LINES_PER_SECOND {
            self.dropped += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

impl Host for Guest {
    fn emit(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let Some(dropped) = self.log_budget.admit(Instant::now()) else { return Ok(()) };
        let tenant = &*self.owner.tenant;
        let camera = &*self.owner.camera;
        let plugin = &*self.owner.plugin;
        if dropped > 0 {
            tracing::warn!(tenant, camera, plugin, dropped, "the plugin logs too much");
        }
        let end = message.floor_char_boundary(LOG_LINE_BYTES);
        let message = message.get(..end).unwrap_or_default();
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
    use super::*;

    #[test]
    fn a_flood_is_cut_and_its_size_is_told_once() {
        let mut budget = LogBudget::default();
        let start = Instant::now();
        let passed = (0..1000).filter(|_| budget.admit(start).is_some()).count();
        assert_eq!(passed, LOG_LINES_PER_SECOND as usize);
        let later = start + Duration::from_secs(1);
        assert_eq!(budget.admit(later), Some(1000 - u64::from(LOG_LINES_PER_SECOND)));
        assert_eq!(budget.admit(later), Some(0));
    }
}
