//! What work costs: CPU time, as the operating system counts it.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use procfs::process::Process;

/// The CPU time that a process and all of its threads have used by now, to 10 ms.
///
/// # Panics
/// When it has ended.
#[must_use]
pub fn of_process(pid: u32) -> Duration {
    let process = Process::new(i32::try_from(pid).unwrap()).expect("it runs");
    let stat = process.stat().expect("it runs");
    Duration::from_millis((stat.utime + stat.stime) * 1000 / procfs::ticks_per_second())
}

/// Runs a command to its end: its CPU time, and what it printed. No other child may end meanwhile.
///
/// # Panics
/// When it fails.
#[must_use]
pub fn of_command(command: &mut Command) -> (Duration, String) {
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage");
        let micros = |time: nix::sys::time::TimeVal| {
            Duration::from_micros(
                u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap(),
            )
        };
        micros(usage.user_time()) + micros(usage.system_time())
    };
    let before = used();
    let output = command.stdin(Stdio::null()).output().expect("it can be run");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    (used() - before, said)
}
