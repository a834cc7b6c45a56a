//! Having a component compiled by a process of its own: started, watched, ended.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::wait::WaitPidFlag;

use super::child;
use crate::plugin::supply::LoadProblem;
use crate::policy::{Digest, LoadLimits};
use crate::sched::{cpu_time, sched_idle};

/// How often the process is looked at: it is done within a quarter of a second, mostly.
const GLANCE: Duration = Duration::from_millis(2);

/// Bytes of what it says that are of interest.
const MOST_WORDS: u64 = 4096;

/// How the standard library says that memory is out, before it aborts.
const OUT_OF_MEMORY: &str = "memory allocation of";
/// How it says that a stack is.
const OUT_OF_STACK: &str = "overflowed its stack";

/// A process that leaves the cores to others is looked at so often …
const TRIAL: Duration = Duration::from_secs(1);
/// … and has to get on: with less of a core than one in so many, it shares them at low priority.
/// That is about what its niceness gives it beside one other thread.
const ENOUGH: u32 = 10;

/// Has `program` compile a component for an engine with this key; the code. `charge` gets the CPU
/// time that went into it, as soon as the process has ended, in whatever way.
pub(crate) fn compile(
    program: &Path,
    engine: Digest,
    component: &[u8],
    limits: &LoadLimits,
    charge: impl FnOnce(Duration),
) -> Result<Vec<u8>, LoadProblem> {
    let unable = |cause: io::Error| LoadProblem::NoCompiler(cause.to_string());
    let mut input = anonymous_file().map_err(unable)?;
    input.write_all(component).and_then(|()| input.rewind()).map_err(unable)?;
    let (mut code, mut words) =
        (anonymous_file().map_err(unable)?, anonymous_file().map_err(unable)?);
    let mut running =
        CompilerProcess::start(program, engine, limits, [&input, &code, &words]).map_err(unable)?;
    let in_time = running.wait(limits.compile_time).map_err(unable)?;
    // It is gone before anything else happens, also when its time was over.
    let (ended, cpu) = running.end().map_err(unable)?;
    charge(cpu);
    if !in_time {
        return Err(LoadProblem::Late(limits.compile_time));
    }
    let mut said = Vec::new();
    words.rewind().and_then(|()| words.take(MOST_WORDS).read_to_end(&mut said)).map_err(unable)?;
    judge(ended, String::from_utf8_lossy(&said).trim(), limits)?;
    let mut read = Vec::new();
    code.rewind()
        .and_then(|()| code.take(limits.code_bytes.saturating_add(1)).read_to_end(&mut read))
        .map_err(unable)?;
    if read.len() as u64 > limits.code_bytes {
        return Err(LoadProblem::TooMuchCode(limits.code_bytes));
    }
    Ok(read)
}

/// A process that compiles; it does not outlive this.
struct CompilerProcess {
    child: Child,
    /// Present as long as it leaves the cores to others.
    behind: Option<Behind>,
}

impl CompilerProcess {
    fn start(
        program: &Path,
        engine: Digest,
        limits: &LoadLimits,
        files: [&File; 3],
    ) -> io::Result<Self> {
        let [input, code, words] = files.map(File::try_clone);
        let seconds = limits.compile_cpu.as_secs().max(1);
        let mut command = Command::new(program);
        command
            .arg0("comux")
            .arg(child::SUBCOMMAND)
            .args([std::process::id().to_string(), engine.to_string()])
            .args([limits.compile_memory, seconds, limits.code_bytes].map(|it| it.to_string()))
            .stdin(Stdio::from(input?))
            .stdout(Stdio::from(code?))
            .stderr(Stdio::from(words?))
            // Whatever secrets are in there.
            .env_clear()
            // Each heap of glibc's reserves 64 MiB of address space, which has a limit.
            .env("MALLOC_ARENA_MAX", "2");
        // Without it a program that was linked to libraries in unusual places does not start.
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", path);
        }
        let child = command.spawn()?;
        let behind = Behind::send(&child);
        Ok(Self { child, behind })
    }

    /// Waits until it ends, and leaves it unreaped; whether it did before its time was over.
    fn wait(&mut self, time: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + time;
        loop {
            if self.await_end(WaitPidFlag::WNOHANG)? {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            if self.behind.as_mut().is_some_and(Behind::is_starved) {
                self.behind = None;
                sched_idle::promote_process(self.child.id());
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Ends it, if it still runs. How it ended, and the CPU time that it used.
    fn end(mut self) -> io::Result<(ExitStatus, Duration)> {
        // It fails only when it has been waited for.
        let _ = self.child.kill();
        while !self.await_end(WaitPidFlag::empty())? {}
        let used = cpu_time::of_process(self.child.id()).unwrap_or_default();
        Ok((self.child.wait()?, used))
    }

    /// Whether it has ended. Its clock stays until it is reaped.
    #[cfg(target_os = "linux")]
    fn await_end(&mut self, flags: WaitPidFlag) -> io::Result<bool> {
        use nix::errno::Errno;
        use nix::sys::wait::{Id, WaitStatus, waitid};
        use nix::unistd::Pid;
        let process = Id::Pid(Pid::from_raw(self.child.id().cast_signed()));
        match waitid(process, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | flags) {
            Ok(status) => Ok(status != WaitStatus::StillAlive),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Likewise, where nobody could read its clock.
    #[cfg(not(target_os = "linux"))]
    fn await_end(&mut self, flags: WaitPidFlag) -> io::Result<bool> {
        if flags.contains(WaitPidFlag::WNOHANG) {
            Ok(self.child.try_wait()?.is_some())
        } else {
            self.child.wait().map(|_| true)
        }
    }
}

impl Drop for CompilerProcess {
    fn drop(&mut self) {
        // Both fail only when it has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that leaves the cores to others, which is well as long as some are left over.
struct Behind {
    process: u32,
    looked: Instant,
    /// CPU time that it had used then.
    used: Duration,
}

impl Behind {
    /// Sends it there, if that is possible.
    fn send(child: &Child) -> Option<Self> {
        let process = child.id();
        let behind = Self { process, looked: Instant::now(), used: Duration::ZERO };
        sched_idle::demote_process(process).then_some(behind)
    }

    /// Whether there was too little left over for it.
    fn is_starved(&mut self) -> bool {
        let passed = self.looked.elapsed();
        if passed < TRIAL {
            return false;
        }
        // Without a clock it could wait for ever.
        let used = cpu_time::of_process(self.process).unwrap_or_default();
        let had = used.saturating_sub(self.used);
        (self.looked, self.used) = (Instant::now(), used);
        had < passed / ENOUGH
    }
}

/// What the end of the process means.
fn judge(ended: ExitStatus, said: &str, limits: &LoadLimits) -> Result<(), LoadProblem> {
    let memory = || LoadProblem::CompilerMemory(limits.compile_memory);
    let Some(code) = ended.code() else {
        let signal = ended.signal().unwrap_or_default();
        return Err(match signal {
            libc::SIGXCPU => LoadProblem::CompilerTime(limits.compile_cpu),
            libc::SIGXFSZ => LoadProblem::TooMuchCode(limits.code_bytes),
            _ if said.contains(OUT_OF_STACK) => LoadProblem::CompilerCrashed {
                signal,
                how: "its stack was not deep enough for the plugin's code",
            },
            // The kernel kills when the machine, or the container, has no more.
            libc::SIGKILL => memory(),
            _ if said.contains(OUT_OF_MEMORY) || said.contains(child::NO_MEMORY) => memory(),
            _ => LoadProblem::CompilerCrashed { signal, how: "it was ended by a signal" },
        });
    };
    let said = said.to_owned();
    match u8::try_from(code) {
        Ok(0) => Ok(()),
        Ok(child::NOT_A_COMPONENT) => Err(LoadProblem::NotAComponent(said)),
        Ok(child::TOO_MUCH_CODE) => Err(LoadProblem::TooMuchCode(limits.code_bytes)),
        // A thread that can't be had, or a mapping that can't be made, is an error of its own.
        Ok(child::PANICKED | child::UNABLE) if said.contains(child::NO_MEMORY) => Err(memory()),
        Ok(child::PANICKED) => Err(LoadProblem::CompilerFailed(said)),
        _ => Err(LoadProblem::NoCompiler(format!("exit code {code}: {said}"))),
    }
}

/// A file in memory that nobody else can open.
#[cfg(target_os = "linux")]
fn anonymous_file() -> io::Result<File> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    Ok(memfd_create(c"comux-compile", MFdFlags::MFD_CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file() -> io::Result<File> {
    tempfile::tempfile()
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;
    use crate::plugin::compile::pool::Pool;
    use crate::policy::{CoreCount, Quota};
    use crate::tenancy::Tenants;

    /// A program that does this instead of compiling, whatever it is asked.
    fn compile_by(script: &str, limits: &LoadLimits) -> Result<Vec<u8>, LoadProblem> {
        compile_charged(script, limits, |_| {})
    }

    fn compile_charged(
        script: &str,
        limits: &LoadLimits,
        charge: impl FnOnce(Duration),
    ) -> Result<Vec<u8>, LoadProblem> {
        let directory = tempfile::tempdir().unwrap();
        let (text, program) = (directory.path().join("text"), directory.path().join("compiler"));
        std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        // Not written by ourselves: whatever another test starts meanwhile has our open files until
        // it is another program, and no file is executed while somebody may write into it.
        let mut install = Command::new("install");
        let installed = install.args(["-m", "700"]).args([&text, &program]).status().unwrap();
        assert!(installed.success(), "{installed}");
        compile(&program, Digest::of(b"engine"), b"component", limits, charge)
    }

    #[test]
    fn what_comes_of_a_process_is_told_apart_and_has_a_remedy() {
        let limits = LoadLimits { code_bytes: 1000, ..LoadLimits::default() };
        let run = |script: &str| compile_by(script, &limits);
        assert_eq!(run("cat; echo \" $1 $#\"").unwrap(), b"component compile-plugin 6\n");
        for (script, words) in [
            ("echo no sections >&2; exit 65", &["not a WebAssembly component: no sections"][..]),
            ("exit 66", &["more than 1000 bytes", "smaller"]),
            ("head -c 1001 /dev/zero", &["more than 1000 bytes", "smaller"]),
            ("echo 'failed by a bug' >&2; exit 70", &["failed by a bug", "report"]),
            ("echo 'threads: Cannot allocate memory' >&2; exit 71", &["2048 MiB", "smaller"]),
            ("exit 72", &["exit code 72"]),
            ("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$", &["2048 MiB"]),
            ("echo 'a stack: Cannot allocate memory' >&2; kill -ABRT $$", &["2048 MiB"]),
            ("kill -KILL $$", &["2048 MiB"]),
            ("kill -SEGV $$", &["crashed", "signal 11"]),
            ("echo 'thread x has overflowed its stack' >&2; kill -ABRT $$", &["stack", "smaller"]),
            ("kill -XCPU $$", &["more than the 120 s of processor time", "smaller"]),
            ("kill -XFSZ $$", &["more than 1000 bytes"]),
        ] {
            let problem = run(script).unwrap_err().to_string();
            assert!(words.iter().all(|words| problem.contains(words)), "{script}: {problem}");
        }
        let nowhere = compile(Path::new("/no/compiler"), Digest::of(b""), b"", &limits, |_| {});
        assert!(nowhere.unwrap_err().to_string().contains("does not work"));
    }

    /// What the standard library says and does then is its own matter, and no promise of its.
    #[test]
    fn a_stack_that_is_used_up_is_told_from_other_crashes() {
        fn deeper(depth: u64) -> u64 {
            if black_box(depth) == u64::MAX { 0 } else { black_box(deeper(depth + 1)) + 1 }
        }
        // This very test is the program as well.
        if std::env::var_os("COMUX_TEST_OVERFLOWS").is_some() {
            let _ = Pool::new(1).unwrap().run(|| deeper(0));
        }
        let program = std::env::current_exe().unwrap();
        let (_, module) = module_path!().split_once("::").unwrap();
        let test = format!("{module}::a_stack_that_is_used_up_is_told_from_other_crashes");
        let script = format!(
            "COMUX_TEST_OVERFLOWS=1 exec '{}' --exact {test} --nocapture",
            program.display()
        );
        let crashed = compile_by(&script, &LoadLimits::default()).unwrap_err();
        let LoadProblem::CompilerCrashed { signal, how } = crashed else { panic!("{crashed}") };
        assert_eq!(signal, libc::SIGABRT);
        assert!(how.contains("stack"), "{how}");
    }

    #[test]
    fn when_its_time_is_over_the_process_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let limits =
            LoadLimits { compile_time: Duration::from_millis(300), ..LoadLimits::default() };
        let begin = Instant::now();
        let script = format!("echo $$ > {}; exec sleep 60", file.display());
        let late = compile_by(&script, &limits).unwrap_err();
        assert!(matches!(late, LoadProblem::Late(_)), "{late}");
        assert!(begin.elapsed() < Duration::from_secs(10));
        let pid = std::fs::read_to_string(&file).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "it was waited for as well");
    }

    /// It shows in what the tenant has used, and takes nothing from what its frames may use: it ran
    /// on cores that nobody else wanted.
    #[test]
    #[cfg(target_os = "linux")]
    fn what_compiling_took_is_charged_however_it_ended_and_has_no_frame_skipped() {
        let count = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        for (script, is_code) in [
            (count.to_owned(), true),
            (format!("{count}; exit 70"), false),
            ("while :; do :; done".to_owned(), false),
        ] {
            // Only what never ends is cut short, however busy the machine is.
            let compile_time =
                Duration::from_secs(if script.starts_with("while") { 2 } else { 60 });
            let limits = LoadLimits { compile_time, ..LoadLimits::default() };
            let quota = Quota { cpu: CoreCount::try_from(0.01).ok(), ..Quota::default() };
            let tenants = Tenants::new(vec![("acme".into(), 1, quota)], Quota::default());
            let tenant = tenants.get("acme").unwrap();
            let charge = |cpu| tenant.charge_compile(cpu);
            assert_eq!(compile_charged(&script, &limits, charge).is_ok(), is_code, "{script}");
            let used = tenant.usage();
            assert!(used.cpu_us > 10_000 && used.calls == 0, "{script}: {used:?}");
            assert!(tenant.may_analyse(Instant::now()), "{script}");
        }
    }

    /// Each loop ends only when the one policy, and then the other, is seen.
    #[test]
    #[cfg(target_os = "linux")]
    fn it_leaves_the_cores_to_others_until_it_is_starved() {
        if !sched_idle::is_allowed() {
            return;
        }
        let limits = LoadLimits { compile_time: Duration::from_secs(30), ..LoadLimits::default() };
        let until = |policy| format!("until chrt -p $$ | grep -q {policy}; do sleep 0.05; done");
        // Asleep, it uses next to nothing, as if others had the cores.
        let script = format!("{}; {}; echo back", until("SCHED_IDLE"), until("SCHED_OTHER"));
        assert_eq!(compile_by(&script, &limits).unwrap(), b"back\n");
    }

    #[test]
    fn it_learns_nothing_from_our_environment() {
        let output = compile_by("tr '\\0' '\\n' < /proc/$$/environ", &LoadLimits::default());
        let text = String::from_utf8(output.unwrap()).unwrap();
        let names = text.lines().filter_map(|line| line.split('=').next());
        let known = ["MALLOC_ARENA_MAX", "LD_LIBRARY_PATH", "PWD"];
        assert!(names.into_iter().all(|name| known.contains(&name)), "{text}");
    }
}
