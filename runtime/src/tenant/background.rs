//! Threads that run only on cores which no other thread wants.
//!
//! Linux calls that `SCHED_IDLE`: any thread of the ordinary kind takes the core from such a one the
//! moment it wakes. An unprivileged thread may always become one, but may come back only if its
//! resource limit `RLIMIT_NICE` allows niceness 0 (sched(7)); without that nobody steps back.

use std::sync::LazyLock;

/// Whether threads may come back, found out on one that is not needed.
static IS_ALLOWED: LazyLock<bool> = LazyLock::new(|| {
    let probe = std::thread::spawn(|| set_policy(Policy::Background) && set_policy(Policy::Normal));
    let is_allowed = probe.join().unwrap_or(false);
    if !is_allowed {
        tracing::info!(
            "whoever uses more than its share of the cores may delay others by some milliseconds: \
             the operating system lets no thread step back and return; a limit `nice` of 20 \
             (LimitNICE=0 in systemd, --ulimit nice=20 in a container) allows it"
        );
    }
    is_allowed
});

#[derive(Clone, Copy)]
enum Policy {
    Background,
    Normal,
}

/// The calling thread leaves the cores to others from now on. Whether it does.
pub(super) fn step_back() -> bool {
    *IS_ALLOWED && set_policy(Policy::Background)
}

/// The calling thread is one like the others again.
pub(super) fn come_back() {
    set_policy(Policy::Normal);
}

#[cfg(target_os = "linux")]
fn set_policy(policy: Policy) -> bool {
    let policy = match policy {
        Policy::Background => libc::SCHED_IDLE,
        Policy::Normal => libc::SCHED_OTHER,
    };
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread; the parameters live until the call returns.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn set_policy(_: Policy) -> bool {
    false
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_stepped_back_comes_back() {
        // SAFETY: 0 is the calling thread.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        if step_back() {
            assert_eq!(policy(), libc::SCHED_IDLE);
            come_back();
        }
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
