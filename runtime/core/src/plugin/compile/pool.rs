//! The threads that compile plugins: few, and of low priority, so that cameras do not notice.

use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(target_os = "linux")]
use nix::libc;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::plugin::supply::JobPanicked;

/// How far compiling steps back behind cameras: with 10, Linux gives a camera's thread nine times
/// the time when both want the same core.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Deeply nested code makes the compiler recurse, and a thread that waits for a part of its job may
/// take up another job meanwhile. Only what is touched is ever taken from the machine.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// A bounded pool of threads.
pub(crate) struct Pool {
    threads: ThreadPool,
}

impl Pool {
    /// A thread for each core: when cores are idle a plugin is ready the sooner, and when cameras
    /// want them the low priority gives way.
    pub fn of_all_cores() -> Result<Self, ThreadPoolBuildError> {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// A pool of so many threads.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let threads = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("compile-{index}"))
            .stack_size(STACK_BYTES)
            .start_handler(|_| lower_priority())
            .build()?;
        Ok(Self { threads })
    }

    /// Runs `job` in the pool and waits for it. What the job itself does in parallel, as wasmtime's
    /// compiler does, stays in the pool too.
    ///
    /// A job must not wait for a lock that another job holds: a thread that waits for a part of its
    /// own job takes up other jobs, and would wait for itself.
    pub fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T, JobPanicked> {
        // What a panic leaves half done is the job's own, and given up with it.
        let caught = self.threads.install(|| catch_unwind(AssertUnwindSafe(job)));
        caught.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            JobPanicked(text.unwrap_or("no message").to_owned())
        })
    }
}

#[cfg(target_os = "linux")]
fn lower_priority() {
    // On Linux it concerns the calling thread alone, and what that begins. Such a process may be
    // who calls this. Nothing depends on whether it is granted.
    if niceness() < NICENESS {
        // SAFETY: it takes numbers and touches no memory of ours.
        let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
    }
}

/// That of the calling thread.
#[cfg(target_os = "linux")]
fn niceness() -> i32 {
    // SAFETY: it takes numbers and touches no memory of ours.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {
    // Elsewhere it would concern the whole process.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_pool_goes_on() {
        let pool = Pool::of_all_cores().unwrap();
        let panicked = pool.run(|| panic!("entry {} missing", 3)).unwrap_err();
        assert!(panicked.to_string().contains("entry 3 missing"), "{panicked}");
        assert_eq!(pool.run(|| 6 * 7).unwrap(), 42);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn jobs_and_their_parts_run_at_low_priority_and_callers_do_not() {
        let own = niceness();
        let pool = Pool::of_all_cores().unwrap();
        let (job, part) = pool.run(|| rayon::join(niceness, niceness)).unwrap();
        assert_eq!((job, part), (own.max(NICENESS), own.max(NICENESS)));
        assert_eq!(niceness(), own);
    }
}
