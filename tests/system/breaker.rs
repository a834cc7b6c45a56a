//! A plugin that keeps failing is left out, and tried again by and by. Meanwhile its camera's
//! records pass, and say why they have no results.

use comux_tests::media;
use comux_tests::process::{Comux, Config, plugin_entry, plugins_line};
use comux_tests::records::{Record, consume, produce};
use serde_json::json;

use crate::live::{Controlled, all_output, camera, controlled, entry, feed_all, wait_until};
use crate::promises::{assert_all_means, assert_mean, assert_same_records, topics};

/// What became of the records in the order in which they were shown, each with how many in a row.
fn runs(output: &[Record]) -> Vec<(String, usize)> {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for record in output {
        let (status, reason) = record.status();
        let word = reason.unwrap_or(status).to_owned();
        match runs.last_mut() {
            Some((last, count)) if *last == word => *count += 1,
            _ => runs.push((word, 1)),
        }
    }
    runs
}

#[test]
fn a_plugin_that_keeps_failing_is_left_out_probed_and_taken_back() {
    let Controlled { comux, mut control, .. } = controlled("breaker", &["misbehave", "brightness"]);
    // Without B-frames records come out as they are shown.
    let clip = media::lowdelay();
    let misbehave = |every: u64| json!([{ "source": "misbehave.wasm", "config": { "how": "trap", "every": every } }]);
    let breaker = json!({ "failures": 2, "backoff_ms": 400, "max_backoff_ms": 800 });
    let mut always = camera("breaker-always", misbehave(1));
    always["breaker"] = breaker.clone();
    let mut often = camera("breaker-often", misbehave(5));
    often["breaker"] = breaker;
    let cameras = ["breaker-always", "breaker-often", "breaker-neighbour"];
    let feed = feed_all(&cameras, clip);
    control.done("create", always);
    control.done("create", often);
    control.done("create", camera("breaker-neighbour", json!([entry("brightness")])));
    let usage = |control: &mut comux_tests::control::Control, id: &str| {
        control.status(id)["plugins_usage"][0].clone()
    };
    wait_until("the breaker is open", || {
        usage(&mut control, "breaker-always")["breaker"] == "open"
    });
    feed.wait_for_more(75);
    let used = usage(&mut control, "breaker-always");
    assert!(used["failed"]["plugin-trap"].as_u64() >= Some(3), "{used}");
    let outputs = all_output(feed, clip, (comux, &mut control), &cameras);

    // Two failures open it, and then one frame at a time is tried.
    let always = runs(&outputs[0]);
    let failed: Vec<usize> =
        always.iter().filter(|(word, _)| word == "plugin-trap").map(|(_, count)| *count).collect();
    assert_eq!(failed[0], 2, "{always:?}");
    assert!(failed.len() >= 3 && failed[1..].iter().all(|count| *count == 1), "{always:?}");
    assert!(always.iter().all(|(word, _)| word == "plugin-trap" || word == "quarantined"));
    for record in outputs[0].iter().filter(|record| record.status().1 == Some("quarantined")) {
        assert_eq!(record.status().0, "skipped");
        assert_eq!(record.header("comux-plugin"), Some(""), "none has run");
    }

    // Four frames, a trap, four frames, a trap: open. The probe succeeds, and all begins anew.
    let often = runs(&outputs[1]);
    let begins: Vec<(&str, usize)> = often.iter().map(|(word, n)| (word.as_str(), *n)).collect();
    let first = [("analysed", 4), ("plugin-trap", 1), ("analysed", 4), ("plugin-trap", 1)];
    assert_eq!(begins[..4], first, "{often:?}");
    assert_eq!(begins[4].0, "quarantined", "{often:?}");
    assert_eq!(begins[5..9], first, "{often:?}");
    assert_eq!(begins[9].0, "quarantined", "{often:?}");

    assert_all_means(clip, &outputs[2]);
}

#[test]
fn fatal_errors_open_it_at_once_and_invalid_input_never_does() {
    let clip = media::bframes();
    let records = &clip.records()[..60];
    let mut config = Config::new("breaker-errors");
    for how in ["fatal", "error"] {
        let camera = format!("breaker-{how}");
        produce(&topics(&camera).0, records);
        let lines = format!(
            "mode = 'every-frame'\nstart = 'beginning'\nbreaker = {{ backoff_ms = 600_000, \
             max_backoff_ms = 600_000 }}\n{}",
            plugins_line("misbehave", &format!("how = '{how}'"))
        );
        config = config.camera(&camera, &lines);
    }
    let comux = Comux::run(&config);
    let fatal = consume("stream_breaker-fatal", records.len());
    let error = consume("stream_breaker-error", records.len());
    let ended = comux.stop();
    let sums = ended.sums("breaker-fatal");
    assert!(sums.balance(), "{sums:?}");
    assert_eq!(sums.failed.get("plugin-error"), Some(&1), "{sums:?}");
    assert_eq!(sums.skipped.get("quarantined"), Some(&59), "{sums:?}");
    let sums = ended.sums("breaker-error");
    assert_eq!(sums.failed.get("plugin-error"), Some(&60), "{sums:?}");
    assert_same_records(records, &fatal);
    assert_same_records(records, &error);
}

#[test]
fn plugins_beside_one_that_is_left_out_go_on() {
    let clip = media::bframes();
    let records = &clip.records()[..60];
    let (input, output) = topics("breaker-beside");
    produce(&input, records);
    let plugins = [plugin_entry("misbehave", "how = 'trap'"), plugin_entry("brightness", "")];
    let lines = format!(
        "mode = 'every-frame'\nstart = 'beginning'\nbreaker = {{ backoff_ms = 600_000, \
         max_backoff_ms = 600_000 }}\nplugins = [{}]",
        plugins.join(", ")
    );
    let comux = Comux::run(&Config::new("breaker-beside").camera("breaker-beside", &lines));
    let result = consume(&output, records.len());
    let sums = comux.stop().sums("breaker-beside");
    assert_eq!(sums.failed.get("plugin-trap"), Some(&5), "{sums:?}");
    assert_eq!(sums.skipped.get("quarantined"), Some(&55), "{sums:?}");
    for (number, record) in result.iter().enumerate() {
        assert_mean(clip, number, record);
    }
    let quarantined = result.iter().filter(|record| record.status().1 == Some("quarantined"));
    for record in quarantined {
        let plugins = record.header("comux-plugin").unwrap();
        assert!(plugins.starts_with("brightness@") && !plugins.contains(','), "{plugins}");
    }
}
