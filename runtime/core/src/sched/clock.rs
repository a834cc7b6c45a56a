//! Monotonic time as a number, so that it fits into an atomic.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Times are counted from here.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the first time that any were asked for.
pub(crate) fn nanos(now: Instant) -> u64 {
    nanos_of(now.duration_since(*BEGINNING))
}

/// A duration in nanoseconds; what does not fit is as long as possible.
pub(crate) fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
