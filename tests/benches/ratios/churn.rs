//! Cameras that come, change and go, many times: what is left of them in the process.

use std::time::{Duration, Instant};

use comux_tests::PATIENCE;
use comux_tests::churn::{Held, PLUGINS, life};
use comux_tests::control::{Control, Names};
use comux_tests::feed::Feed;
use comux_tests::figures::{Bound, Table};
use comux_tests::home::Home;
use comux_tests::latency::create_topics;
use comux_tests::media;
use comux_tests::process::{Comux, Config};

use crate::run::names;

pub fn measure(table: &mut Table) {
    let cycles: usize = std::env::var("CYCLES")
        .map_or(200, |text| text.parse().expect("CYCLES=a number of lives of cameras"));
    let topics = Names::new("bench-churn");
    let config = topics.configure(Config::new("bench-churn"));
    let comux = Comux::run_in(&Home::with_plugins(&PLUGINS), &config);
    let mut control = Control::new(&topics);
    let cameras = names("bench-churn", 3);
    create_topics(&cameras);
    let inputs: Vec<String> = cameras.iter().map(|camera| format!("raw_{camera}")).collect();
    let feed = Feed::start(&inputs, media::bframes(), 25);
    // What is made once and kept is made now.
    for number in 0..15 {
        life(&mut control, &cameras[number % 3]);
    }
    let before = Held::by(&comux);
    let began = Instant::now();
    for number in 0..cycles {
        life(&mut control, &cameras[number % 3]);
    }
    let took = began.elapsed();
    // Threads end and connections close a little later than cameras.
    let deadline = Instant::now() + PATIENCE.min(Duration::from_secs(10));
    let mut after = Held::by(&comux);
    while (after.threads > before.threads || after.files > before.files)
        && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(100));
        after = Held::by(&comux);
    }
    let _ = feed.stop();
    let _ = comux.stop();
    println!("  {cycles} cycles in {took:.1?}: before {before:?}, after {after:?}");
    let more = |after: f64, before: f64| after - before;
    let threads = more(after.threads as f64, before.threads as f64);
    let files = more(after.files as f64, before.files as f64);
    let memory = more(after.memory as f64, before.memory as f64) / 1048576.0;
    let (what, none) =
        ("create, 2 × deploy, 2 × update, delete, again and again", Bound::AtMost(0.0));
    table.row(&format!("{what}: cycles"), cycles as f64, "");
    table.row(&format!("{what}: each"), took.as_secs_f64() * 1e3 / cycles as f64, "ms");
    table.row(&format!("{what}: memory before"), before.memory as f64 / 1048576.0, "MiB");
    // What an allocator keeps does not grow with the number of cycles.
    table.goal(&format!("{what}: memory more"), memory, "MiB", Bound::AtMost(32.0));
    table.goal(&format!("{what}: threads more"), threads, "", none);
    table.goal(&format!("{what}: files more"), files, "", none);
}
