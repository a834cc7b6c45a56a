//! Threads and processes that run only on cores which no other thread wants.
//!
//! Linux calls that `SCHED_IDLE`: any thread of the ordinary kind takes the core from such a one
//! the moment it wakes. Niceness is no substitute, since a thread that was given the core, nice or
//! not, keeps it for some milliseconds. An unprivileged thread may always become one, but may come
//! back only if its resource limit `RLIMIT_NICE` allows niceness 0 (sched(7)); without that nobody
//! steps back.

use std::sync::LazyLock;

#[cfg(target_os = "linux")]
use nix::libc;

/// Whether threads may come back, found out on one that is not needed.
static IS_ALLOWED: LazyLock<bool> = LazyLock::new(|| {
    let probe = std::thread::spawn(|| {
        set_policy(THIS_THREAD, Policy::Background) && set_policy(THIS_THREAD, Policy::Normal)
    });
    let is_allowed = probe.join().unwrap_or(false);
    if !is_allowed {
        tracing::info!(
            "whoever uses more than its share of the cores, or has a plugin compiled, may delay others \
             by some milliseconds: the operating system lets no thread step back and return; a limit `nice` of 20 \
             (LimitNICE=0 in systemd, --ulimit nice=20 in a container) allows it"
        );
    }
    is_allowed
});

/// A thread of this process, as the operating system names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadId(u32);

impl ThreadId {
    /// That of the calling thread.
    pub fn own() -> Self {
        Self(nix::unistd::gettid().as_raw().unsigned_abs())
    }
}

#[derive(Clone, Copy)]
enum Policy {
    Background,
    Normal,
}

const THIS_THREAD: u32 = 0;

/// Whether there is a way back, without which nobody steps back.
pub(crate) fn is_allowed() -> bool {
    *IS_ALLOWED
}

/// The calling thread leaves the cores to others from now on. Whether it does.
pub(crate) fn demote() -> bool {
    is_allowed() && set_policy(THIS_THREAD, Policy::Background)
}

/// The calling thread is one like the others again.
pub(crate) fn promote() {
    set_policy(THIS_THREAD, Policy::Normal);
}

/// That thread, which has stepped back, is one like the others again. It must not have ended.
pub(crate) fn promote_thread(ThreadId(thread): ThreadId) {
    set_policy(thread, Policy::Normal);
}

/// A process of our own that has just begun, and so has one thread, leaves the cores to others from
/// now on, with all threads that it will have. Whether it does.
pub(crate) fn demote_process(process: u32) -> bool {
    is_allowed() && set_policy(process, Policy::Background)
}

/// Ends what [`send_back`] began.
pub(crate) fn promote_process(process: u32) {
    // The first thread, which begins the others, has the number of the process. When it is back,
    // there is none to come that is not.
    set_policy(process, Policy::Normal);
    let threads =
        std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    for thread in threads.filter_map(|it| it.file_name().to_str()?.parse().ok()) {
        set_policy(thread, Policy::Normal);
    }
}

#[cfg(target_os = "linux")]
fn set_policy(thread: u32, policy: Policy) -> bool {
    let policy = match policy {
        Policy::Background => libc::SCHED_IDLE,
        Policy::Normal => libc::SCHED_OTHER,
    };
    let parameters = libc::sched_param { sched_priority: 0 };
    let Ok(thread) = libc::pid_t::try_from(thread) else { return false };
    // SAFETY: it concerns no memory; the parameters live until the call returns.
    unsafe { libc::sched_setscheduler(thread, policy, &raw const parameters) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn set_policy(_: u32, _: Policy) -> bool {
    false
}

/// Whether a thread leaves the cores to others.
#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) fn is_demoted(thread: nix::unistd::Pid) -> bool {
    // SAFETY: it takes a number and touches no memory.
    unsafe { libc::sched_getscheduler(thread.as_raw()) == libc::SCHED_IDLE }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use nix::unistd::gettid;

    use super::*;

    #[test]
    fn a_thread_that_stepped_back_comes_back() {
        if demote() {
            assert!(is_demoted(gettid()));
            promote();
        }
        assert!(!is_demoted(gettid()));
    }
}
