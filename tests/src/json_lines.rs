//! A command that prints one JSON object per line until it is ended, read as programs read it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::PATIENCE;
use crate::broker::dies_with_this_thread;
use crate::process::binary;

/// The running command. It is killed when this is dropped.
pub struct JsonLines {
    process: Child,
    lines: Receiver<Value>,
}

impl JsonLines {
    /// Starts `comux` with these arguments.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let mut process = dies_with_this_thread(&mut Command::new(binary()))
            .args(arguments)
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

    /// Sends what Ctrl-C sends.
    ///
    /// # Panics
    /// When it has ended.
    pub fn interrupt(&self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, Signal::SIGINT).expect("it runs");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When the operating system does not say.
    pub fn wait(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for JsonLines {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
