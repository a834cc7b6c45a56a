//! For how long threads wait for a core, as Linux counts it: of what delays a record, the part that
//! is up to the process, whatever the machine's own neighbours do.

use std::collections::HashMap;
use std::iter::Sum;
use std::time::Duration;

use procfs::process::{Process, Task};
use serde::Serialize;

/// What the threads of a process had and lacked so far, by their numbers.
#[derive(Debug, Clone, Default)]
pub struct Waits(HashMap<i32, Waited>);

/// What threads waited for a core.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Waited {
    nanos: u64,
    /// How often they were given one.
    turns: u64,
}

impl Waits {
    /// Those of a process's threads by now whose names are such. None of them, if the kernel does
    /// not count (`CONFIG_SCHED_INFO`).
    ///
    /// # Panics
    /// When the process has ended.
    #[must_use]
    pub fn of_process(process: &Process, is_one: impl Fn(&str) -> bool) -> Self {
        let tasks = process.tasks().expect("it runs").flatten();
        // A thread may end meanwhile.
        let of_task = |task: Task| {
            if !is_one(&task.stat().ok()?.comm) {
                return None;
            }
            let counted = task.schedstat().ok()?;
            Some((task.tid, Waited { nanos: counted.run_delay, turns: counted.pcount }))
        };
        Self(tasks.filter_map(of_task).collect())
    }

    /// What those threads waited since `earlier` that were there all the time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Waited {
        let both = self.0.iter().filter_map(|(thread, now)| Some((now, earlier.0.get(thread)?)));
        both.map(|(now, then)| Waited {
            nanos: now.nanos - then.nanos,
            turns: now.turns - then.turns,
        })
        .sum()
    }
}

impl Waited {
    /// For how long, on average, each time.
    #[must_use]
    pub fn each_time(self) -> Duration {
        Duration::from_nanos(self.nanos / self.turns.max(1))
    }
}

impl Sum for Waited {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            nanos: sum.nanos + one.nanos,
            turns: sum.turns + one.turns,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn who_shares_a_core_waits_for_it() {
        let cores = thread::available_parallelism().unwrap().get();
        let is_over = AtomicBool::new(false);
        let waits =
            || Waits::of_process(&Process::myself().unwrap(), |name| name.starts_with("sharer"));
        thread::scope(|scope| {
            for _ in 0..2 * cores {
                let spin = || {
                    while !is_over.load(Relaxed) {
                        std::hint::spin_loop()
                    }
                };
                thread::Builder::new().name("sharer".into()).spawn_scoped(scope, spin).unwrap();
            }
            let deadline = Instant::now() + crate::PATIENCE;
            let waited = loop {
                let before = waits();
                thread::sleep(Duration::from_millis(50));
                let waited = waits().since(&before).each_time();
                if !waited.is_zero() || Instant::now() > deadline {
                    break waited;
                }
            };
            is_over.store(true, Relaxed);
            assert!(!waited.is_zero());
        });
        assert!(waits().since(&Waits::default()).each_time().is_zero(), "nobody was there before");
    }
}
