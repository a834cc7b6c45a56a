//! A new version that fails, at whatever step and in whatever way, leaves the old one running, and
//! no record goes unanalysed for it.

use std::collections::BTreeMap;

use comux_tests::control::{Answer, Control};
use comux_tests::media::{self, Clip};
use comux_tests::records::Record;
use serde_json::{Value, json};

use crate::live::{
    Controlled, all_output, assert_all_analysed, camera, controlled_with, entry, feed_all,
};
use crate::promises::assert_all_means;

/// A loop is ended after this time; a busy machine must not make a good call look like one.
const LIMITS: &str = "[limits]\ndeadline_ms = 1_000";

fn misbehave(how: &str, every: u64) -> Value {
    json!({ "source": "misbehave.wasm", "config": { "how": how, "every": every } })
}

/// One camera's attempt: the plugin it runs, the one it is to run, and the step that must fail.
struct Attempt {
    camera: &'static str,
    runs: Value,
    gets: Value,
    step: &'static str,
}

/// Runs all attempts at the same time on live cameras. Every attempt must fail at its step and say
/// why, and the old version stays. Returns the answers and what came out, by camera.
fn fails(test: &str, attempts: Vec<Attempt>) -> BTreeMap<&'static str, (Answer, Vec<Record>)> {
    let plugins = ["brightness", "misbehave"];
    let Controlled { comux, mut control, home, .. } = controlled_with(test, &plugins, LIMITS);
    home.store_file("text.wasm", b"not even WebAssembly");
    home.store_file("module.wasm", &wat("(module)"));
    let foreign = r#"(component
        (import "wasi:clocks/monotonic-clock@0.2.0"
            (instance (export "now" (func (result u64))))))"#;
    home.store_file("foreign.wasm", &wat(foreign));
    let cameras: Vec<&str> = attempts.iter().map(|attempt| attempt.camera).collect();
    let feed = feed_all(&cameras, media::bframes());
    for attempt in &attempts {
        control.done("create", camera(attempt.camera, json!([attempt.runs])));
    }
    feed.wait_for_more(20);
    let before: Vec<Value> = cameras.iter().map(|camera| control.status(camera)).collect();
    let mut sent = Vec::new();
    for attempt in &attempts {
        let old = if attempt.runs == entry("brightness") { "brightness" } else { "misbehave" };
        let value = json!({
            "id": attempt.camera, "plugin": attempt.gets, "probation": 25, "replaces": old
        });
        sent.push(control.send(&Control::record("deploy", &value)));
    }
    let mut answers = Vec::new();
    for ((attempt, id), before) in attempts.iter().zip(&sent).zip(&before) {
        let answer = control.answer(id);
        let camera = attempt.camera;
        assert!(["refused", "failed"].contains(&answer.error()), "{camera}: {answer:?}");
        assert_eq!(answer["failed_step"], attempt.step, "{camera}: {answer:?}");
        let runs = before["plugins"][0].as_str().unwrap().split('+').next().unwrap();
        for words in [&format!("✘ deploy {camera}: "), attempt.step, runs] {
            assert!(answer.message().contains(words), "{camera} should say {words}: {answer:?}");
        }
        answers.push(answer);
    }
    feed.wait_for_more(20);
    for before in &before {
        let after = control.status(before["camera"].as_str().unwrap());
        for same in ["generation", "plugins", "phase", "spec"] {
            assert_eq!(after[same], before[same], "nothing has changed: {after}");
        }
    }
    let outputs = all_output(feed, media::bframes(), (comux, &mut control), &cameras);
    for (camera, output) in cameras.iter().zip(&outputs) {
        assert_all_analysed(camera, output);
    }
    cameras.into_iter().zip(answers.into_iter().zip(outputs)).collect()
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// Every record has the result of the one plugin that ran all the time.
fn assert_misbehave_throughout(camera: &str, output: &[Record]) {
    for (number, record) in output.iter().enumerate() {
        let frame = record.header("misbehave.frame").map(str::to_owned);
        assert_eq!(frame, Some(number.to_string()), "{camera}: record {number}");
    }
}

fn over_brightness(camera: &'static str, gets: Value, step: &'static str) -> Attempt {
    Attempt { camera, runs: entry("brightness"), gets, step }
}

#[test]
fn a_version_that_fails_on_its_first_frame_is_rolled_back_and_the_old_one_sees_that_frame() {
    let clip: &Clip = media::bframes();
    let attempts = vec![
        over_brightness("first-trap", misbehave("trap", 1), "probation"),
        over_brightness("first-loop", misbehave("loop", 1), "probation"),
        over_brightness("first-grow", misbehave("grow", 1), "probation"),
        over_brightness("first-undeclared", misbehave("undeclared", 1), "probation"),
        over_brightness("first-error", misbehave("error", 1), "probation"),
    ];
    for (camera, (answer, output)) in fails("fails-first", attempts) {
        assert_all_means(clip, &output);
        let left = output.iter().any(|record| record.header("misbehave.frame").is_some());
        assert!(!left, "{camera}: nothing of the failed version is left: {answer:?}");
    }
}

#[test]
fn a_version_that_fails_later_in_its_probation_is_rolled_back_as_well() {
    let clip = media::bframes();
    let attempts = vec![
        over_brightness("later-trap", misbehave("trap", 5), "probation"),
        over_brightness("later-loop", misbehave("loop", 5), "probation"),
        over_brightness("later-error", misbehave("error", 5), "probation"),
    ];
    for (camera, (answer, output)) in fails("fails-later", attempts) {
        let is_new = |record: &&Record| record.header("misbehave.frame").is_some();
        // Presentation order is another than that of the records, so these are not in a row.
        assert_eq!(output.iter().filter(is_new).count(), 4, "{camera}: {answer:?}");
        for (number, record) in output.iter().enumerate() {
            let plugin = record.header("comux-plugin").unwrap().split('@').next().unwrap();
            let expected = if is_new(&record) { "misbehave" } else { "brightness" };
            assert_eq!(plugin, expected, "{camera}: record {number}");
        }
        let of_old: Vec<Record> = output.iter().filter(|record| !is_new(record)).cloned().collect();
        assert_all_means(clip, &of_old);
    }
}

#[test]
fn a_version_that_can_not_be_configured_never_runs() {
    let attempts = vec![
        over_brightness("configure-error", misbehave("configure-error", 1), "configure"),
        over_brightness("configure-trap", misbehave("configure-trap", 1), "configure"),
        over_brightness("configure-panic", misbehave("configure-panic", 1), "configure"),
        over_brightness("configure-loop", misbehave("configure-loop", 1), "configure"),
        over_brightness("configure-grow", misbehave("configure-grow", 1), "configure"),
        over_brightness(
            "configure-unknown",
            json!({ "source": "misbehave.wasm", "config": { "hou": "trap" } }),
            "configure",
        ),
    ];
    let results = fails("fails-configure", attempts);
    for (_, output) in results.values() {
        assert_all_means(media::bframes(), output);
    }
    let said = |camera: &str| results[camera].0.message().to_owned();
    assert!(said("configure-error").contains("refused, as configured"));
    assert!(said("configure-panic").contains("refused, as configured"), "the panic's own words");
    assert!(said("configure-unknown").contains("hou"));
}

#[test]
fn a_version_that_can_not_hand_over_or_take_over_state_never_runs() {
    let attempt = |camera, before: &str, after: &str| Attempt {
        camera,
        runs: misbehave(before, 1),
        gets: misbehave(after, 2),
        step: "hand-over",
    };
    let attempts = vec![
        attempt("state-save-error", "save-error", "none"),
        attempt("state-save-trap", "save-trap", "none"),
        attempt("state-save-loop", "save-loop", "none"),
        attempt("state-save-grow", "save-grow", "none"),
        attempt("state-restore-error", "none", "restore-error"),
        attempt("state-restore-trap", "none", "restore-trap"),
        attempt("state-restore-loop", "none", "restore-loop"),
        attempt("state-restore-grow", "none", "restore-grow"),
    ];
    for (camera, (answer, output)) in fails("fails-state", attempts) {
        assert_misbehave_throughout(camera, &output);
        assert!(answer.message().contains("\"fresh\": true"), "{camera}: a way out: {answer:?}");
    }
}

/// How many frames each of these records' plugin remembers, in the order of what it saw.
fn remembered(output: &[Record]) -> Vec<usize> {
    let numbers = output.iter().map(|record| record.header("misbehave.remembered").unwrap());
    let mut numbers: Vec<usize> = numbers.map(|number| number.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_version_that_begins_afresh_needs_nothing_of_the_one_before() {
    let pairs = [
        ("fresh-save-error", "save-error", "none"),
        ("fresh-save-trap", "save-trap", "none"),
        ("fresh-save-loop", "save-loop", "none"),
        ("fresh-restore-error", "none", "restore-error"),
        ("fresh-restore-trap", "none", "restore-trap"),
        ("fresh-shadow", "save-loop", "restore-loop"),
    ];
    let Controlled { comux, mut control, .. } = controlled_with("fresh", &["misbehave"], LIMITS);
    let cameras = pairs.map(|(camera, ..)| camera);
    for (id, before, _) in pairs {
        control.done("create", camera(id, json!([misbehave(before, 1)])));
    }
    let feed = feed_all(&cameras, media::bframes());
    feed.wait_for_more(20);
    let mut cuts = Vec::new();
    for (id, _, after) in pairs {
        let shadow = if id == "fresh-shadow" { 5 } else { 0 };
        let answer = control.done(
            "deploy",
            json!({
                "id": id, "plugin": misbehave(after, 2), "fresh": true, "shadow": shadow, "probation": 10
            }),
        );
        assert!(format!("{answer:?}").contains("misbehave: begins afresh"), "{answer:?}");
        cuts.push(answer.cut());
    }
    let outputs = all_output(feed, media::bframes(), (comux, &mut control), &cameras);
    for ((camera, output), cut) in cameras.iter().zip(&outputs).zip(cuts) {
        assert_all_analysed(camera, output);
        let of_new = remembered(&output[cut..]);
        let shadowed = if *camera == "fresh-shadow" { of_new[0] - 1 } else { 0 };
        let expected: Vec<usize> = (1..=of_new.len()).map(|number| number + shadowed).collect();
        assert_eq!(of_new, expected, "{camera}: it remembers what it saw itself");
        // On a busy machine the first record may be the first of the new version.
        assert!(shadowed <= cut, "{camera}: {shadowed} of {cut}");
    }
}

/// Its state is saved every 10 seconds, too: each time it takes until the deadline, and costs an
/// instance.
#[test]
fn a_version_that_never_ends_saving_is_left_afresh_also_behind_the_saves_of_every_ten_seconds() {
    let id = "fresh-periodic";
    let Controlled { comux, mut control, .. } = controlled_with(id, &["misbehave"], LIMITS);
    control.done("create", camera(id, json!([misbehave("save-loop", 1)])));
    let feed = feed_all(&[id], media::bframes());
    feed.wait_for_more(25 * 12);
    let answer = control.done(
        "deploy",
        json!({ "id": id, "plugin": misbehave("none", 2), "fresh": true, "probation": 10 }),
    );
    // Its own state is saved, and no other.
    feed.wait_for_more(25 * 12);
    let outputs = all_output(feed, media::bframes(), (comux, &mut control), &[id]);
    assert_all_analysed(id, &outputs[0]);
    let of_old = remembered(&outputs[0][..answer.cut()]);
    // Each instance begins to count anew.
    assert!(of_old.windows(2).any(|two| two[1] == two[0]), "it was not saved: {of_old:?}");
    let of_new = remembered(&outputs[0][answer.cut()..]);
    assert_eq!(of_new, (1..=of_new.len()).collect::<Vec<_>>());
}

#[test]
fn a_version_that_can_not_hand_over_is_left_by_going_back_afresh() {
    let Controlled { comux, mut control, .. } =
        controlled_with("fresh-back", &["misbehave"], LIMITS);
    control.done("create", camera("fresh-back", json!([misbehave("none", 1)])));
    let feed = feed_all(&["fresh-back"], media::bframes());
    feed.wait_for_more(20);
    let bad = json!({ "id": "fresh-back", "plugin": misbehave("save-trap", 1), "probation": 5 });
    control.done("deploy", bad);
    let refused = control.ask("rollback", json!({ "id": "fresh-back" }));
    assert_eq!(refused["failed_step"], "hand-over", "{refused:?}");
    let back = control.done("rollback", json!({ "id": "fresh-back", "fresh": true }));
    let output = all_output(feed, media::bframes(), (comux, &mut control), &["fresh-back"]);
    assert_all_analysed("fresh-back", &output[0]);
    let after = remembered(&output[0][back.cut()..]);
    assert_eq!(after, (1..=after.len()).collect::<Vec<_>>());
}

#[test]
fn what_is_no_plugin_or_not_the_one_that_is_meant_is_not_even_instantiated() {
    let stored = |source: &str| json!({ "source": source });
    let wrong = json!({ "source": "misbehave.wasm", "sha256": "0".repeat(64) });
    let attempts = vec![
        over_brightness("no-text", stored("text.wasm"), "compile"),
        over_brightness("no-module", stored("module.wasm"), "compile"),
        over_brightness("no-foreign", stored("foreign.wasm"), "check"),
        over_brightness("no-digest", wrong, "fetch"),
        over_brightness("no-version", stored("motion@77.0.0"), "fetch"),
        over_brightness("no-file", stored("gone.wasm"), "fetch"),
    ];
    let results = fails("fails-plugin", attempts);
    for (_, output) in results.values() {
        assert_all_means(media::bframes(), output);
    }
    let said = |camera: &str| results[camera].0.message().to_owned();
    assert!(said("no-module").contains("component"), "{}", said("no-module"));
    assert!(said("no-foreign").contains("wasi:clocks/monotonic-clock"), "{}", said("no-foreign"));
    assert!(said("no-digest").contains("sha256"), "{}", said("no-digest"));
    assert!(said("no-version").contains("motion@77.0.0"), "{}", said("no-version"));
    assert!(said("no-file").contains("gone.wasm"), "{}", said("no-file"));
}
