//! What a camera of 1080p holds in memory, item by item.
//!
//! The process is measured with one camera and with several, that pass records through, that run
//! one plugin, and that run two: what each further camera takes, and what the first one takes once
//! for all. Memory is what the operating system says is resident while cameras send.

use std::time::Duration;

use comux_tests::feed::Feed;
use comux_tests::figures::Table;
use comux_tests::process::{Comux, Config, plugin_entry};
use comux_tests::records::consume;

use crate::clips;
use crate::run::{median, names};

const MANY: usize = 8;
const PER_SECOND: u32 = 10;
/// Until queues, buffers and the decoder's pictures are as many as they become.
const SETTLING: Duration = Duration::from_secs(5);
const LOOKS: u32 = 10;

/// MiB that a process with so many cameras with these plugins has resident.
fn resident(kind: &str, count: usize, plugins: &[&str]) -> f64 {
    let clip = &clips::full_hd().clip;
    let cameras = names(&format!("bench-memory-{kind}-{count}"), count);
    let entries: Vec<String> = plugins.iter().map(|plugin| plugin_entry(plugin, "")).collect();
    let lines = format!(
        "mode = 'live'\nstart = 'beginning'\nmax_offset_diff = 1_000_000\nplugins = [{}]",
        entries.join(", ")
    );
    let mut config = Config::new(&cameras[0]);
    for camera in &cameras {
        config = config.camera(camera, &lines);
    }
    let comux = Comux::run(&config);
    let inputs: Vec<String> = cameras.iter().map(|camera| format!("raw_{camera}")).collect();
    let feed = Feed::start(&inputs, clip, PER_SECOND);
    std::thread::sleep(SETTLING);
    let looks = (0..LOOKS).map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        comux.memory() as f64 / 1048576.0
    });
    let resident = median(looks.collect());
    let sent = feed.stop();
    let expected = if plugins.is_empty() { "passthrough" } else { "analysed" };
    for camera in &cameras {
        for record in consume(&format!("stream_{camera}"), sent) {
            assert_eq!(record.status(), (expected, None), "{camera}");
        }
    }
    let _ = comux.stop();
    println!("  {count} cameras with {plugins:?}: {resident:.1} MiB");
    resident
}

/// Of a line through the process with one camera and with [`MANY`]: what all cameras have together,
/// and what each has.
fn line(kind: &str, plugins: &[&str]) -> (f64, f64) {
    let (one, many) = (resident(kind, 1, plugins), resident(kind, MANY, plugins));
    let each = (many - one) / (MANY - 1) as f64;
    (one - each, each)
}

pub fn measure(table: &mut Table) {
    let (base, passing) = line("passing", &[]);
    let (with_one, analysed) = line("one", &["motion"]);
    let (with_two, twice) = line("two", &["motion", "brightness"]);
    let mut row = |what: &str, mib| table.row(&format!("memory at 1080p: {what}"), mib, "MiB");
    row("the process, without cameras", base);
    row("… once for all that analyse: code of decoder and plugin", with_one - base);
    row("… once for another plugin: its code", with_two - with_one);
    row("a camera that passes records through", passing);
    row("… its decoder and its pictures", analysed - passing - (twice - analysed));
    row("… an instance of a plugin (brightness)", twice - analysed);
    row("a camera with a plugin, altogether", analysed);
}
