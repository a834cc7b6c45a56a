//! A plugin that fails harms its own frame and nothing else.

use comux_tests::media;
use comux_tests::process::{Comux, Config, plugin_entry, plugins_line};
use comux_tests::records::{Record, consume, produce};

use crate::promises::{assert_all_means, assert_same_records, topics};

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
