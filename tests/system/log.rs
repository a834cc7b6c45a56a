//! The log goes to stderr, which may be a pipe that nobody reads.

use std::fs;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use comux_tests::broker::Broker;
use comux_tests::home::Home;
use comux_tests::media;
use comux_tests::process::{Comux, Config, binary, plugins_line};
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

#[test]
fn an_outage_is_one_line_and_its_end_another() {
    let broker = Broker::start();
    let config = Config::with_broker("log-outage", &broker.bootstrap())
        .with("[kafka.properties]\n\"socket.timeout.ms\" = 2000")
        .camera("log-outage-one", "")
        .camera("log-outage-two", "");
    let mut comux = Comux::run(&config);
    for _ in 0..2 {
        broker.stand_still(true);
        comux.logs("answers: ");
        // Long enough for every client to lose its connections again.
        std::thread::sleep(Duration::from_secs(8));
        broker.stand_still(false);
        comux.logs("answers again, after ");
    }
    let log = comux.stop().log;
    let outages: Vec<&String> = log.iter().filter(|line| line.contains("kafka")).collect();
    assert_eq!(outages.len(), 4, "{outages:#?}");
    assert!(outages[0].contains("no broker of `127.0.0.1:"), "{outages:#?}");
    assert!(outages.iter().step_by(2).all(|line| line.contains("WARN")), "{outages:#?}");
}
