//! The CPU time of threads and processes.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of CPU time that the calling thread has used.
#[must_use]
pub fn of_this_thread() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// The clock of a thread's CPU time, for other threads to look at.
#[derive(Debug, Clone, Copy)]
pub struct ThreadClock(nix::time::ClockId);

impl ThreadClock {
    /// That of the calling thread, with what it shows. Absent when the operating system has none.
    #[must_use]
    pub fn of_this_thread() -> Option<(Self, Duration)> {
        let mut clock = 0;
        // SAFETY: the thread runs, since it is this one; the clock lives until the call returns.
        let error = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        let clock = (error == 0).then(|| Self(nix::time::ClockId::from_raw(clock)))?;
        Some((clock, clock.now()?))
    }

    /// CPU time that the thread has used. Absent when it is no more.
    #[must_use]
    pub fn now(self) -> Option<Duration> {
        self.0.now().ok().map(Duration::from)
    }
}

/// CPU time that all threads of another process have used. Absent when there is no such process, or
/// the operating system does not tell.
#[cfg(target_os = "linux")]
#[must_use]
pub fn of_process(process: u32) -> Option<Duration> {
    let process = nix::unistd::Pid::from_raw(i32::try_from(process).ok()?);
    let time = nix::time::ClockId::pid_cpu_clock_id(process).and_then(nix::time::ClockId::now);
    time.ok().map(Duration::from)
}

/// Likewise.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn of_process(_: u32) -> Option<Duration> {
    None
}
