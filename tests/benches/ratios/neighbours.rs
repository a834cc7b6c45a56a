//! What cameras of others notice of a plugin that never returns: their latency beside it, against
//! without.

use std::time::Duration;

use comux_tests::comparison::Beside;
use comux_tests::figures::{Bound, Table};
use comux_tests::latency::permille;
use comux_tests::media;
use comux_tests::neighbours::{Load, compare};

/// More of them, and other attacks, are in `make bench-neighbours`.
const PHASES: (Duration, usize) = (Duration::from_secs(6), 3);

pub fn measure(table: &mut Table) {
    let (plugin, config) = ("hostile", "how = 'loop'");
    let load = Load { cameras: 1, plugin, config, per_second: 25, ends: false };
    let (found, _) = compare("bench-beside", &load, media::lowdelay(), PHASES);
    assert!(found.came.iter().all(|came| *came == found.sent), "each record comes out once");
    let both = [Beside::Nothing, Beside::Load].map(|beside| found.latencies(beside, |_| true));
    let ratio = |of| {
        let [quiet, loaded] = both.each_ref().map(|it| permille(it, of));
        println!("  {of} of 1000: {quiet:?} without, {loaded:?} beside it");
        loaded.as_secs_f64() / quiet.as_secs_f64()
    };
    let (p50, p99) = (ratio(500), ratio(990));
    table.row("cameras beside an endless loop: latency p50, without = 1", p50, "×");
    let most = Bound::AtMost(1.05);
    table.goal("cameras beside an endless loop: latency p99, without = 1", p99, "×", most);
    for lost in &found.lost {
        println!("  not analysed: {lost:?}");
    }
    let lost = found.lost.len() as f64;
    let none = Bound::AtMost(0.0);
    table.goal("cameras beside an endless loop: not analysed", lost, "records", none);
}
