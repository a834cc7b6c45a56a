//! Cameras that are controlled while they send: how they are created, and what must hold of
//! everything that came out of them.

use std::time::{Duration, Instant};

use comux_tests::PATIENCE;
use comux_tests::control::{Answer, Control, Names};
use comux_tests::feed::Feed;
use comux_tests::home::Home;
use comux_tests::media::Clip;
use comux_tests::process::{Comux, Config};
use comux_tests::records::{Record, consume};
use comux_tests::topics::topic_exists;
use serde_json::{Value, json};

use crate::promises::{assert_same_records, topics};

/// The pace of a camera.
pub const FPS: u32 = 25;

/// An instance, its name that of the test, and who controls it.
pub struct Controlled {
    pub comux: Comux,
    pub control: Control,
    pub names: Names,
    pub home: Home,
}

/// Starts an instance without cameras, with these plugins in its store.
pub fn controlled(test: &str, plugins: &[&str]) -> Controlled {
    controlled_with(test, plugins, "")
}

/// As [`controlled`], with further tables in its configuration.
pub fn controlled_with(test: &str, plugins: &[&str], lines: &str) -> Controlled {
    let (home, names) = (Home::with_plugins(plugins), Names::new(test));
    let comux = Comux::run_in(&home, &names.configure(Config::new(test)).with(lines));
    let control = Control::new(&names);
    Controlled { comux, control, names, home }
}

/// A camera as a value of `create`. A machine too busy to send or to analyse in time must not look
/// like a fault, so it may lag and fall silent as much as it likes.
pub fn camera(id: &str, plugins: Value) -> Value {
    json!({
        "id": id, "mode": "live", "start": "beginning", "max_offset_diff": 1_000_000,
        "drain_after_ms": 60_000, "plugins": plugins
    })
}

/// The same in `comux.toml`, in front of its `plugins`.
pub const CAMERA: &str = "mode = 'live'\nstart = 'beginning'\nmax_offset_diff = 1_000_000\n\
                          drain_after_ms = 60_000\n";

/// The `plugins` of a camera with this plugin alone.
pub fn only(plugin: &str) -> Value {
    json!([entry(plugin)])
}

/// A plugin of the store without configuration.
pub fn entry(plugin: &str) -> Value {
    json!({ "source": format!("{plugin}.wasm") })
}

/// A feed into the topics of cameras, which are created where they are missing.
pub fn feed_all<T: AsRef<str>>(cameras: &[T], clip: &'static Clip) -> Feed {
    let input = |camera: &T| {
        let input = format!("raw_{}", camera.as_ref());
        if topic_exists(&input) { input } else { topics(camera.as_ref()).0 }
    };
    let inputs: Vec<String> = cameras.iter().map(input).collect();
    Feed::start(&inputs, clip, FPS)
}

/// Waits until something holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it takes too long until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until a camera has taken all that it was sent.
pub fn wait_until_received(control: &mut Control, camera: &str, count: usize) {
    wait_until(&format!("{camera} has received {count} records"), || {
        control.status(camera)["counts"]["received"] == json!(count)
    });
}

/// Ends the feed, then the instance, and returns what each camera put out: every record that was
/// sent, once and in order.
pub fn all_output<T: AsRef<str>>(
    feed: Feed,
    clip: &Clip,
    instance: (Comux, &mut Control),
    cameras: &[T],
) -> Vec<Vec<Record>> {
    let (comux, control) = instance;
    let count = feed.stop();
    for camera in cameras {
        wait_until_received(control, camera.as_ref(), count);
    }
    let ended = comux.stop();
    let sent = clip.looped(count);
    let output = |camera: &T| {
        let output = consume(&format!("stream_{}", camera.as_ref()), count);
        assert_same_records(&sent, &output);
        assert!(ended.sums(camera.as_ref()).balance(), "{:?}", ended.sums(camera.as_ref()));
        output
    };
    cameras.iter().map(output).collect()
}

/// No record went unanalysed.
pub fn assert_all_analysed(camera: &str, output: &[Record]) {
    for (number, record) in output.iter().enumerate() {
        assert_eq!(record.status(), ("analysed", None), "{camera}: record {number}");
    }
}

/// The records at which another version takes over, each with the `comux-plugin` from there on;
/// begins with the first record.
pub fn versions(output: &[Record]) -> Vec<(usize, String)> {
    let mut versions: Vec<(usize, String)> = Vec::new();
    for (number, record) in output.iter().enumerate() {
        let plugin = record.header("comux-plugin").expect("what analysed it");
        if versions.last().is_none_or(|(_, last)| last != plugin) {
            versions.push((number, plugin.to_owned()));
        }
    }
    versions
}

/// The records and versions that answers name, in the same form.
pub fn answered_versions(answers: &[Answer]) -> Vec<(usize, String)> {
    let version = |answer: &Answer| {
        let plugins: Vec<&str> = answer["plugins"]
            .as_array()
            .map(|plugins| plugins.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        (answer.cut(), plugins.join(","))
    };
    answers.iter().map(version).collect()
}

/// What the plugins wrote on each record, whatever their versions.
pub fn results(output: &[Record]) -> Vec<Vec<(String, String)>> {
    let input = ["pts", "dts", "time_base", "keyframe"];
    let is_result = |name: &str| !name.starts_with("comux-") && !input.contains(&name);
    let of = |record: &Record| {
        let results = record.headers.iter().filter(|(name, _)| is_result(name));
        let text = |value: &Option<Vec<u8>>| {
            String::from_utf8(value.clone().unwrap_or_default()).expect("a result of text")
        };
        results.map(|(name, value)| (name.clone(), text(value))).collect()
    };
    output.iter().map(of).collect()
}

/// Which of several series of results is not like the first, and where.
pub fn assert_same_results(camera: &str, expected: &[Record], found: &[Record]) {
    let pairs = results(expected).into_iter().zip(results(found));
    for (number, (expected, found)) in pairs.enumerate() {
        assert!(!expected.is_empty(), "record {number} has results");
        assert_eq!(found, expected, "{camera}: record {number}");
    }
}
