//! What one plugin on one camera uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::batch_counts::BatchCounts;
use super::metrics_book::MetricsBook;
use crate::policy::{BreakerState, Limits};
use crate::record::FailReason;
use crate::tenancy::{Tenant, TokenBucket, Usage, UsageCounts};

/// What one plugin on one camera uses, charged to its tenant.
pub struct Meter {
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// The plugin's identity.
    pub plugin: String,
    /// What it tells of itself.
    pub metrics: Arc<MetricsBook>,
    /// Of a plugin that several cameras share: the calls that were made for all of them.
    pub batches: Option<Arc<BatchCounts>>,
    log: TokenBucket,
    /// Lines of log that were dropped since one passed.
    dropped: AtomicU64,
    usage: Usage,
    breaker: AtomicU8,
    /// What the latest failure was. Locked when one comes, and when somebody asks.
    last_failure: Mutex<Option<String>>,
}

impl Meter {
    /// Counts for a plugin of this identity.
    #[must_use]
    pub fn new(tenant: Arc<Tenant>, plugin: String, limits: &Limits) -> Self {
        let metrics = Arc::new(MetricsBook::with_names(limits.metrics as usize));
        let log = TokenBucket::new(Some(f64::from(limits.log_kb_per_s) * 1024.0));
        let dropped = AtomicU64::new(0);
        Self {
            tenant,
            plugin,
            metrics,
            batches: None,
            log,
            dropped,
            usage: Usage::default(),
            breaker: AtomicU8::new(0),
            last_failure: Mutex::default(),
        }
    }

    /// The same, of a plugin whose instance several cameras share, with what it tells and counts
    /// for all of them.
    pub(crate) fn sharing(self, metrics: Arc<MetricsBook>, batches: Arc<BatchCounts>) -> Self {
        Self { metrics, batches: Some(batches), ..self }
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

    /// It executed so many instructions, in an engine that counts them.
    pub fn charge_fuel(&self, fuel: u64) {
        self.usage.add_fuel(fuel);
    }

    /// It wrote headers.
    pub fn charge_headers(&self, now: Instant, bytes: u64) {
        self.usage.add_headers(bytes);
        self.tenant.charge_headers(now, bytes);
    }

    /// It writes a line of log. When it may: how many were dropped since the last one.
    pub fn charge_log(&self, now: Instant, bytes: u64) -> Option<u64> {
        if !self.log.has_room(now) || !self.tenant.charge_log(now, bytes) {
            self.dropped.fetch_add(1, Relaxed);
            return None;
        }
        self.log.charge(now, bytes as f64);
        self.usage.add_log(bytes);
        Some(self.dropped.swap(0, Relaxed))
    }

    /// What the latest failure was, in the words of the host or the plugin.
    #[must_use]
    pub fn last_failure(&self) -> Option<String> {
        self.last_failure.lock().clone()
    }

    /// A call failed.
    pub fn count_failure(&self, reason: FailReason, message: &str) {
        *self.last_failure.lock() = Some(message.to_owned());
        self.usage.add_failure(reason);
        self.tenant.count_failure(reason);
    }
}
