//! What a tenant's cameras notice of another tenant: p50 and p99 from sending a record to having
//! its result, without and with a load beside it, in one run and in phases that take turns, so that
//! the machine's own drift is in both. First some loads at length, then every attack of the hostile
//! suite, one after the other. Prints the figures as they are and asserts nothing.
//!
//! One more camera is work for the broker and for the cores whatever it does. So before each attack
//! comes a phase in which the attacker behaves: it has a camera like the others, if the attack has
//! one, and sends it as many records. *of both* is the attack against that, what the attack itself
//! adds.
//!
//! Kafka and those who send and read have a core of their own, as they have machines of their own
//! in earnest; comux has the others. With `TOGETHER` set to anything all have all cores. Kafka
//! never stands still to collect garbage, nor for the disk, which would be a hundred milliseconds
//! for all records at once.
//!
//! A virtual machine may lack its cores for moments, which are in p99 and make it differ between
//! runs. So there is also, as *usual*, the median of *of both* of p99 over the turns; for how long
//! the threads that see the neighbours' records waited for a core, on average each time; and which
//! part of the cores the machine's host took.
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

use comux_tests::apart::keep_comux_apart;
use comux_tests::attack::{Way, all_ways};
use comux_tests::broker::start_for_measuring_tails;
use comux_tests::comparison::{Beside, Comparison};
use comux_tests::figures;
use comux_tests::home::Home;
use comux_tests::host::groups_sessions;
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
    // Of 2 cores its share is half of one. Few records that take long: Kafka, beside it, has no
    // share.
    ("10 × its share", load(10, "slow", "spin = 150_000_000", 4)),
];

/// The hostile suite.
const SUITE: &str = "suite";

/// How wide the column of names is.
const NAME: usize = 42;

/// Phases are disturbed in which the machine's host takes more than this part of the cores.
const DISTURBED: f64 = 0.01;

fn main() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("SECONDS_PER_PHASE").unwrap_or(8);
    let (phase, rounds) = (Duration::from_secs(seconds), number("ROUNDS").unwrap_or(5) as usize);
    let own = if std::env::var_os("TOGETHER").is_none() { keep_comux_apart() } else { 0 };
    let _broker = start_for_measuring_tails();
    println!("three cameras of 768×576 at 25 fps with `motion`, in ms; phases of {phase:?}");
    match own {
        0 => println!("comux shares the cores with Kafka and those who send and read"),
        own => println!("comux has {own} of the cores, Kafka and those who send and read another"),
    }
    if groups_sessions() {
        println!("kernel.sched_autogroup_enabled is 1: on some kernels all may wait for a plugin");
    }
    let of_each = format!("{:>8} {:>8} {:>8}", "behaved", "attack", "of both");
    println!(
        "{:NAME$} {:>9} {of_each} {:>9} {of_each} {:>7} {:>8} {:>8} {:>8} {:>7}",
        "beside", "p50", "p99", "usual", "waited", "behaved", "attack", "taken"
    );
    let only = std::env::var("ONLY").unwrap_or_default();
    for (number, (what, load)) in LOADS.iter().enumerate() {
        if what.contains(&only) {
            let name = format!("bench-{number}");
            let (comparison, _) = compare(&name, load, media::lowdelay(), (phase, rounds));
            print(what, &comparison, |_| true);
            print_sent(&comparison);
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
    print_sent(&comparison);
    let undisturbed = comparison.undisturbed(DISTURBED);
    let (left, turns) = (undisturbed.turns(), comparison.turns());
    if (1..turns).contains(&left) {
        print("of these, undisturbed", &undisturbed, |_| true);
        println!("{:NAME$} {left} of {turns} turns of three phases", "");
    }
}

/// All that was found, for whoever asks other questions of it: `target/bench/neighbours.json`.
fn keep(ways: &[Way], comparison: &Comparison) {
    let loads: Vec<String> = ways.iter().map(|way| format!("{}: {}", way.on, way.name)).collect();
    let found = json!({ "loads": loads, "found": comparison });
    fs::create_dir_all(figures::directory()).unwrap();
    fs::write(figures::directory().join("neighbours.json"), found.to_string()).unwrap();
}

fn print_sent(comparison: &Comparison) {
    let (sent, lost) = (comparison.sent, comparison.lost.len());
    println!("{:NAME$} {sent} records each, {lost} not analysed", "");
}

/// Of these loads.
fn print(what: &str, comparison: &Comparison, is_one: impl Fn(usize) -> bool) {
    let all = [Beside::Nothing, Beside::Behaved, Beside::Load];
    let found = all.map(|beside| comparison.latencies(beside, &is_one));
    let of_each = |of| {
        let millis = found.each_ref().map(|sorted| {
            let some = (!sorted.is_empty()).then(|| permille(sorted, of));
            some.map(|latency| latency.as_secs_f64() * 1000.0)
        });
        let against = |other: Option<f64>, this: Option<f64>| {
            this.zip(other).map_or(String::new(), |(this, other)| format!("{:.2}×", this / other))
        };
        let [nothing, behaved, load] = millis;
        let ratios = [against(nothing, behaved), against(nothing, load), against(behaved, load)];
        let ratios = ratios.map(|ratio| format!("{ratio:>8}")).join(" ");
        format!("{:9.3} {ratios}", nothing.unwrap_or_default())
    };
    let other = if found[1].is_empty() { Beside::Nothing } else { Beside::Behaved };
    let usual = comparison.usual(other, &is_one, 990);
    let waited = all.map(|beside| {
        if beside == Beside::Behaved && other != beside {
            return format!("{:8}", "");
        }
        let each = comparison.waited(beside, &is_one).each_time();
        format!("{:8.3}", each.as_secs_f64() * 1000.0)
    });
    let waited = waited.join(" ");
    let taken = comparison.cores(is_one).share_taken() * 100.0;
    println!("{what:NAME$} {} {} {usual:6.2}× {waited} {taken:6.2}%", of_each(500), of_each(990));
}
