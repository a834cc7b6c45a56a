//! The log goes to stderr, which may be a pipe that nobody reads.

use std::fs;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use comux_tests::home::Home;
use comux_tests::media;
use comux_tests::process::{Config, binary, plugins_line};
use comux_tests::records::{consume, produce};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::promises::{assert_all_means, topics};

/// Megabytes of log, of which a page fits into the pipe.
#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let clip = media::bframes();
    let records = clip.records();
    let (input, output) = topics("unread-log");
    produce(&input, &records);
    let home = Home::new();
    let camera =
        format!("mode = 'every-frame'\nstart = 'beginning'\n{}", plugins_line("brightness", ""));
    let config = Config::new("unread-log").camera("unread-log", &camera);
    fs::write(home.path().join("comux.toml"), config.text()).unwrap();
    let mut comux = Command::new(binary())
        // librdkafka tells of each request.
        .args(["--log", "trace", "run"])
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let unread = comux.stderr.take().unwrap();
    // SAFETY: the descriptor is open; the call changes the size of its buffer and nothing else.
    unsafe { nix::libc::fcntl(unread.as_raw_fd(), nix::libc::F_SETPIPE_SZ, 4096) };
    assert_all_means(clip, &consume(&output, records.len()));
    kill(Pid::from_raw(i32::try_from(comux.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(comux.wait().unwrap().code(), Some(0), "nor the end");
    drop(unread);
}
