//! The CPU time of threads and processes.

use std::time::Duration;

use nix::libc;
use nix::time::ClockId;

/// Nanoseconds of CPU time that the calling thread has used.
#[must_use]
pub fn of_this_thread() -> u64 {
    // Every system that comux runs on has this clock.
    let time = ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default();
    time.as_nanos() as u64
}

/// The clock of a thread's CPU time, for other threads to look at.
#[derive(Debug, Clone, Copy)]
pub struct ThreadClock(ClockId);

impl ThreadClock {
    /// That of the calling thread, with what it shows. Absent when the operating system has none.
    #[must_use]
    pub fn of_this_thread() -> Option<(Self, Duration)> {
        let mut clock = 0;
        // SAFETY: the thread runs, since it is this one; the clock lives until the call returns.
        let error = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        let clock = (error == 0).then(|| Self(ClockId::from_raw(clock)))?;
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
    let time = ClockId::pid_cpu_clock_id(process).and_then(ClockId::now);
    time.ok().map(Duration::from)
}

/// Likewise.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn of_process(_: u32) -> Option<Duration> {
    None
}
