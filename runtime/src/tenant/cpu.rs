//! The CPU time of a thread.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of CPU time that the calling thread has used.
#[must_use]
pub fn of_this_thread() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}
