//! What a tenant's cameras notice of another tenant: p50 and p99 from sending a record to having its
//! result, without and with a load beside it, in one run and in phases that take turns, so that the
//! machine's own drift is in both. First some loads at length, then every attack of the hostile suite,
//! one after the other. Prints the figures as they are and asserts nothing.
//!
//! A virtual machine may lack its cores for moments, which are in p99 and make it differ between runs. So
//! there is also, as *usual*, the median of what each two phases that came one after the other say of p99;
//! for how long the threads that see the neighbours' records waited for a core, on average each time; and
//! which part of the cores the machine's host took.
//!
//! `make bench-neighbours`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that can't go on says so by panicking"
)]

use std::fs;
use std::time::Duration;

use comux_tests::attack::{Way, all_ways};
use comux_tests::broker::start_for_measuring;
use comux_tests::comparison::{Comparison, Latencies};
use comux_tests::figures;
use comux_tests::home::Home;
use comux_tests::latency::permille;
use comux_tests::media;
use comux_tests::neighbours::{Load, compare, compare_each};
use serde_json::json;

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

/// The hostile suite.
const SUITE: &str = "suite";

/// A pair of phases is disturbed in which the machine's host takes more than this part of the cores.
const DISTURBED: f64 = 0.01;

fn main() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("SECONDS_PER_PHASE").unwrap_or(8);
    let (phase, rounds) = (Duration::from_secs(seconds), number("ROUNDS").unwrap_or(5) as usize);
    start_for_measuring();
    println!("three cameras of 768×576 at 25 fps with `motion`, in ms; phases of {phase:?}");
    println!(
        "{:28} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7} {:>7} {:>9} {:>9} {:>7} {:>7}",
        "beside", "p50", "with", "", "p99", "with", "", "usual", "waited", "with", "taken", "with"
    );
    let only = std::env::var("ONLY").unwrap_or_default();
    for (number, (what, load)) in LOADS.iter().enumerate() {
        if what.contains(&only) {
            let name = format!("bench-{number}");
            let (comparison, _) = compare(&name, load, media::lowdelay(), (phase, rounds));
            let lost = comparison.lost.len();
            print(what, &comparison, |_| true);
            println!("{:28} {} records each, {lost} not analysed", "", comparison.sent);
        }
    }
    // Each of them is but a part of it.
    suite(&only, (phase, rounds.div_ceil(5)));
}

/// All of the suite's ways, or those whose name has `only` in it.
fn suite(only: &str, phases: (Duration, usize)) {
    let home = Home::with_plugins(&["hostile", "motion"]);
    let mut ways = all_ways(&home);
    if !SUITE.contains(only) {
        ways.retain(|way| format!("{}: {}", way.on, way.name).contains(only));
    }
    if ways.is_empty() {
        return;
    }
    let clip = media::lowdelay();
    let (comparison, _) = compare_each("bench-suite", (&home, &ways), clip, phases);
    keep(&ways, &comparison);
    for (number, way) in ways.iter().enumerate() {
        print(&format!("  {}: {}", way.on, way.name), &comparison, |load| load == number);
    }
    let mut groups: Vec<&str> = ways.iter().map(|way| way.on).collect();
    groups.dedup();
    for on in groups {
        print(&format!("all on {on}"), &comparison, |load| ways[load].on == on);
    }
    print(&format!("all {}", ways.len()), &comparison, |_| true);
    println!("{:28} {} records each, {:?}", "", comparison.sent, comparison.lost);
    let undisturbed = comparison.undisturbed(DISTURBED);
    let (left, pairs) = (undisturbed.pairs(), comparison.pairs());
    if (1..pairs).contains(&left) {
        print("of these, undisturbed", &undisturbed, |_| true);
        println!("{:28} {left} of {pairs} pairs of phases", "");
    }
}

/// All that was found, for whoever asks other questions of it: `target/bench/neighbours.json`.
fn keep(ways: &[Way], comparison: &Comparison) {
    let loads: Vec<String> = ways.iter().map(|way| format!("{}: {}", way.on, way.name)).collect();
    let found = json!({ "loads": loads, "found": comparison });
    fs::create_dir_all(figures::directory()).unwrap();
    fs::write(figures::directory().join("neighbours.json"), found.to_string()).unwrap();
}

/// Of these loads.
fn print(what: &str, comparison: &Comparison, is_one: impl Fn(usize) -> bool) {
    let Latencies { quiet, loaded } = comparison.of(&is_one);
    let [p50, p99] = [500, 990].map(|of| {
        let [quiet, loaded] =
            [&quiet, &loaded].map(|sorted| permille(sorted, of).as_secs_f64() * 1000.0);
        format!("{quiet:9.3} {loaded:9.3} {:6.2}×", loaded / quiet)
    });
    let usual = comparison.usual(&is_one, 990);
    let waited = comparison.waited(&is_one).map(|it| it.each_time().as_secs_f64() * 1000.0);
    let waited = waited.map(|millis| format!("{millis:9.3}")).join(" ");
    let taken = comparison.cores(is_one).map(|it| format!("{:6.2}%", it.share_taken() * 100.0));
    println!("{what:28} {p50} {p99} {usual:6.2}× {waited} {}", taken.join(" "));
}
