//! The log, on stderr: written by a thread of its own, so that no camera waits for whoever reads
//! it.
//!
//! stderr may be a pipe that nobody empties. Some lines then wait, and what comes after them is
//! dropped; how much is told as soon as lines can be written again.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::output::{escaped, escaped_json};

/// Bytes that may wait to be written: some twenty thousand lines.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long the end of the process waits for the last lines.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How log lines look.
#[derive(Clone, Copy, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// What is to be written on stderr. Cheap to clone.
#[derive(Clone, Default)]
pub struct Log(Arc<Queue>);

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
    /// Lines were taken, and are not written yet.
    is_writing: bool,
}

impl Log {
    /// Starts the thread that writes.
    pub fn start() -> io::Result<Self> {
        let log = Self::default();
        let queue = Arc::clone(&log.0);
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || queue.write_on(io::stderr()))?;
        Ok(log)
    }

    /// Has all events of this level, or these levels by module, logged.
    pub fn subscribe(&self, levels: &str, format: LogFormat) -> anyhow::Result<()> {
        // A filter takes any other word for a module of which all is logged, and nothing else.
        let is_level = |part: &str| {
            part.is_empty() || part.contains('=') || part.parse::<LevelFilter>().is_ok()
        };
        if let Some(part) = levels.split(',').find(|part| !is_level(part.trim())) {
            let known =
                "error, warn, info, debug, trace or off, or by module, as `comux=debug,warn`";
            return Err(anyhow::anyhow!("--log {levels}: `{part}` is no level; give {known}"));
        }
        let filter = EnvFilter::try_new(levels)
            .map_err(|error| anyhow::anyhow!("--log {levels}: {error}"))?;
        let log = self.clone();
        let events =
            tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stderr().is_terminal());
        match format {
            LogFormat::Text => {
                let events = events.fmt_fields(debug_fn(write_field).delimited(" "));
                events.with_target(false).with_writer(move || log.clone()).init();
            }
            LogFormat::Json => {
                let events = events.json().flatten_event(true);
                events.with_writer(move || JsonLog(log.clone())).init();
            }
        }
        Ok(())
    }

    /// Waits until all lines are written, unless nobody reads them.
    pub fn flush_all(&self) {
        let waits = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let mut state = self.0.lock();
        let _ = self.0.changed.wait_while_for(&mut state, waits, TIMEOUT);
    }
}

/// Messages and values may be a stranger's, who would like to write a line of their own.
fn write_field(out: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = format!("{value:?}");
    let value = escaped(&value);
    match field.name() {
        "message" => write!(out, "{value}"),
        name if out.has_ansi_escapes() => write!(out, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value}"),
        name => write!(out, "{name}={value}"),
    }
}

/// Writes lines of JSON, which may hold what terminals act on: JSON asks for less to be escaped.
struct JsonLog(Log);

impl Write for JsonLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        self.0.write_all(format!("{}\n", escaped_json(text)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Each call is a line.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.bytes + line.len() > MOST_BYTES {
            state.dropped += 1;
        } else {
            state.bytes += line.len();
            state.lines.push_back(line.to_vec());
        }
        self.0.changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    /// Never holds the lock while it writes.
    fn write_on(&self, mut out: impl Write) {
        loop {
            let waiting = |state: &mut State| state.lines.is_empty() && state.dropped == 0;
            let mut state = self.lock();
            self.changed.wait_while(&mut state, waiting);
            let lines = std::mem::take(&mut state.lines);
            let dropped = std::mem::take(&mut state.dropped);
            state.is_writing = true;
            drop(state);
            let mut bytes = 0;
            for line in lines {
                bytes += line.len();
                // Nobody can be told that it failed.
                let _ = out.write_all(&line);
            }
            if dropped > 0 {
                let _ = writeln!(out, "comux: {dropped} log lines were dropped: nobody read them");
            }
            let mut state = self.lock();
            state.bytes -= bytes;
            state.is_writing = false;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes each line only when it is allowed to.
    struct Slow(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.send(line.to_vec()).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_logs_never_waits_and_what_is_dropped_is_counted() {
        let mut log = Log::default();
        let (allow, allowed) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        let queue = Arc::clone(&log.0);
        std::thread::spawn(move || queue.write_on(Slow(allowed, written)));
        let line = vec![b'x'; MOST_BYTES / 4];
        for _ in 0..10 {
            log.write_all(&line).unwrap();
        }
        for _ in 0..10 {
            allow.send(()).unwrap();
        }
        for _ in 0..4 {
            assert_eq!(lines.recv().unwrap(), line);
        }
        let told: Vec<u8> =
            std::iter::from_fn(|| lines.recv_timeout(TIMEOUT).ok()).flatten().collect();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("6 log lines were dropped"), "{told}");
        log.flush_all();
        assert_eq!(log.0.lock().bytes, 0);
    }
}
