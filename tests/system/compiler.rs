//! The process that compiles a plugin: what it may take, that whatever ends it is an answer and no
//! more, and that it never outlives who asked for it.

use std::collections::BTreeSet;

use comux_tests::PATIENCE;
use comux_tests::control::Control;
use comux_tests::handmade::{endless_to_compile, slow_to_compile};
use comux_tests::media;
use comux_tests::process::{Comux, run_to_end};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::LimitValue::Value;
use procfs::process::{FDTarget, Process};

use crate::live::{
    Controlled, all_output, assert_all_analysed, camera, controlled_with, feed_all, only,
    wait_until,
};
use crate::promises::topics;

const PATIENT: &str = "[limits]\ndeadline_ms = 5_000";

/// Whether the process is there and compiles; one that has ended and was not waited for does not.
fn compiles(pid: Pid) -> bool {
    let arguments = Process::new(pid.as_raw()).and_then(|process| process.cmdline());
    arguments.is_ok_and(|arguments| arguments.iter().any(|it| it.contains("compile-plugin")))
}

/// The process in which an instance compiles, once its threads do: it is confined by then.
fn compiler_of(comux: &Comux) -> Pid {
    let mut found = None;
    wait_until("it compiles", || {
        found = comux.children().into_iter().find(|pid| compiles(*pid) && has_threads(*pid));
        found.is_some()
    });
    found.unwrap()
}

/// Whether it has the threads that compile.
fn has_threads(pid: Pid) -> bool {
    let threads = Process::new(pid.as_raw()).and_then(|process| process.tasks());
    let mut stats = threads.into_iter().flatten().flatten().flat_map(|thread| thread.stat());
    stats.any(|stat| stat.comm.starts_with("compile-"))
}

/// Lowers a limit of a process that runs; it can't raise it again.
fn lower(pid: Pid, resource: libc::__rlimit_resource_t, soft: u64, hard: u64) {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is alive; nothing is written, as there is nowhere to.
    let result =
        unsafe { libc::prlimit(pid.as_raw(), resource, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// How it is called, what is compiled, what is done to the process, and words of the answer.
type Blow = (&'static str, &'static str, Box<dyn Fn(Pid)>, &'static str);

/// What may end a process that compiles.
fn blows() -> Vec<Blow> {
    let memory = |pid| lower(pid, libc::RLIMIT_AS, 1 << 20, 1 << 20);
    let cpu = |pid| lower(pid, libc::RLIMIT_CPU, 1, 2);
    let output = |pid| lower(pid, libc::RLIMIT_FSIZE, 1000, 1000);
    let abort = |pid| kill(pid, Signal::SIGABRT).expect("it compiles");
    // As the kernel does when the machine has no more memory.
    let killed = |pid| kill(pid, Signal::SIGKILL).expect("it compiles");
    vec![
        // It has more than that already: the next that it asks for is refused.
        ("memory", "endless", Box::new(memory), "2048 MiB of memory"),
        ("cpu", "slow", Box::new(cpu), "more than the 120 s of processor time"),
        ("output", "slow", Box::new(output), "more than 134217728 bytes"),
        ("abort", "slow", Box::new(abort), "signal 6"),
        ("killed", "slow", Box::new(killed), "2048 MiB of memory"),
    ]
}

#[test]
fn whatever_ends_the_process_that_compiles_is_an_answer_and_no_more() {
    let test = "compiler";
    let Controlled { comux, mut control, home, .. } =
        controlled_with(test, &["brightness", "motion"], PATIENT);
    let feed = feed_all(&[test], media::lowdelay());
    control.done("create", camera(test, only("brightness")));
    topics("compiler-next");
    home.store_file("slow.wasm", &slow_to_compile(80));
    home.store_file("endless.wasm", &endless_to_compile());
    for (how, plugin, end, words) in blows() {
        let value = camera("compiler-next", only(plugin));
        let asked = control.send(&Control::record("create", &value));
        let pid = compiler_of(&comux);
        end(pid);
        let answer = control.answer(&asked);
        assert_eq!(answer["failed_step"], "compile", "{how}: {answer:?}");
        assert!(answer.message().contains(words), "{how}: {answer:?}");
        assert!(!compiles(pid), "{how}: it is gone when that is said");
    }
    control.done("create", camera("compiler-next", only("motion")));
    let output = all_output(feed, media::lowdelay(), (comux, &mut control), &[test]);
    assert_all_analysed(test, &output[0]);
}

#[test]
fn the_process_that_compiles_has_the_limits_that_are_documented_and_nothing_of_its_hosts() {
    let test = "compiler-limits";
    let Controlled { comux, mut control, home, .. } = controlled_with(test, &[], PATIENT);
    topics(test);
    home.store_file("slow.wasm", &slow_to_compile(80));
    let asked = control.send(&Control::record("create", &camera(test, only("slow"))));
    let pid = compiler_of(&comux);
    let process = Process::new(pid.as_raw()).unwrap();
    let limits = process.limits().unwrap();
    for (limit, soft, hard) in [
        (limits.max_address_space, 2 << 30, 2 << 30),
        // The second before the kernel kills without a word is for the word.
        (limits.max_cpu_time, 120, 121),
        (limits.max_core_file_size, 0, 0),
        (limits.max_file_size, (128 << 20) + (64 << 10), (128 << 20) + (64 << 10)),
    ] {
        let [Value(is_soft), Value(is_hard)] = [limit.soft_limit, limit.hard_limit] else {
            panic!("{limit:?}")
        };
        assert_eq!((is_soft, is_hard), (soft, hard));
    }
    assert_eq!(process.status().unwrap().nonewprivs, Some(1));
    assert_eq!(process.stat().unwrap().nice, 10);
    for (variable, value) in process.environ().unwrap() {
        let expected = ["MALLOC_ARENA_MAX", "LD_LIBRARY_PATH"];
        assert!(expected.iter().any(|it| variable == *it), "{variable:?}={value:?}");
    }
    let files = process.fd().unwrap().map(|file| {
        let file = file.unwrap();
        let is_own =
            matches!(&file.target, FDTarget::MemFD(name) if name.starts_with("comux-compile"));
        assert!(is_own, "{file:?}");
        file.fd
    });
    assert_eq!(files.collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 2]));
    kill(pid, Signal::SIGKILL).expect("it compiles");
    assert_eq!(control.answer(&asked)["failed_step"], "compile");
    comux.stop();
}

#[test]
fn a_process_that_compiles_ends_with_its_host_however_that_ends() {
    for (test, is_killed) in [("compiler-killed", true), ("compiler-stopped", false)] {
        let Controlled { comux, mut control, home, .. } = controlled_with(test, &[], PATIENT);
        topics(test);
        home.store_file("slow.wasm", &slow_to_compile(80));
        control.send(&Control::record("create", &camera(test, only("slow"))));
        let pid = compiler_of(&comux);
        if is_killed {
            comux.kill();
        } else {
            comux.stop();
        }
        wait_until("it has ended as well", || !compiles(pid));
    }
}

#[test]
fn a_process_that_compiles_begins_only_for_who_waits_and_for_the_same_engine() {
    let engine = "0".repeat(64);
    let own = std::process::id().to_string();
    for (parent, code, words) in [("1", 71, "has ended"), (&*own, 72, "another version")] {
        let limits = [(2_u64 << 30).to_string(), "240".to_owned(), "1000".to_owned()];
        let arguments = ["compile-plugin", parent, &engine, &limits[0], &limits[1], &limits[2]];
        let output = run_to_end(&arguments, PATIENCE);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{said}");
    }
}
