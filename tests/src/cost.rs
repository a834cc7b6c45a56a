//! What work costs: CPU time, as the operating system counts it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// In what Linux counts for user space on every architecture of today (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// The CPU time that a process and all of its threads have used by now; a tick is 10 ms.
///
/// # Panics
/// When it has ended.
#[must_use]
pub fn of_process(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("user and system time"))
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
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
