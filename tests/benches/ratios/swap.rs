//! Plugins swapped on live cameras: what is lost, and how long a camera is held up.

use comux_tests::control::{Control, Names};
use comux_tests::feed::Feed;
use comux_tests::figures::{Bound, Table};
use comux_tests::home::Home;
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::consume;
use serde_json::json;

use crate::run::{median, names};

/// Both compute the same.
const PLUGINS: [&str; 2] = ["motion-next", "motion"];
const CAMERAS: usize = 4;
/// To and fro.
const ROUNDS: usize = 12;
/// The first of each plugin compiles it.
const UNCACHED: usize = 2;

pub fn measure(table: &mut Table) {
    let clip = media::bframes();
    let cameras = names("bench-swap", CAMERAS);
    let control_topics = Names::new("bench-swap");
    let plugin = plugins_line("motion", "");
    // A machine too busy to analyse in time must not look like a loss.
    let lines = format!(
        "mode = 'live'\nstart = 'beginning'\nmax_offset_diff = 1_000_000\n\
         drain_after_ms = 60_000\n{plugin}"
    );
    let mut config = control_topics.configure(Config::new("bench-swap"));
    for camera in &cameras {
        config = config.camera(camera, &lines);
    }
    let comux = Comux::run_in(&Home::with_plugins(&PLUGINS), &config);
    let mut control = Control::new(&control_topics);
    let inputs: Vec<String> = cameras.iter().map(|camera| format!("raw_{camera}")).collect();
    let feed = Feed::start(&inputs, clip, 25);
    feed.wait_for_more(25);
    let mut gaps = Vec::new();
    for round in 0..ROUNDS {
        let source = format!("{}.wasm", PLUGINS[round % PLUGINS.len()]);
        let sent: Vec<String> = cameras
            .iter()
            .map(|id| {
                let value = json!({ "id": id, "plugin": { "source": source }, "probation": 5 });
                control.send(&Control::record("deploy", &value))
            })
            .collect();
        for id in sent {
            let answer = control.answer(&id);
            assert!(answer.ok(), "a swap is done: {answer:?}");
            if round >= UNCACHED {
                assert!(!answer.steps().contains(&"compile"), "it is cached: {answer:?}");
                gaps.push(answer["gap_ms"].as_f64().expect("a gap"));
            }
        }
    }
    feed.wait_for_more(10);
    let sent = clip.looped(feed.stop());
    let (mut wrong, mut versions) = (0, 0);
    for camera in &cameras {
        let mut last = None;
        for (number, record) in consume(&format!("stream_{camera}"), sent.len()).iter().enumerate()
        {
            let source = format!("raw_{camera}/0/{number}");
            let is_right = record.is_analysed()
                && record.value == sent[number].value
                && record.header("comux-source") == Some(&source)
                && record.header("motion.score").is_some();
            wrong += usize::from(!is_right);
            let version = record.header("comux-plugin").map(str::to_owned);
            versions += usize::from(version != last);
            last = version;
        }
    }
    let _ = comux.stop();
    assert_eq!(versions, CAMERAS * (ROUNDS + 1), "each swap shows in the records");
    let swaps = format!("{} swaps of a cached plugin on live cameras", gaps.len());
    let none = Bound::AtMost(0.0);
    let lost = format!("{swaps}: lost, repeated or unanalysed");
    table.goal(&lost, wrong as f64, "records", none);
    let longest = gaps.iter().copied().fold(0.0, f64::max);
    table.row(&format!("{swaps}: held up, p50"), median(gaps), "ms");
    table.goal(&format!("{swaps}: held up, longest"), longest, "ms", Bound::AtMost(5.0));
}
