//! A plugin that fails harms its own frame and nothing else.

use comux_tests::control::{Control, Names};
use comux_tests::feed::Feed;
use comux_tests::home::{Home, component};
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugin_entry, plugins_line};
use comux_tests::records::{Record, consume, produce};
use serde_json::json;

use crate::live::{CAMERA, FPS, wait_until, wait_until_received};
use crate::promises::{assert_all_means, assert_means, assert_same_records, topics};

/// Every third picture, in presentation order, is the one at which the plugin fails.
fn is_third(record: &Record, records: &[Record]) -> bool {
    let pts = |record: &Record| record.header("pts").unwrap().parse::<i64>().unwrap();
    let shown_before = records.iter().filter(|other| pts(other) < pts(record)).count();
    (shown_before + 1).is_multiple_of(3)
}

#[test]
fn a_plugin_that_fails_harms_its_frame_and_neither_the_next_nor_a_neighbour() {
    let clip = media::bframes();
    let records = &clip.records()[..40];
    let ways = [
        ("trap", "plugin-trap"),
        ("loop", "deadline"),
        ("grow", "memory"),
        ("error", "plugin-error"),
        ("undeclared", "plugin-error"),
    ];
    let mut config = Config::new("failing").with("[limits]\ndeadline_ms = 1000");
    for (how, _) in ways {
        let camera = format!("failing-{how}");
        produce(&topics(&camera).0, records);
        let lines = format!(
            "mode = 'every-frame'\nstart = 'beginning'\nbreaker = {{ failures = 100 }}\n{}",
            plugins_line("misbehave", &format!("how = '{how}', every = 3"))
        );
        config = config.camera(&camera, &lines);
    }
    produce(&topics("failing-neighbour").0, records);
    let lines =
        format!("mode = 'every-frame'\nstart = 'beginning'\n{}", plugins_line("brightness", ""));
    let comux = Comux::run(&config.camera("failing-neighbour", &lines));

    let neighbour = consume("stream_failing-neighbour", records.len());
    assert_all_means(clip, &neighbour);
    let mut results = Vec::new();
    for (how, reason) in ways {
        let result = consume(&format!("stream_failing-{how}"), records.len());
        results.push((how, reason, result));
    }
    let ended = comux.stop();
    for (how, reason, result) in results {
        assert_same_records(records, &result);
        for (number, record) in result.iter().enumerate() {
            let expected = if is_third(record, records) {
                ("failed", Some(reason))
            } else {
                ("analysed", None)
            };
            assert_eq!(record.status(), expected, "{how}: record {number}");
            let header = record.header("misbehave.frame").map(str::to_owned);
            let of_its_own = (expected.0 == "analysed").then(|| number.to_string());
            assert_eq!(header, of_its_own, "{how}: record {number}");
            assert_eq!(record.header("misbehave.undeclared"), None, "{how}: record {number}");
        }
        let sums = ended.sums(&format!("failing-{how}"));
        assert!(sums.balance(), "{how}: {sums:?}");
        assert_eq!(sums.failed.get(reason), Some(&13), "{how}: {sums:?}");
    }
}

#[test]
fn the_headers_of_several_plugins_are_merged_in_their_order() {
    let clip = media::bframes();
    let records = &clip.records()[..20];
    let (input, output) = topics("several");
    produce(&input, records);
    let entries = [plugin_entry("brightness", ""), plugin_entry("slow", "spin = 1")];
    let lines =
        format!("mode = 'every-frame'\nstart = 'beginning'\nplugins = [{}]", entries.join(", "));
    let comux = Comux::run(&Config::new("several").camera("several", &lines));
    let result = consume(&output, records.len());
    comux.stop();
    assert_same_records(records, &result);
    assert_all_means(clip, &result);
    for record in &result {
        assert_eq!(record.header("slow.spun"), Some("1"));
        let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
        let place = |name: &str| names.iter().position(|found| *found == name);
        assert!(place("brightness.mean") < place("slow.spun"), "{names:?}");
        let plugins = record.header("comux-plugin").unwrap();
        let plugins: Vec<&str> = plugins.split(',').filter_map(|it| it.split('@').next()).collect();
        assert_eq!(plugins, ["brightness", "slow"]);
    }
}

#[test]
fn a_camera_whose_plugin_is_gone_passes_its_video_and_goes_on_once_it_is_there() {
    let (test, clip) = ("plugin-gone", media::bframes());
    let (home, names) = (Home::with_plugins(&["brightness"]), Names::new(test));
    let (gone, beside) = ("plugin-gone-own", "plugin-gone-beside");
    let lines =
        |plugin: &str| format!("{CAMERA}plugins = [{{ source = 'plugins/{plugin}.wasm' }}]");
    let config = names.configure(Config::new(test));
    let config = config.camera(gone, &lines("later")).camera(beside, &lines("brightness"));
    for camera in [gone, beside] {
        let _ = topics(camera);
    }
    let comux = Comux::run_in(&home, &config);
    let mut control = Control::new(&names);
    let inputs = [gone, beside].map(|camera| format!("raw_{camera}"));
    let feed = Feed::start(&inputs, clip, FPS);
    feed.wait_for_more(50);
    let status = control.status(gone);
    assert_eq!(status["phase"], "no-plugin", "{status}");
    let why = status["error"].as_str().expect("why");
    assert!(
        why.contains("later.wasm") && why.contains("neither beside comux.toml nor in the"),
        "{why}"
    );
    let again = control.done("resume", json!({ "id": gone }));
    assert!(again.message().contains("later.wasm"), "{again:?}");
    // What is there is no plugin yet.
    home.store_file("later.wasm", b"not even WebAssembly");
    let broken = control.done("resume", json!({ "id": gone }));
    assert!(broken.message().contains("not a WebAssembly component"), "{broken:?}");
    // A deploy that fails changes nothing, and one by hand mends it as well as waiting.
    let refused = control.ask("deploy", json!({ "id": gone, "plugin": { "source": "no.wasm" } }));
    assert!(!refused.ok() && refused.message().contains("without its plugins"), "{refused:?}");
    home.store_file("later.wasm", &component("brightness"));
    wait_until("it is loaded", || control.status(gone)["phase"] == "running");
    feed.wait_for_more(50);
    let sent = feed.stop();
    for camera in [gone, beside] {
        wait_until_received(&mut control, camera, sent);
    }
    let loaded = control.event("plugins-loaded", gone);
    assert!(loaded.message().contains("running brightness@0.1.0"), "{loaded:?}");
    let ended = comux.stop();

    let result = consume(&format!("stream_{gone}"), sent);
    assert_same_records(&clip.looped(sent), &result);
    let is_without = |record: &&Record| record.status() == ("failed", Some("no-plugin"));
    let without = result.iter().take_while(is_without).count();
    assert!(without >= 50, "{without}");
    assert_eq!(result.iter().filter(is_without).count(), without, "none later");
    assert!(assert_means(clip, &result) > 20, "it is analysed once it is there");
    assert_eq!(ended.sums(gone).failed["no-plugin"], without as u64);
    let beside = consume(&format!("stream_{beside}"), sent);
    assert_all_means(clip, &beside);
}
