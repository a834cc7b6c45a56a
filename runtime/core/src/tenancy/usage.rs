//! What was used, and by whom: added up without locks, read by anyone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

use crate::record::FailReason;

/// What calls of plugins used: those of one plugin on one camera, or all of a tenant.
#[derive(Debug, Default)]
pub struct Usage {
    calls: AtomicU64,
    cpu_nanos: AtomicU64,
    decode_nanos: AtomicU64,
    bytes_read: AtomicU64,
    header_bytes: AtomicU64,
    log_bytes: AtomicU64,
    peak_memory: AtomicU64,
    fuel: AtomicU64,
    failed: [AtomicU64; FailReason::ALL.len()],
}

/// [`Usage`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UsageCounts {
    /// Frames that plugins were called with.
    pub calls: u64,
    /// Microseconds of CPU time in plugins, what the host does for them included; of a tenant also
    /// what compiling them took.
    pub cpu_us: u64,
    /// Microseconds of CPU time in decoders; of a tenant only.
    #[serde(skip_serializing_if = "is_zero")]
    pub decode_us: u64,
    /// Bytes of linear memory that one instance had at most.
    pub peak_memory: u64,
    /// Bytes of pixels that were read.
    pub bytes_read: u64,
    /// Bytes of headers, names and values.
    pub header_bytes: u64,
    /// Bytes of log.
    pub log_bytes: u64,
    /// Instructions of WebAssembly, of plugins in an engine that counts them.
    #[serde(skip_serializing_if = "is_zero")]
    pub fuel: u64,
    /// Calls that failed, by reason; reasons that never occurred are absent.
    pub failed: BTreeMap<&'static str, u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Usage {
    /// A plugin was called with a frame.
    pub fn add_call(&self, cpu: Duration, bytes_read: u64, peak_memory: u64) {
        self.calls.fetch_add(1, Relaxed);
        self.add_cpu(cpu);
        if bytes_read > 0 {
            self.bytes_read.fetch_add(bytes_read, Relaxed);
        }
        // Looking costs less than writing, and it hardly ever grows.
        if peak_memory > self.peak_memory.load(Relaxed) {
            self.peak_memory.fetch_max(peak_memory, Relaxed);
        }
    }

    /// CPU time went into decoding.
    pub fn add_decode(&self, cpu: Duration) {
        self.decode_nanos.fetch_add(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// CPU time went into a plugin.
    pub fn add_cpu(&self, cpu: Duration) {
        self.cpu_nanos.fetch_add(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// A plugin executed so many instructions.
    pub fn add_fuel(&self, fuel: u64) {
        self.fuel.fetch_add(fuel, Relaxed);
    }

    /// A plugin wrote headers.
    pub fn add_headers(&self, bytes: u64) {
        self.header_bytes.fetch_add(bytes, Relaxed);
    }

    /// A plugin wrote log.
    pub fn add_log(&self, bytes: u64) {
        self.log_bytes.fetch_add(bytes, Relaxed);
    }

    /// A call failed.
    pub fn add_failure(&self, reason: FailReason) {
        if let Some(counter) = self.failed.get(reason as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> UsageCounts {
        let failed = FailReason::ALL.iter().zip(&self.failed);
        let failed = failed.map(|(reason, count)| (reason.word(), count.load(Relaxed)));
        UsageCounts {
            calls: self.calls.load(Relaxed),
            cpu_us: self.cpu_nanos.load(Relaxed) / 1000,
            decode_us: self.decode_nanos.load(Relaxed) / 1000,
            peak_memory: self.peak_memory.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
            header_bytes: self.header_bytes.load(Relaxed),
            log_bytes: self.log_bytes.load(Relaxed),
            fuel: self.fuel.load(Relaxed),
            failed: failed.filter(|(_, count)| *count > 0).collect(),
        }
    }
}
