//! The interface `log`: a plugin's lines in the operator's log, bounded in number and length.

use std::time::{Duration, Instant};

use super::guest::Guest;
use super::limits::LOG_LINE_BYTES;
use super::wit::comux::plugin::log::{Host, Level};

/// What a line costs beside its text: level, time, and whose it is.
const LINE_OVERHEAD: usize = 64;

/// Counts an instance's log of the second under way.
#[derive(Default)]
pub(super) struct LogBudget {
    second: Option<Instant>,
    bytes: usize,
    dropped: u64,
}

impl LogBudget {
    /// Whether `bytes` more may pass of `most` per second.
    fn admits(&mut self, now: Instant, bytes: usize, most: usize) -> bool {
        if self.second.is_none_or(|start| now.duration_since(start) >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.bytes = 0;
        }
        let fits = self.bytes + bytes <= most;
        if fits {
            self.bytes += bytes;
        }
        fits
    }
}

impl Host for Guest {
    fn emit(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let end = message.floor_char_boundary(LOG_LINE_BYTES);
        let message = message.get(..end).unwrap_or_default();
        let (now, bytes) = (Instant::now(), message.len() + LINE_OVERHEAD);
        let most = self.limits.log_kb_per_s as usize * 1024;
        if !self.log_budget.admits(now, bytes, most) || !self.meter.charge_log(now, bytes as u64) {
            self.log_budget.dropped += 1;
            return Ok(());
        }
        let dropped = std::mem::take(&mut self.log_budget.dropped);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_bytes_pass_in_a_second_than_may() {
        let mut budget = LogBudget::default();
        let start = Instant::now();
        let passed = (0..1000).filter(|_| budget.admits(start, 100, 1050)).count();
        assert_eq!(passed, 10);
        assert!(budget.admits(start, 50, 1050), "what is smaller may still fit");
        let later = start + Duration::from_secs(1);
        assert!(budget.admits(later, 1050, 1050));
        assert!(!budget.admits(later, 1, 1050));
    }
}
