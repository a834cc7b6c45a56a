//! Plugins that attack their host elsewhere than on a frame: while they are configured, saved and
//! restored, and by floods of log and metrics.

use comux_tests::ended::Ended;
use comux_tests::feed::Feed;
use comux_tests::home::Home;
use comux_tests::hostile::{CONFIGURED, FLOODS, HOOK_DEADLINE_MS, RESTORED, SAVED};
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Reader, consume, produce};
use serde_json::{Value, json};

use crate::live::{Controlled, camera, controlled_with, wait_until};
use crate::promises::{assert_same_records, topics};

fn limits() -> String {
    format!("[limits]\ndeadline_ms = {HOOK_DEADLINE_MS}")
}

/// What a person should have to read at most of one failure.
const LONGEST_MESSAGE: usize = 8 << 10;

fn hostile(how: &str, size: u64) -> Value {
    json!([{ "source": "hostile.wasm", "config": { "how": how, "size": size } }])
}

/// Whether a line of the log about this camera says all these words.
fn tells(ended: &Ended, camera: &str, words: &[&str]) -> bool {
    let is_it = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let texts = ["message", "error"].map(|field| line[field].as_str().unwrap_or_default());
        let has = |word: &&str| texts.iter().any(|text| text.contains(word));
        line["camera"] == camera && words.iter().all(has)
    };
    ended.log.iter().any(is_it)
}

#[test]
fn a_plugin_that_attacks_while_it_is_configured_is_refused_and_says_why() {
    let Controlled { comux, mut control, .. } =
        controlled_with("hostile-configure", &["hostile"], &limits());
    topics("hostile-configure");
    for (how, size, word) in CONFIGURED {
        let answer = control.ask("create", camera("hostile-configure", hostile(how, size)));
        assert!(!answer.ok(), "{how}: {answer:?}");
        assert_eq!(answer["failed_step"], "configure", "{how}");
        let message = answer.message();
        assert!(message.contains(word), "{how}: {:.300}", message);
        let length = answer.to_string().len();
        assert!(length < LONGEST_MESSAGE, "{how}: the answer has {length} bytes");
    }
    // The id is free, and the host is well.
    let records = &media::lowdelay().records()[..10];
    produce("raw_hostile-configure", records);
    control.done("create", camera("hostile-configure", hostile("none", 0)));
    let output = consume("stream_hostile-configure", records.len());
    assert!(output.iter().all(|record| record.is_analysed()));
    let ended = comux.stop();
    let longest = ended.log.iter().map(String::len).max().unwrap_or_default();
    assert!(longest < LONGEST_MESSAGE, "a line of the log has {longest} bytes");
}

#[test]
fn a_plugin_that_attacks_while_it_is_saved_loses_its_state_and_no_frame() {
    let mut config = Config::new("hostile-save").with(&limits());
    let mut outputs = Vec::new();
    let mut inputs = Vec::new();
    for (how, size, word) in SAVED {
        let id = format!("{how}-{size}");
        let (input, output) = topics(&id);
        let plugin = plugins_line("hostile", &format!("how = '{how}', size = {size}"));
        let lines = format!("mode = 'every-frame'\nstart = 'beginning'\n{plugin}");
        config = config.camera(&id, &lines);
        inputs.push(input);
        outputs.push((id, output, word));
    }
    let comux = Comux::run(&config);
    let feed = Feed::start(&inputs, media::lowdelay(), 10);
    // Longer than the time between two snapshots.
    feed.wait_for_more(150);
    let sent = feed.stop();
    let records = media::lowdelay().looped(sent);
    let results: Vec<_> = outputs.iter().map(|(_, output, _)| consume(output, sent)).collect();
    let ended = comux.stop();
    for ((id, _, word), result) in outputs.iter().zip(results) {
        assert_same_records(&records, &result);
        for (number, record) in result.iter().enumerate() {
            assert_eq!(record.status(), ("analysed", None), "{id}: record {number}");
        }
        assert!(ended.sums(id).balance());
        assert!(tells(&ended, id, &["can't be saved", word]), "{id}: {:#?}", ended.log);
    }
    let longest = ended.log.iter().map(String::len).max().unwrap_or_default();
    assert!(longest < LONGEST_MESSAGE, "a line of the log has {longest} bytes");
}

#[test]
fn a_plugin_that_attacks_while_it_is_restored_begins_afresh() {
    let attacks = RESTORED.map(|(how, ..)| how);
    let home = Home::new();
    let records = &media::lowdelay().records()[..20];
    let mut readers = attacks.map(|how| Reader::new(&topics(how).1));
    for is_second in [false, true] {
        let mut config = Config::new("hostile-restore").with(&limits());
        for how in attacks {
            produce(&format!("raw_{how}"), records);
            let how_now = if is_second { how } else { "none" };
            let plugin = plugins_line("hostile", &format!("how = '{how_now}'"));
            let lines = format!("mode = 'every-frame'\nstart = 'beginning'\n{plugin}");
            config = config.camera(how, &lines);
        }
        let comux = Comux::run_in(&home, &config);
        for (how, reader) in attacks.iter().zip(&mut readers) {
            for (number, record) in reader.take(records.len()).iter().enumerate() {
                assert_eq!(record.status(), ("analysed", None), "{how}: record {number}");
            }
        }
        let ended = comux.stop();
        for (how, _, word) in RESTORED {
            let is_told = tells(&ended, how, &["begins afresh", word]);
            assert_eq!(is_told, is_second, "{how}: {:#?}", ended.log);
        }
    }
}

#[test]
fn floods_of_log_and_metrics_are_cut_and_the_camera_goes_on() {
    let Controlled { comux, mut control, .. } =
        controlled_with("hostile-floods", &["hostile"], &FLOODS.table());
    let records = &media::lowdelay().records()[..10];
    let begin = std::time::Instant::now();
    for &(how, size, _) in FLOODS.ways {
        produce(&topics(how).0, records);
        control.done("create", camera(how, hostile(how, size)));
    }
    for (how, ..) in FLOODS.ways {
        let output = consume(&format!("stream_{how}"), records.len());
        assert!(output.iter().all(|record| record.is_analysed()), "{how}");
    }
    let seconds = usize::try_from(begin.elapsed().as_secs() + 2).unwrap();
    wait_until("its metrics are shown", || {
        control.status("metric-names")["plugins_usage"][0]["calls"] == json!(10)
    });
    let metrics = control.status("metric-names")["plugins_usage"][0]["metrics"].clone();
    assert_eq!(metrics["values"].as_object().map(serde_json::Map::len), Some(8), "{metrics}");
    assert_eq!(metrics["values"]["hostile.0"], json!({ "counter": 10 }));
    // All others, and all that are no number, of which each frame tells as many.
    assert_eq!(metrics["dropped"], json!(10 * (100_000 - 8) + 10 * 100_000));
    let ended = comux.stop();
    let lines = ended.log.iter().filter(|line| line.contains("\"log-lines\""));
    // Beside the text, each line has its time, its place and whose it is, some 300 letters.
    let bytes: usize = lines.map(|line| line.len().saturating_sub(300).max(1)).sum();
    assert!(bytes > 0 && bytes <= seconds * (16 << 10), "{bytes} bytes of log in {seconds} s");
    let told = ended.log.iter().filter(|line| line.contains("metrics are incomplete")).count();
    assert_eq!(told, 1, "it is told once that metrics are dropped");
    let lines = ended.log.iter().map(|line| serde_json::from_str::<Value>(line));
    for line in lines {
        let line = line.expect("each line of the log is one line of it");
        assert_ne!(line["message"], "two", "no plugin writes lines of its own");
    }
}
