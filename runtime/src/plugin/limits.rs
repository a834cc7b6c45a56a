//! How much a plugin may use.

use std::num::NonZeroU32;

use serde::Deserialize;

/// Limits of each plugin instance, enforced on every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Wall-clock milliseconds that a call may take. The default is five frame intervals at 25
    /// frames per second: analytics that need longer can't keep up anyway, and a stalled camera
    /// is noticed within a quarter of a second.
    pub deadline_ms: NonZeroU32,
    /// MiB of linear memory. A whole 1080p frame in RGB is 6 MiB; the default has room for ten.
    pub memory_mb: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        const DEADLINE_MS: NonZeroU32 = NonZeroU32::MIN.saturating_add(199);
        const MEMORY_MB: NonZeroU32 = NonZeroU32::MIN.saturating_add(63);
        Self { deadline_ms: DEADLINE_MS, memory_mb: MEMORY_MB }
    }
}

/// The native stack of a call. Plugins keep their data on their own stack in linear memory; this
/// one holds return addresses and spilled registers, and 512 KiB is wasmtime's own default.
pub(super) const STACK_BYTES: usize = 512 * 1024;

/// Bytes that may come out of a plugin in one call, headers and log messages: Kafka's own default
/// limit for a whole record is 1 MB.
pub(super) const RESULT_BYTES: usize = 1024 * 1024;

/// Pixels, in bytes, that a plugin may read of one frame: a whole 4K frame as RGBA, and some.
pub(super) const READ_BYTES_PER_FRAME: u64 = 64 * 1024 * 1024;

/// Log lines that a plugin may write in a second, and the length at which each is cut.
pub(super) const LOG_LINES_PER_SECOND: u32 = 20;
/// See [`LOG_LINES_PER_SECOND`].
pub(super) const LOG_LINE_BYTES: usize = 1024;

/// Ticks of the clock, which are milliseconds, that a plugin may take to describe itself. No frame
/// waits for it, and a busy machine may be slow to give it a core; a second is still soon enough to
/// notice that it never will.
pub(super) const DESCRIBE_TICKS: u64 = 1000;
