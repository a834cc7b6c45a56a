//! What a careful engineer writes in Python, for the same results; and how a script of `peers` is
//! run.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use comux_tests::broker::broker;
use comux_tests::cost;
use comux_tests::figures::{Bound, Table};
use comux_tests::latency::create_topics;
use comux_tests::process::plugins_line;
use comux_tests::{target_dir, tests_dir};

use crate::clips;
use crate::run::{ROUNDS, feed, loops, median, micros, run};

/// A script of `peers`, told the broker's address and the rest, which is killed in the end.
pub struct Peer(Child);

impl Peer {
    /// Starts it and waits until it is ready.
    pub fn start(script: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(target_dir().join("tools/peers/bin/python"));
        command.arg(tests_dir().join("peers").join(script)).arg(broker().bootstrap());
        command.args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().expect("Python; `make setup-bench` installs it");
        let mut said = [0; 6];
        process.stdout.as_mut().unwrap().read_exact(&mut said).expect("it begins");
        assert_eq!(&said, b"ready\n");
        Self(process)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn measure(table: &mut Table) {
    let (clip, mut ratios) = (&clips::full_hd().clip, Vec::new());
    for round in 0..ROUNDS {
        let mut scores = Vec::new();
        let camera = format!("bench-own-{round}");
        let own = run(&loops(&camera, clip), &plugins_line("motion", ""), |record| {
            scores.push(record.header("motion.score").expect("a score").to_owned());
            record.is_analysed()
        });
        let name = format!("bench-python-{round}");
        create_topics(std::slice::from_ref(&name));
        let topics = [format!("raw_{name}"), format!("stream_{name}")];
        let peer = Peer::start("careful.py", &[&topics[0], &topics[1], clip.codec]);
        let mut different = 0;
        let mut expected = scores.iter();
        let cpu = feed(
            &loops(&name, clip),
            || cost::of_process(peer.pid()),
            |record| {
                let score = record.header("motion.score").expect("a score");
                different += usize::from(expected.next().is_none_or(|own| own != score));
            },
        );
        // A cell whose mean is right between two numbers may be rounded either way.
        assert!(different <= scores.len() / 50, "{different} of {} scores differ", scores.len());
        println!("  Python {:.0} µs, comux {:.0} µs", micros(cpu), micros(own.cpu));
        ratios.push(micros(cpu) / micros(own.cpu));
    }
    let ratio = median(ratios);
    table.goal("frames per CPU second, PyAV and OpenCV = 1", ratio, "×", Bound::AtLeast(1.4));
}
