//! The demo, which needs nothing else installed.

use std::time::Duration;

use comux_tests::PATIENCE;
use comux_tests::demo::Demo;
use comux_tests::ended::Sums;
use comux_tests::process::run_to_end;
use serde_json::Value;

#[test]
fn the_demo_ends_with_a_summary_that_accounts_for_every_record() {
    let output = run_to_end(&["demo", "--json", "--seconds", "20"], Duration::from_secs(120));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["event"], "summary");
    let mut received = 0;
    let cameras = summary["cameras"].as_array().expect("cameras");
    assert!(cameras.len() > 1, "several cameras");
    for camera in cameras {
        let sums = Sums::of(camera);
        assert!(sums.balance(), "{camera}");
        // 10 frames a second for 20 seconds, less what a busy machine takes to start.
        assert!(sums.received >= 100, "{camera}");
        assert!(sums.analysed > sums.received / 2, "{camera}");
        received += sums.received;
    }
    assert_eq!(summary["produced"], received, "every record published came in");
    assert_eq!(summary["followed"], received, "and out");
}

/// The README's tour.
#[test]
fn a_plugin_is_swapped_on_a_live_camera_of_the_demo() {
    let demo = Demo::start();
    let results = |line: &Value| line["cameras"][0]["results"].clone();
    let has = |name: &'static str| move |line: &Value| !results(line)[name].is_null();
    let line = demo.wait_until("results come", has("tamper.state"));
    let kafka = line["bootstrap_servers"].as_str().expect("an address").to_owned();
    let control = |action: &str, value: &str| {
        let arguments = ["control", action, "--bootstrap-servers", &kafka, "--wait", value];
        let output = run_to_end(&arguments, PATIENCE);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let plugin = r#"{ "source": "line-counter.wasm" }"#;
    let deploy = format!(r#"{{ "id": "cam-1", "replaces": "tamper", "plugin": {plugin} }}"#);
    let answer = control("deploy", &deploy);
    assert!(answer.starts_with("✔ deploy cam-1: running brightness@"), "{answer}");
    let counts = |line: &Value| !results(line)["line-counter.counts"].is_null();
    let line = demo.wait_until("the new plugin's results come", counts);
    assert!(results(&line)["tamper.state"].is_null(), "the old one's are gone: {line}");
    control("rollback", r#"{ "id": "cam-1" }"#);
    demo.wait_until("the old plugin's results come", has("tamper.state"));
    assert_eq!(demo.end()["balanced"], true);
}
