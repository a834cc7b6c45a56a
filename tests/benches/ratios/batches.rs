//! Frames of several cameras in one call: how full calls are, and what their frames wait for that.

use std::time::Duration;

use comux_tests::control::{Control, Names};
use comux_tests::figures::{Bound, Table};
use comux_tests::home::Home;
use comux_tests::latency::{Probe, create_topics};
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line};
use serde_json::Value;

use crate::run::names;

/// As in the figures of Roboflow's inference server that are to be beaten (its pull request 2651):
/// 7.87 of 8, and 89.8 % of calls full.
const CAMERAS: usize = 8;
const PER_SECOND: u32 = 15;
/// Before that the cameras' rhythm is learnt.
const SETTLING: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(30);

pub fn measure(table: &mut Table) {
    let cameras = names("bench-batches", CAMERAS);
    let control_topics = Names::new("bench-batches");
    let mut config = control_topics.configure(Config::new("bench-batches"));
    let plugin = plugins_line("company", "");
    for camera in &cameras {
        config = config.camera(camera, &format!("mode = 'live'\nstart = 'beginning'\n{plugin}"));
    }
    create_topics(&cameras);
    let comux = Comux::run_in(&Home::with_plugins(&[]), &config);
    let mut control = Control::new(&control_topics);
    let mut batches = || control.status(&cameras[0])["plugins_usage"][0]["batches"].clone();
    let probe = Probe::start_together(&cameras, media::lowdelay(), PER_SECOND);
    std::thread::sleep(SETTLING);
    let before = batches();
    std::thread::sleep(MEASURED);
    let after = batches();
    let (sent, samples) = probe.stop();
    let samples = &samples[0];
    assert_eq!(samples.len(), sent * CAMERAS, "each record comes out once");
    let lost = samples.iter().filter(|sample| sample.lost.is_some()).count();
    let _ = comux.stop();

    let count = |of: &Value, what: &str| of[what].as_f64().expect("a count");
    let since = |what: &str| count(&after, what) - count(&before, what);
    let full = |of: &Value| count(of, "full") * count(of, "calls");
    let waited = |of: &Value| count(of, "mean_wait_us") * count(of, "frames");
    let what = "8 cameras at 15 fps in shared calls";
    let row = |row: &str| format!("{what}: {row}");
    let occupancy = since("frames") / since("calls");
    table.goal(&row("frames in a call"), occupancy, "of 8", Bound::AtLeast(7.87));
    let full = (full(&after) - full(&before)) / since("calls") * 100.0;
    table.goal(&row("calls with all that can be expected"), full, "%", Bound::AtLeast(89.8));
    let wait = (waited(&after) - waited(&before)) / since("frames") / 1e3;
    table.row(&row("wait for others, mean"), wait, "ms");
    let longest = count(&after, "longest_wait_us") / 1e3;
    let interval = 1e3 / f64::from(PER_SECOND);
    table.goal(&row("wait for others, longest"), longest, "ms", Bound::AtMost(interval));
    table.goal(&row("not analysed"), lost as f64, "records", Bound::AtMost(0.0));
}
