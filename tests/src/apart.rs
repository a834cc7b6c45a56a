//! Cores for comux alone, and another for all that is beside it in a measurement.
//!
//! In earnest Kafka, and those who send and read, have machines of their own. On one machine they share
//! comux's cores, and the kernel, when it has a thread wait, does not look whether it waits for comux or
//! for Kafka. Where it wakes a thread it looks for a core only while the cores have much to spare
//! (`SIS_UTIL` of Linux since 6.0), and work that anybody may interrupt counts as what they have not.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// Those for comux, if it has any for itself.
static FOR_COMUX: OnceLock<Cores> = OnceLock::new();

/// Some of the cores.
#[derive(Debug, Clone, Copy)]
struct Cores {
    set: CpuSet,
    count: usize,
}

/// From now on the calling thread has one core, with all threads and processes that it begins, and comux
/// the others. Returns how many those are: none on a machine that has but one core, where nothing changes.
///
/// # Panics
/// When the kernel refuses, or it was called before.
#[must_use]
pub fn keep_comux_apart() -> usize {
    let Some((ours, others)) = split(&sched_getaffinity(THIS_THREAD).expect("it runs")) else {
        return 0;
    };
    sched_setaffinity(THIS_THREAD, &ours).expect("it may run there already");
    FOR_COMUX.set(others).expect("it is called once");
    others.count
}

/// Has a process of comux run on the cores that are its own, if there are any.
pub(crate) fn on_own_cores(command: &mut Command) -> &mut Command {
    match FOR_COMUX.get() {
        Some(cores) => on(command, cores.set),
        None => command,
    }
}

fn on(command: &mut Command, cores: CpuSet) -> &mut Command {
    // SAFETY: between fork and exec only one system call is made, which allocates nothing and takes no
    // lock.
    unsafe {
        command.pre_exec(move || sched_setaffinity(THIS_THREAD, &cores).map_err(io::Error::from))
    }
}

/// The first of these cores, and the others, if there are any.
fn split(cores: &CpuSet) -> Option<(CpuSet, Cores)> {
    let is_one = |core: &usize| cores.is_set(*core).unwrap_or(false);
    let mut numbers = (0..CpuSet::count()).filter(is_one);
    let (mut first, mut others) = (CpuSet::new(), Cores { set: CpuSet::new(), count: 0 });
    first.set(numbers.next()?).expect("it is in a set");
    for number in numbers {
        others.set.set(number).expect("it is in a set");
        others.count += 1;
    }
    (others.count > 0).then_some((first, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        numbers.iter().for_each(|number| set.set(*number).unwrap());
        set
    }

    #[test]
    fn all_but_the_first_are_comuxs() {
        let (first, others) = split(&set(&[1, 2, 5])).unwrap();
        assert_eq!((first, others.set, others.count), (set(&[1]), set(&[2, 5]), 2));
        assert!(split(&set(&[3])).is_none());
    }

    #[test]
    fn a_process_is_on_its_cores() {
        let all = sched_getaffinity(THIS_THREAD).unwrap();
        let Some((first, others)) = split(&all) else { return };
        for (cores, count) in [(first, 1), (others.set, others.count)] {
            let output = on(&mut Command::new("nproc"), cores).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), count.to_string());
        }
    }
}
