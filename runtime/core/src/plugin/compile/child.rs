//! The process that compiles one component: `comux compile-plugin`, which no user calls.
//!
//! The component comes on its standard input and the code goes to its standard output, both files.
//! How it ended is its exit code, and for errors a text on standard error.

use std::io::{Read, Write};
use std::process::ExitCode;

use nix::sys::resource::{Resource, setrlimit};

use super::cache::engine_key;
use super::pool::Pool;
use crate::plugin::sandbox::{innermost, wasmtime_engine};
use crate::policy::Digest;

/// The name of the hidden subcommand.
pub(crate) const SUBCOMMAND: &str = "compile-plugin";

/// It is no component, or none that is valid; standard error says why.
pub(crate) const NOT_A_COMPONENT: u8 = 65;
/// The code has more bytes than it may.
pub(crate) const TOO_MUCH_CODE: u8 = 66;
/// How the system says that it gives no more memory.
pub(super) const NO_MEMORY: &str = "Cannot allocate memory";

/// The compiler panicked; standard error says how.
pub(crate) const PANICKED: u8 = 70;
/// It could not begin, or not give out its result; standard error says why.
pub(crate) const UNABLE: u8 = 71;
/// Its engine is another than that of the process that asks.
pub(crate) const OTHER_ENGINE: u8 = 72;

/// Threads that compile. More would save little of a second for the plugins that people write, and
/// each needs address space for its stack and its heap.
const MOST_THREADS: usize = 4;

/// What the process that compiles is told.
#[derive(Debug, Clone, Copy)]
pub struct ChildArguments {
    /// The process that waits for it: without that one it ends.
    pub parent: u32,
    /// What the code is for; see `cache::engine_key`.
    pub engine: Digest,
    /// Bytes of address space that it may have.
    pub memory: u64,
    /// Seconds of processor time that it may take, on all cores together.
    pub cpu_seconds: u64,
    /// Bytes that the code may have.
    pub code_bytes: u64,
}

/// Compiles the component on standard input, as the whole of what this process does: its limits are
/// changed first, and for good.
#[must_use]
pub fn compile_plugin(arguments: ChildArguments) -> ExitCode {
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            eprintln!("{why}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &ChildArguments) -> Result<(), (u8, String)> {
    let unable = |what: &str| {
        let what = what.to_owned();
        move |error: &dyn std::fmt::Display| (UNABLE, format!("{what}: {error}"))
    };
    confine(arguments).map_err(|error| unable("limits")(&error))?;
    let engine = wasmtime_engine().map_err(|error| unable("engine")(&error))?;
    if engine_key(&engine) != arguments.engine {
        return Err((OTHER_ENGINE, "it is another version of comux".to_owned()));
    }
    let mut component = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut component)
        .map_err(|error| unable("component")(&error))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let pool = Pool::new(threads).map_err(|error| unable("threads")(&error))?;
    let code = pool
        .run(|| engine.precompile_component(&component))
        .map_err(|panicked| (PANICKED, panicked.to_string()))?
        .map_err(|error| (NOT_A_COMPONENT, innermost(&error)))?;
    if code.len() as u64 > arguments.code_bytes {
        return Err((TOO_MUCH_CODE, code.len().to_string()));
    }
    let mut output = std::io::stdout().lock();
    let written = output.write_all(&code).and_then(|()| output.flush());
    written.map_err(|error| unable("code")(&error))
}

/// Gives up what this process does not need, before it looks at the component.
fn confine(arguments: &ChildArguments) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    die_with(arguments.parent)?;
    let limit = |resource, most| setrlimit(resource, most, most);
    // No core files of somebody's component.
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_AS, arguments.memory)?;
    // At the hard limit the kernel kills, which looks like a want of memory; a second before, it
    // says that the time is over.
    let seconds = arguments.cpu_seconds;
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds.saturating_add(1))?;
    // Beyond what may be given out, for an error's text.
    limit(Resource::RLIMIT_FSIZE, arguments.code_bytes.saturating_add(64 * 1024))?;
    // The panic's text is given out once, by us; but one in a thread that has no memory for its
    // stack of signals ends the process at once.
    std::panic::set_hook(Box::new(|panic| {
        if let Some(text) = panic.payload_as_str().filter(|text| text.contains(NO_MEMORY)) {
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }));
    Ok(())
}

/// Has the kernel end this process when the one that waits for it ends, and keeps nothing of that
/// one's but the three standard files.
#[cfg(target_os = "linux")]
fn die_with(parent: u32) -> std::io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    nix::sys::prctl::set_no_new_privs()?;
    // A kernel without it (before 5.9) has nothing left open that matters. SAFETY: it takes
    // numbers. Nothing in this process has opened a file yet, so none that it closes is in use.
    let _ = unsafe { nix::libc::syscall(nix::libc::SYS_close_range, 3, nix::libc::c_uint::MAX, 0) };
    // It may have ended before we asked to be told.
    if std::os::unix::process::parent_id() != parent {
        return Err(std::io::Error::other("the process that asked for it has ended"));
    }
    Ok(())
}
