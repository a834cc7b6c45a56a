//! The binary under test, as its users run it: a configuration file, signals, exit codes, logs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;

use crate::apart::on_own_cores;
use crate::broker::{broker, dies_with_this_thread};
use crate::ended::{Ended, fields};
use crate::home::Home;
use crate::waits::Waits;
use crate::{PATIENCE, profile_dir};

/// The binary: `COMUX_BIN`, or the one beside the tests.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn binary() -> PathBuf {
    let path =
        std::env::var_os("COMUX_BIN").map_or_else(|| profile_dir().join("comux"), PathBuf::from);
    assert!(path.is_file(), "{} is missing; `make test` builds it", path.display());
    path
}

/// A configuration file in the making.
pub struct Config {
    text: String,
}

impl Config {
    /// For the real broker. `name` must be unique: offsets are committed under it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::with_broker(name, &broker().bootstrap())
    }

    /// For a broker at this address.
    #[must_use]
    pub fn with_broker(name: &str, address: &str) -> Self {
        let text =
            format!("[runtime]\nname = \"{name}\"\n[kafka]\nbootstrap_servers = \"{address}\"\n");
        Self { text }
    }

    /// Adds lines of TOML.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        self.text.push_str(lines);
        self.text.push('\n');
        self
    }

    /// Adds a camera: its id and further lines of its table.
    #[must_use]
    pub fn camera(self, id: &str, lines: &str) -> Self {
        self.with(&format!("[[cameras]]\nid = \"{id}\"\n{lines}"))
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The line `plugins = […]` of a camera that runs one plugin with this configuration (TOML).
#[must_use]
pub fn plugins_line(name: &str, config: &str) -> String {
    format!("plugins = [{}]", plugin_entry(name, config))
}

/// One entry of a camera's `plugins`.
#[must_use]
pub fn plugin_entry(name: &str, config: &str) -> String {
    format!("{{ source = \"{}\", config = {{ {config} }} }}", crate::plugin(name).display())
}

/// A running `comux run`.
pub struct Comux {
    process: Child,
    log: Receiver<String>,
    lines: Vec<String>,
    home: Home,
}

impl Comux {
    /// Starts `comux run` and waits until all cameras consume.
    ///
    /// # Panics
    /// When it ends before, or takes too long.
    #[must_use]
    pub fn run(config: &Config) -> Self {
        Self::run_in(&Home::new(), config)
    }

    /// As [`Comux::run`], in a directory in which it may have run before.
    ///
    /// # Panics
    /// When it ends before, or takes too long.
    #[must_use]
    pub fn run_in(home: &Home, config: &Config) -> Self {
        let mut comux = Self::start(home, config);
        comux.wait_until("it runs", |line| message(line).as_deref() == Some("running"));
        comux
    }

    /// As [`Comux::run_in`], and waits for nothing.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(home: &Home, config: &Config) -> Self {
        let file = home.path().join("comux.toml");
        fs::write(&file, config.text()).unwrap();
        let mut process = on_own_cores(dies_with_this_thread(&mut Command::new(binary())))
            .args(["run", "--log-format", "json", "--config"])
            .arg(&file)
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have stopped listening.
                let _ = sender.send(line);
            }
        });
        Self { process, log, lines: Vec::new(), home: home.clone() }
    }

    /// Whether the process has ended.
    ///
    /// # Panics
    /// When the operating system does not say.
    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// Waits for a line of the log that has these words.
    ///
    /// # Panics
    /// When none comes.
    pub fn logs(&mut self, words: &str) {
        self.wait_until(&format!("it logs `{words}`"), |line| line.contains(words));
    }

    /// Waits for a line of the log.
    fn wait_until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => {
                    let found = is_it(&line);
                    self.lines.push(line);
                    if found {
                        return;
                    }
                }
                Err(_) => panic!("waiting until {what}; its log:\n{}", self.lines.join("\n")),
            }
        }
    }

    /// Its process.
    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap())
    }

    /// What the operating system knows of its process.
    fn known(&self) -> Process {
        Process::new(self.pid().as_raw()).expect("comux is running")
    }

    /// The memory that it has by now, in bytes.
    ///
    /// # Panics
    /// When the process has ended.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = self.known().status().expect("comux is running");
        status.vmrss.expect("it has memory") * 1024
    }

    /// The most memory that it had at a time, in bytes.
    ///
    /// # Panics
    /// When the process has ended.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status = self.known().status().expect("comux is running");
        status.vmhwm.expect("it has memory") * 1024
    }

    /// The CPU time that it has used.
    ///
    /// # Panics
    /// When the process has ended.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        crate::cost::of_process(self.process.id())
    }

    /// How many threads it has.
    ///
    /// # Panics
    /// When the process has ended.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.known().tasks().expect("comux is running").count()
    }

    /// What its threads with such names waited for a core by now.
    ///
    /// # Panics
    /// When the process has ended.
    #[must_use]
    pub fn waits(&self, is_one: impl Fn(&str) -> bool) -> Waits {
        Waits::of_process(&self.known(), is_one)
    }

    /// How many files, sockets and the like it has open.
    ///
    /// # Panics
    /// When the process has ended.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.known().fd_count().expect("comux is running")
    }

    /// The processes that it has started and not yet waited for.
    ///
    /// # Panics
    /// When there is no `/proc`.
    #[must_use]
    pub fn children(&self) -> Vec<Pid> {
        // One may end while it is looked at.
        let stats = procfs::process::all_processes().expect("/proc").flatten();
        let stats = stats.filter_map(|process| process.stat().ok());
        let ours = stats.filter(|stat| stat.ppid == self.pid().as_raw());
        ours.map(|stat| Pid::from_raw(stat.pid)).collect()
    }

    /// Sends SIGKILL and waits until it is gone.
    pub fn kill(self) {
        drop(self);
    }

    /// Sends SIGTERM.
    ///
    /// # Panics
    /// When the process has ended.
    pub fn terminate(&self) {
        kill(self.pid(), Signal::SIGTERM).expect("comux is running");
    }

    /// Sends SIGTERM and waits until it has drained and ended, which must go without an error.
    ///
    /// # Panics
    /// When it does not end in time, or not with exit code 0, or a thread panicked.
    pub fn stop(self) -> Ended {
        self.stop_by(Signal::SIGTERM)
    }

    /// As [`Comux::stop`], by another signal.
    ///
    /// # Panics
    /// As that does.
    pub fn stop_by(self, signal: Signal) -> Ended {
        kill(self.pid(), signal).expect("comux is running");
        let ended = self.wait();
        assert_eq!(ended.code, Some(0), "exit code; its log:\n{}", ended.log.join("\n"));
        ended
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not end in time, or a thread panicked.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        // Its standard error is closed when it ends.
        while let Ok(line) =
            self.log.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.lines.push(line);
        }
        assert!(Instant::now() < deadline, "it does not end; its log:\n{}", self.lines.join("\n"));
        let code = self.process.wait().unwrap().code();
        let log = std::mem::take(&mut self.lines);
        // As Rust says it. A plugin's panic is in the log, and no fault.
        let panicked =
            log.iter().find(|it| it.starts_with("thread '") && it.contains(" panicked "));
        assert_eq!(panicked, None, "nothing panics");
        Ended { code, log }
    }
}

impl Comux {
    /// What it logged lately, and how its cameras are: whoever gives up waiting for a record has to
    /// know where it is.
    fn explain(&mut self) {
        self.lines.extend(self.log.try_iter());
        let lately = self.lines.len().saturating_sub(30);
        eprintln!("comux, when the test failed:\n{}", self.lines[lately..].join("\n"));
        let file = self.home.path().join("comux.toml").display().to_string();
        let status = Command::new(binary())
            .args(["status", "--json", "--timeout", "10", "--config", &file])
            .stdin(Stdio::null())
            .output();
        if let Ok(status) = status {
            eprintln!("{}", String::from_utf8_lossy(&status.stdout));
        }
    }
}

impl Drop for Comux {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.explain();
        }
        // Fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn message(line: &str) -> Option<String> {
    fields(line)?["message"].as_str().map(str::to_owned)
}

/// Runs comux to its end, which must come within `patience`.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn run_to_end(arguments: &[&str], patience: Duration) -> Output {
    let child = dies_with_this_thread(&mut Command::new(binary()))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (ended, output) = channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    match output.recv_timeout(patience) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            kill(pid, Signal::SIGKILL).expect("comux is running");
            panic!("comux {arguments:?} does not end within {patience:?}");
        }
    }
}

/// Runs `comux run` with a configuration that must make it end.
///
/// # Panics
/// When it does not end.
#[must_use]
pub fn refused(config: &Config) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("comux.toml");
    fs::write(&file, config.text()).unwrap();
    let file = file.to_str().expect("a path of UTF-8");
    let output = run_to_end(&["run", "--config", file], PATIENCE);
    (output.status.code(), String::from_utf8(output.stderr).expect("messages of UTF-8"))
}
