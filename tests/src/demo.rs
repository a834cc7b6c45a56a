//! A running `comux demo`, read as programs read it: one JSON object per line.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::PATIENCE;
use crate::broker::dies_with_this_thread;
use crate::process::binary;

/// A running demo. It is killed when this is dropped.
pub struct Demo {
    process: Child,
    lines: Receiver<Value>,
}

impl Demo {
    /// Starts it, for longer than any test takes.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start() -> Self {
        let mut process = dies_with_this_thread(&mut Command::new(binary()))
            .args(["demo", "--json", "--seconds", "600"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("a line of JSON");
                // The test may have stopped listening.
                let _ = sender.send(line);
            }
        });
        Self { process, lines }
    }

    /// The next line for which `is_it` holds.
    ///
    /// # Panics
    /// When none comes.
    pub fn wait_until(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("waiting until {what}: {error}"));
            if is_it(&line) {
                return line;
            }
        }
    }

    /// Ends it as Ctrl-C does, and returns its summary.
    ///
    /// # Panics
    /// When it does not end well.
    #[must_use]
    pub fn end(mut self) -> Value {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, Signal::SIGINT).expect("it runs");
        let summary = self.wait_until("it sums up", |line| line["event"] == "summary");
        assert!(self.process.wait().unwrap().success(), "{summary}");
        summary
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
