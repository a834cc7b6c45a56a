//! What one plugin on one camera uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::breaker::BreakerState;
use super::metrics::MetricsBook;
use crate::outcome::FailReason;
use crate::tenant::{Tenant, Usage, UsageCounts};

/// What one plugin on one camera uses, charged to its tenant.
pub struct Meter {
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// The plugin's identity.
    pub plugin: String,
    /// What it tells of itself.
    pub metrics: MetricsBook,
    usage: Usage,
    breaker: AtomicU8,
}

impl Meter {
    /// Counts for a plugin of this identity, which may have so many metrics.
    #[must_use]
    pub fn new(tenant: Arc<Tenant>, plugin: String, metrics: u32) -> Self {
        let metrics = MetricsBook::with_names(metrics as usize);
        Self { tenant, plugin, metrics, usage: Usage::default(), breaker: AtomicU8::new(0) }
    }

    /// What it has used.
    #[must_use]
    pub fn counts(&self) -> UsageCounts {
        self.usage.counts()
    }

    /// What its circuit breaker does.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        let states = [BreakerState::Closed, BreakerState::Open, BreakerState::Probing];
        let state = states.get(usize::from(self.breaker.load(Relaxed)));
        state.copied().unwrap_or(BreakerState::Closed)
    }

    /// Its circuit breaker does something else now.
    pub fn set_breaker(&self, state: BreakerState) {
        self.breaker.store(state as u8, Relaxed);
    }

    /// It was called with a frame.
    pub fn charge_call(&self, now: Instant, cpu: Duration, bytes_read: u64, memory: u64) {
        self.usage.add_call(cpu, bytes_read, memory);
        self.tenant.charge_call(now, cpu, bytes_read, memory);
    }

    /// It used CPU time otherwise: it was configured, or handed over its state.
    pub fn charge_cpu(&self, now: Instant, cpu: Duration) {
        self.usage.add_cpu(cpu);
        self.tenant.charge_cpu(now, cpu);
    }

    /// It wrote headers.
    pub fn charge_headers(&self, now: Instant, bytes: u64) {
        self.usage.add_headers(bytes);
        self.tenant.charge_headers(now, bytes);
    }

    /// It writes log: whether it may.
    pub fn charge_log(&self, now: Instant, bytes: u64) -> bool {
        let may = self.tenant.charge_log(now, bytes);
        if may {
            self.usage.add_log(bytes);
        }
        may
    }

    /// A call failed.
    pub fn count_failure(&self, reason: FailReason) {
        self.usage.add_failure(reason);
        self.tenant.count_failure(reason);
    }
}
