//! The CPU time of the threads with which libavcodec decodes several frames at once.
//!
//! They are libavcodec's own, and it does not tell which. But each asks for a buffer for every
//! frame that it begins, in a callback that is ours: there it is noted, with its clock.

use std::time::Duration;

use nix::libc;
use parking_lot::Mutex;

use crate::sched::ThreadClock;

/// The threads of one decoder.
#[derive(Debug)]
pub(crate) struct Workers {
    /// The thread that feeds the decoder; it is none of them, whatever it does.
    feeder: libc::pthread_t,
    threads: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    thread: libc::pthread_t,
    clock: ThreadClock,
    /// Its CPU time when it was looked at last.
    seen: Duration,
}

impl Workers {
    /// The threads of a decoder that the calling thread feeds.
    pub fn fed_from_here() -> Self {
        // SAFETY: it asks for nothing but the thread's name.
        let feeder = unsafe { libc::pthread_self() };
        Self { feeder, threads: Mutex::default() }
    }

    /// CPU time that they used since this was asked last.
    pub fn cpu_since_last(&self) -> Duration {
        let mut threads = self.threads.lock();
        let used = threads.iter_mut().map(|worker| {
            let now = worker.clock.now().unwrap_or(worker.seen);
            now.saturating_sub(std::mem::replace(&mut worker.seen, now))
        });
        used.sum()
    }

    /// The calling thread is one of them.
    pub fn note_this_thread(&self) {
        // SAFETY: it asks for nothing but the thread's name.
        let thread = unsafe { libc::pthread_self() };
        if thread == self.feeder {
            return;
        }
        let mut threads = self.threads.lock();
        if threads.iter().any(|worker| worker.thread == thread) {
            return;
        }
        if let Some((clock, _)) = ThreadClock::of_this_thread() {
            threads.push(Worker { thread, clock, seen: Duration::ZERO });
        }
    }
}
