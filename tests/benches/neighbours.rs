//! What a tenant's cameras notice of another tenant: p50 and p99 from sending a record to having its
//! result, without and with a load beside it, in one run and in phases that take turns, so that the
//! machine's own drift is in both. Prints the figures as they are and asserts nothing.
//!
//! `make bench-neighbours`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that can't go on says so by panicking"
)]

use std::time::Duration;

use comux_tests::latency::permille;
use comux_tests::media;
use comux_tests::neighbours::{Load, compare};

const fn load(cameras: usize, plugin: &'static str, config: &'static str, per_second: u32) -> Load {
    Load { cameras, plugin, config, per_second, ends: false }
}

const LOADS: [(&str, Load); 6] = [
    ("nothing", load(1, "slow", "spin = 1", 25)),
    ("endless loop", load(1, "hostile", "how = 'loop'", 25)),
    ("memory.fill", load(1, "hostile", "how = 'fill', size = 48", 25)),
    ("… with breaker", Load { ends: true, ..load(1, "hostile", "how = 'fill', size = 48", 25) }),
    ("reads in a loop", load(1, "hostile", "how = 'read-loop'", 25)),
    // Of 2 cores its share is half of one. Few records that take long: Kafka, beside it, has no share.
    ("10 × its share", load(10, "slow", "spin = 150_000_000", 4)),
];

fn main() {
    let seconds = std::env::var("SECONDS_PER_PHASE").ok().and_then(|text| text.parse().ok());
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok());
    let phases = (Duration::from_secs(seconds.unwrap_or(8)), rounds.unwrap_or(5));
    println!("three cameras of 768×576 at 25 fps with `motion`, in ms; {phases:?} each");
    println!(
        "{:16} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7}",
        "beside", "p50", "with", "", "p99", "with", ""
    );
    let only = std::env::var("ONLY").unwrap_or_default();
    for (number, (what, load)) in LOADS.iter().enumerate() {
        if !what.contains(&only) {
            continue;
        }
        let (comparison, _) = compare(&format!("bench-{number}"), load, media::lowdelay(), phases);
        let figure = |sorted: &[Duration], of| permille(sorted, of).as_secs_f64() * 1000.0;
        let [p50, p99] = [500, 990].map(|of| {
            let (quiet, loaded) = (figure(&comparison.quiet, of), figure(&comparison.loaded, of));
            format!("{quiet:9.3} {loaded:9.3} {:6.2}×", loaded / quiet)
        });
        let lost = comparison.lost.len();
        println!("{what:16} {p50} {p99}   {} records each, {lost} not analysed", comparison.sent);
    }
}
