//! A site: 64 cameras in one process, of which each second picture is analysed. Does it keep up?

use std::collections::BTreeMap;
use std::time::Duration;

use comux_tests::figures::{Bound, Table};
use comux_tests::latency::{Probe, Sample, permille};
use comux_tests::process::{Comux, Config, plugins_line};

use crate::clips;
use crate::run::names;

const CAMERAS: usize = 64;
/// As the timestamps of a clip's records say.
const PER_SECOND: u32 = 10;
const MEASURED: Duration = Duration::from_secs(20);
/// Before that everything starts.
const SETTLING: Duration = Duration::from_secs(4);

pub fn measure(table: &mut Table) {
    let cameras = names("bench-site", CAMERAS);
    let plugin = plugins_line("motion", "");
    let lines = format!("mode = 'live'\nstart = 'beginning'\nrate = 5.0\n{plugin}");
    let mut config = Config::new("bench-site");
    for camera in &cameras {
        config = config.camera(camera, &lines);
    }
    let comux = Comux::run(&config);
    let probe = Probe::start_together(&cameras, &clips::substream().clip, PER_SECOND);
    std::thread::sleep(SETTLING);
    let (before, began) = (comux.cpu(), probe.now());
    std::thread::sleep(MEASURED);
    let (used, ended) = (comux.cpu() - before, probe.now());
    let (sent, mut samples) = probe.stop();
    let _ = comux.stop();
    let samples = samples.remove(0);
    assert_eq!(samples.len(), sent * CAMERAS, "each record comes out once");

    let measured: Vec<&Sample> =
        samples.iter().filter(|sample| (began..ended).contains(&sample.sent)).collect();
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for lost in samples.iter().filter_map(|sample| sample.lost.as_ref()) {
        let reason = lost.reason.as_deref().unwrap_or_default();
        if (lost.status.as_str(), reason) != ("skipped", "rate") {
            *others.entry(format!("{} {reason}", lost.status)).or_default() += 1;
        }
    }
    println!(
        "  {} records, not analysed for other reasons than the rate: {others:?}",
        samples.len()
    );
    let mut latencies: Vec<Duration> = measured
        .iter()
        .filter(|sample| sample.lost.is_none())
        .map(|sample| sample.latency)
        .collect();
    latencies.sort_unstable();
    let seconds = (ended - began).as_secs_f64();
    let what = "64 cameras of 640×360 at 10 fps, 5 analysed";
    let row = |row: &str| format!("{what}: {row}");
    let other = others.values().sum::<usize>() as f64;
    let none = Bound::AtMost(0.0);
    table.goal(&row("left out for want of time"), other, "records", none);
    table.row(&row("analysed"), latencies.len() as f64 / seconds, "per s");
    table.row(&row("CPU"), used.as_secs_f64() / seconds, "cores");
    for (name, of) in [("p50", 500), ("p99", 990)] {
        let latency = permille(&latencies, of).as_secs_f64() * 1e3;
        table.row(&row(&format!("latency, {name}")), latency, "ms");
    }
}
