//! Cores for comux alone, and another for all that is beside it in a measurement.
//!
//! In earnest Kafka, and those who send and read, have machines of their own. On comux's cores
//! their threads and comux's wait for each other, and that is more beside a plugin that computes
//! all the time, though it leaves its core to anybody: where Linux wakes a thread, it looks for
//! another core only while the cores have much to spare (`SIS_UTIL`, since 6.0), and what such a
//! plugin uses is not spare.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// Those for comux, if it has any for itself.
static FOR_COMUX: OnceLock<CpuSet> = OnceLock::new();

/// From now on the calling thread has one core, with all threads and processes that it begins, and
/// comux the others. Returns how many those are: none on a machine that has but one core, where
/// nothing changes.
///
/// # Panics
/// When the kernel refuses, or it was called before.
#[must_use]
pub fn keep_comux_apart() -> usize {
    let [first, others @ ..] = &*allowed() else { return 0 };
    if !others.is_empty() {
        sched_setaffinity(THIS_THREAD, &set(&[*first])).expect("it may run there already");
        FOR_COMUX.set(set(others)).expect("it is called once");
    }
    others.len()
}

/// Has a process of comux run on the cores that are its own, if there are any.
pub(crate) fn on_own_cores(command: &mut Command) -> &mut Command {
    match FOR_COMUX.get() {
        Some(cores) => on(command, *cores),
        None => command,
    }
}

fn on(command: &mut Command, cores: CpuSet) -> &mut Command {
    // SAFETY: between fork and exec only one system call is made, which allocates nothing and takes
    // no lock.
    unsafe {
        command.pre_exec(move || sched_setaffinity(THIS_THREAD, &cores).map_err(io::Error::from))
    }
}

/// The numbers of the cores on which the calling thread may run.
fn allowed() -> Vec<usize> {
    let allowed = sched_getaffinity(THIS_THREAD).expect("it runs");
    (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect()
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core).expect("it is the number of a core"));
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_on_its_cores() {
        let all = allowed();
        for cores in [&all[..1], &all[1..], &all[..]] {
            if !cores.is_empty() {
                let output = on(&mut Command::new("nproc"), set(cores)).output().unwrap();
                assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), cores.len().to_string());
            }
        }
    }

    #[test]
    fn the_first_core_is_for_what_is_beside_comux() {
        let all = allowed();
        // Affinity is a thread's own.
        let (count, left) = std::thread::spawn(|| (keep_comux_apart(), allowed())).join().unwrap();
        assert_eq!(count, all.len() - 1);
        assert_eq!(left, &all[..1]);
        let comuxs = FOR_COMUX.get().copied();
        assert_eq!(comuxs, (count > 0).then(|| set(&all[1..])));
    }
}
