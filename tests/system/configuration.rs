//! What is wrong is said at start: one clear message, exit code 2.

use std::fs;

use comux_tests::PATIENCE;
use comux_tests::broker::{RESTRICTED_USER, broker};
use comux_tests::process::{Comux, Config, plugin_entry, plugins_line, refused, run_to_end};
use comux_tests::records::{Record, produce};
use comux_tests::topics::{create_topic, create_topics, topic_exists, topic_setting};

use crate::promises::topics;

/// A configuration is refused with exit code 2 and one message that says all of `words`.
fn assert_refused(config: &Config, words: &[&str]) {
    let (code, said) = refused(config);
    assert_eq!(code, Some(2), "{}\n{said}", config.text());
    assert_one_message(&said, words);
}

/// `check` refuses a camera's plugins as above. `run` runs the camera without them, and says as
/// much.
fn assert_plugins_refused(config: &Config, words: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("comux.toml");
    fs::write(&file, config.text()).unwrap();
    let output = run_to_end(&["check", "--config", file.to_str().unwrap()], PATIENCE);
    assert_eq!(output.status.code(), Some(2), "{}", config.text());
    assert_one_message(&String::from_utf8(output.stderr).unwrap(), words);
    let log = Comux::run(config).stop().log;
    let is_warning = |line: &&String| line.contains("WARN") && line.contains("can't be loaded");
    let warning = log.iter().find(is_warning).unwrap_or_else(|| panic!("{}", log.join("\n")));
    assert!(words.iter().all(|word| warning.contains(word)), "{words:?}: {warning}");
}

fn assert_one_message(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "this should say `{word}`:\n{said}");
    }
    // Nothing before it and nothing of another kind behind it: no log, no panic.
    assert!(said.starts_with("comux: "), "the message comes first:\n{said}");
    let others = |line: &&str| line.starts_with("comux: ") || line.contains("panicked");
    assert_eq!(said.lines().filter(others).count(), 1, "one message:\n{said}");
}

/// A file with this content as a camera's plugin; the table's lines, and what keeps the file.
fn plugin_file(name: &str, content: &[u8]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    let lines = format!("plugins = [{{ source = \"{}\" }}]", path.display());
    (directory, lines)
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let config = Config::new("unknown-key").camera("a", "ratee = 5.0");
    assert_refused(&config, &["comux.toml", "line 7", "ratee", "rate"]);
}

#[test]
fn an_impossible_value_is_refused_with_its_line() {
    let config = Config::new("impossible-value").camera("a", "rate = -5.0");
    assert_refused(&config, &["comux.toml", "line 7", "rate", "-5"]);
}

#[test]
fn a_configuration_file_that_is_not_there_is_named() {
    let output = run_to_end(&["run", "--config", "no-such.toml"], PATIENCE);
    assert_eq!(output.status.code(), Some(2));
    assert_one_message(&String::from_utf8(output.stderr).unwrap(), &["no-such.toml", "--config"]);
}

#[test]
fn wrong_usage_ends_with_code_2() {
    for arguments in [&["fly"][..], &["run", "--fast"], &["demo", "--seconds", "soon"]] {
        let output = run_to_end(arguments, PATIENCE);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

/// What looks like an option that other brokers have is answered, not only refused.
#[test]
fn the_embedded_brokers_port_can_not_be_chosen_and_it_says_why() {
    let output = run_to_end(&["broker", "--port", "9092"], PATIENCE);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_one_message(&said, &["the system chooses the port", "prints its address"]);
}

#[test]
fn a_plugin_file_that_is_not_there_is_named() {
    let camera = Config::new("no-plugin").camera("a", "plugins = [{ source = 'gone.wasm' }]");
    assert_plugins_refused(&camera, &["gone.wasm"]);
}

#[test]
fn a_plugin_that_is_no_component_is_refused() {
    let (_kept, lines) = plugin_file("text.wasm", b"not even WebAssembly");
    assert_plugins_refused(&Config::new("text").camera("a", &lines), &["text.wasm", "component"]);
    let (_kept, lines) = plugin_file("module.wasm", &wat::parse_str("(module)").unwrap());
    assert_plugins_refused(
        &Config::new("module").camera("a", &lines),
        &["module.wasm", "component"],
    );
}

#[test]
fn a_plugin_that_imports_wasi_is_refused_by_the_imports_name() {
    let component = r#"(component
        (import "wasi:clocks/monotonic-clock@0.2.0"
            (instance (export "now" (func (result u64))))))"#;
    let (_kept, lines) = plugin_file("clock.wasm", &wat::parse_str(component).unwrap());
    let config = Config::new("wasi").camera("a", &lines);
    assert_plugins_refused(
        &config,
        &["clock.wasm", "wasi:clocks/monotonic-clock", "wasm32-unknown-unknown"],
    );
}

#[test]
fn a_configuration_that_the_plugin_refuses_is_refused_in_its_words() {
    let config = Config::new("refusing")
        .camera("gate-7", &plugins_line("misbehave", "how = 'configure-error'"));
    assert_plugins_refused(&config, &["gate-7", "misbehave", "how", "refused, as configured"]);
}

#[test]
fn two_plugins_that_write_the_same_header_are_refused() {
    let entry = plugin_entry("brightness", "");
    let config =
        Config::new("same-header").camera("gate-7", &format!("plugins = [{entry}, {entry}]"));
    assert_plugins_refused(&config, &["gate-7", "brightness.mean"]);
}

/// This decoder drives a device that no machine for tests has.
#[test]
fn a_decoder_that_can_t_be_opened_is_refused_before_anything_runs() {
    let config = Config::new("no-decoder").camera("gate-7", "codec = 'h264_v4l2m2m'");
    assert_refused(&config, &["gate-7", "h264_v4l2m2m", "codec"]);
}

#[test]
fn a_broker_that_does_not_answer_is_named() {
    // Nothing listens on the port for echo, which only the superuser may take.
    let config = Config::with_broker("unreachable", "127.0.0.1:7").camera("a", "");
    let (code, said) = refused(&config);
    assert_eq!(code, Some(1), "it may answer later: {said}");
    assert_one_message(&said, &["127.0.0.1:7", "bootstrap_servers"]);
}

#[test]
fn what_is_no_level_of_the_log_is_refused() {
    for level in ["nonsense", "debg", "warn,everything", "comux=loud"] {
        let output = run_to_end(&["status", "--log", level], PATIENCE);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{level}: {said}");
        assert_one_message(&said, &["--log", level]);
    }
}

#[test]
fn a_topic_with_several_partitions_is_refused() {
    create_topic("raw_partitions", 2);
    let config = Config::new("partitions").camera("partitions", "");
    assert_refused(&config, &["raw_partitions", "2 partitions"]);
}

#[test]
fn missing_topics_are_created_when_the_broker_allows() {
    let comux = Comux::run(&Config::new("creating").camera("creating", ""));
    assert!(topic_exists("raw_creating") && topic_exists("stream_creating"));
    comux.stop();
}

#[test]
fn missing_topics_are_explained_when_the_broker_refuses_to_create_them() {
    let login = format!(
        "[kafka.properties]\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\
         \"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"{RESTRICTED_USER}\"\n\
         \"sasl.password\" = \"{RESTRICTED_USER}\""
    );
    let config = Config::with_broker("not-creating", &broker().restricted())
        .with(&login)
        .camera("not-creating", "");
    assert_refused(&config, &["comux.control", "create it"]);
    assert!(!topic_exists("raw_not-creating"));
}

#[test]
fn check_says_the_same_as_run() {
    topics("check");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("comux.toml");
    let path = file.to_str().unwrap();
    let good = Config::new("check").camera("check", &plugins_line("brightness", ""));
    fs::write(&file, good.text()).unwrap();
    assert_eq!(run_to_end(&["check", "--config", path], PATIENCE).status.code(), Some(0));
    fs::write(&file, good.with("ratee = 5").text()).unwrap();
    let output = run_to_end(&["check", "--config", path], PATIENCE);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ratee"));
}

#[test]
fn check_warns_of_topics_that_would_break_a_promise() {
    const BYTES: &str = "max.message.bytes";
    let none = (BYTES, "3000000");
    let samples = [
        ("fine", (BYTES, "2000000"), none, &[][..]),
        ("small", (BYTES, "2000000"), (BYTES, "1000000"), &["2000000", "1000000", BYTES]),
        // Headers are added.
        ("alike", (BYTES, "3000000"), (BYTES, "3000000"), &["3000000", "3262144", BYTES]),
        ("arrival", none, ("message.timestamp.type", "LogAppendTime"), &["CreateTime"]),
        ("future", ("message.timestamp.after.max.ms", "7200000"), none, &["7200 s", "3600 s"]),
        ("past", none, ("message.timestamp.before.max.ms", "60000"), &["behind", "60 s"]),
        ("compacted", none, ("cleanup.policy", "compact"), &["cleanup.policy", "delete"]),
        ("zipped", ("compression.type", "zstd"), none, &["compression.type"]),
        ("insync", none, ("min.insync.replicas", "2"), &["min.insync.replicas"]),
        ("old", none, ("retention.ms", "3600000"), &["retention.ms", "3600 s", "clock"]),
    ];
    let mut config = Config::new("check-topics");
    for (camera, input, output, _) in samples {
        for (topic, (key, value), bytes) in
            [("raw", input, "2000000"), ("stream", output, "4000000")]
        {
            let size = if key == BYTES { value } else { bytes };
            let settings = [(BYTES, size), (key, value)];
            let settings = &settings[usize::from(key == BYTES)..];
            create_topics(&[&format!("{topic}_check-{camera}")], 1, settings);
        }
        config = config.camera(&format!("check-{camera}"), "");
    }
    // All of 2023.
    produce("raw_check-old", &[Record::of("")]);
    // What comux creates takes what may come in, and keeps it as long.
    let settings = [(BYTES, "2000000"), ("retention.ms", "7200000")];
    create_topics(&["raw_check-new"], 1, &settings);
    config = config.camera("check-new", "on_refused = 'dead-letter'");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("comux.toml");
    fs::write(&file, config.text()).unwrap();
    let output = run_to_end(&["check", "--config", file.to_str().unwrap()], PATIENCE);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stdout);
    for camera in samples.map(|(camera, ..)| camera).into_iter().chain(["new"]) {
        let begin = format!("⚠ camera check-{camera}: ");
        let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with(&begin)).collect();
        let words = samples.iter().find(|sample| sample.0 == camera).map_or(&[][..], |it| it.3);
        assert_eq!(warnings.len(), usize::from(!words.is_empty()), "{camera}: {said}");
        for (warning, word) in
            warnings.iter().flat_map(|it| words.iter().map(move |word| (it, word)))
        {
            assert!(warning.contains(word), "{word}: {warning}");
        }
    }
    let set =
        |topic: &str, key| topic_setting(topic, key).expect("it exists").parse::<u64>().unwrap();
    assert!(set("stream_check-new", BYTES) > 2_000_000 && set("dead_check-new", BYTES) > 2_000_000);
    assert_eq!(set("stream_check-new", "retention.ms"), 7_200_000);
    assert_eq!(set("dead_check-new", "message.timestamp.after.max.ms"), i64::MAX as u64);
}
