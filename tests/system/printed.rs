//! Nothing that a stranger wrote reaches a terminal or a log raw: no line of theirs, no colour, no
//! cleared screen.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use comux_tests::PATIENCE;
use comux_tests::broker::broker;
use comux_tests::control::{Control, Names};
use comux_tests::home::Home;
use comux_tests::media;
use comux_tests::process::{Config, binary, run_to_end};
use comux_tests::records::{Record, Writer, consume, produce};
use comux_tests::topics::{create_topic, topic_exists};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::live::wait_until;
use crate::promises::topics;

/// What would be a line of its own, and what terminals act on. As what the plugin `hostile` writes,
/// it has the word `forged` where nobody may be made to believe it.
const FORGED: &str = "one\n2026-01-01T00:00:00Z ERROR forged\r\n\t\u{1b}[2J\u{9b}31m\u{8}\u{7f}\
     \u{85}\u{202e}\
     \u{2028}four";

/// No character is left that a terminal acts on, and no line is forged. Returns the lines.
fn assert_harmless<'t>(what: &str, printed: &'t [u8]) -> Vec<&'t str> {
    let text = std::str::from_utf8(printed).unwrap_or_else(|error| panic!("{what}: {error}"));
    for character in text.chars() {
        let is_acted_on = character.is_control() && character != '\n'
            || ('\u{2028}'..='\u{202e}').contains(&character);
        assert!(!is_acted_on, "{what} has {character:?}:\n{text:?}");
    }
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        let forged = line.starts_with("2026-01-01") || line.trim_start().starts_with("{\"message");
        assert!(!forged, "{what} has a line that was forged: {line}");
    }
    lines
}

fn run(home: &Home, format: &str) -> Child {
    let log = fs::File::create(home.path().join("log")).unwrap();
    Command::new(binary())
        .args(["--log", "comux=debug,info", "--log-format", format, "run"])
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn stop(mut comux: Child) {
    kill(Pid::from_raw(i32::try_from(comux.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(comux.wait().unwrap().code(), Some(0));
}

#[test]
fn whatever_records_plugins_and_commands_bring_no_command_and_no_log_prints_it_raw() {
    let (test, clip) = ("printed", media::bframes());
    let (home, names) = (Home::with_plugins(&["hostile", "brightness"]), Names::new(test));
    let (_, output) = topics(test);
    let mut records: Vec<Record> = clip.records();
    records.truncate(60);
    for record in &mut records {
        record.key = Some(FORGED.into());
        record.headers.push((FORGED.to_owned(), Some(FORGED.into())));
        record.headers.push((format!("comux-{FORGED}"), Some(FORGED.into())));
    }
    let ways = ["log-forged", "forged-error", "metric-forged", "forged-header"];
    let camera = |how: &str| {
        let config = format!("config = {{ how = '{how}', every = 1 }}");
        let plugin = format!("{{ source = 'plugins/hostile.wasm', {config} }}");
        format!("mode = 'every-frame'\nplugins = [{plugin}]")
    };
    let config = names.configure(Config::new(test)).camera(test, &camera("forged-header"));
    let config = ways.iter().fold(config, |config, how| {
        let id = format!("printed-{how}");
        let _ = topics(&id);
        config.camera(&id, &camera(how))
    });
    fs::write(home.path().join("comux.toml"), config.text()).unwrap();
    for topic in [&names.control, &names.status] {
        if !topic_exists(topic) {
            create_topic(topic, 1);
        }
    }
    let in_home = |arguments: &[&str]| {
        let file = home.path().join("comux.toml").display().to_string();
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--config", &file]).collect();
        let output = run_to_end(&arguments, PATIENCE);
        let what = arguments[..arguments.len() - 2].join(" ");
        for printed in [&output.stdout, &output.stderr] {
            assert_harmless(&what, printed);
        }
        output
    };

    let cameras: Vec<String> = ways.iter().map(|how| format!("printed-{how}")).collect();
    let cameras: Vec<&str> = cameras.iter().map(String::as_str).chain([test]).collect();
    for (times, format) in [(1, "text"), (2, "json")] {
        let mut comux = run(&home, format);
        let mut control = Control::new(&names);
        wait_until("it runs", || {
            let ended = comux.try_wait().unwrap().map(|_| home.path().join("log"));
            assert_eq!(ended.map(|log| fs::read_to_string(log).unwrap()), None, "it ended");
            control.send(&Control::record("status", &json!({})));
            control.poll(Duration::from_secs(1)).is_some_and(|answer| answer.ok())
        });
        for camera in &cameras {
            produce(&format!("raw_{camera}"), &records);
        }
        for camera in &cameras {
            let result = consume(&format!("stream_{camera}"), times * records.len());
            assert!(result.iter().all(|it| it.header("comux-status").is_some()));
        }
        let raw = Control::raw(Some(FORGED.as_bytes()), Some(b"{}"));
        let sent = control.send(&raw);
        assert_eq!(control.answer(&sent).error(), "unknown-action");
        for arguments in
            [&["status"][..], &["status", "--json"], &["status", r#"{"id":"printed"}"#]]
        {
            let answered = in_home(&[&["control"], arguments, &["--wait"]].concat());
            assert_eq!(answered.status.code(), Some(0));
        }
        let hostile = |config: Value| json!({ "source": "hostile.wasm", "config": config });
        for (action, value) in [
            (FORGED, json!({})),
            (
                "deploy",
                json!({ "id": test, "plugin": hostile(json!({"how": "configure-forged"})) }),
            ),
            ("deploy", json!({ "id": test, "plugin": hostile(json!({ FORGED: 1 })) })),
            ("deploy", json!({ "id": test, "plugin": { "source": FORGED } })),
            ("deploy", json!({ "id": FORGED, "plugin": { "source": "hostile.wasm" } })),
            ("update", json!({ "id": test, FORGED: 1 })),
            ("create", json!({ "id": FORGED })),
        ] {
            let value = value.to_string();
            let arguments = ["control", action, &value, "--wait", "--json"];
            let arguments = &arguments[..4 + usize::from(format == "json")];
            assert_eq!(in_home(arguments).status.code(), Some(1), "{action:?} {value}");
        }
        stop(comux);
        let log = fs::read(home.path().join("log")).unwrap();
        let lines = assert_harmless("the log", &log);
        assert!(lines.iter().any(|line| line.contains("forged")), "what was written is told");
        for line in lines {
            match format {
                "text" => assert!(line.starts_with("20") && line.contains('T'), "{line}"),
                _ => assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}"),
            }
        }
    }

    let watched = |json: bool| {
        let mut watch = Command::new(binary());
        watch.args(["watch", "--from-beginning", "--camera", test]);
        watch.args(["--bootstrap-servers", &broker().bootstrap()]);
        if json {
            watch.arg("--json");
        }
        let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = std::io::BufReader::new(watch.stdout.take().unwrap());
        let mut text = Vec::new();
        for _ in 0..2 * records.len() {
            std::io::BufRead::read_until(&mut lines, b'\n', &mut text).unwrap();
        }
        // It ends without a word when nobody reads on.
        drop(lines);
        Writer::new().send(&output, &records[0]);
        let _ = watch.kill();
        let _ = watch.wait();
        text
    };
    for line in assert_harmless("watch", &watched(false)) {
        assert!(line.starts_with("printed #"), "{line}");
    }
    for line in assert_harmless("watch --json", &watched(true)) {
        let record: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(record["headers"][FORGED], FORGED, "JSON says the same");
    }
    // A name of something imported is the plugin's author's, too.
    let module = format!("(module (import \"{}\" \"f\" (func)))", FORGED.escape_default());
    home.store_file("module.wasm", &wat::parse_str(module).unwrap());
    let lines = "plugins = [{ source = 'plugins/module.wasm' }]";
    let config = names.configure(Config::new(test)).camera("printed-check", lines);
    fs::write(home.path().join("comux.toml"), config.text()).unwrap();
    assert_eq!(in_home(&["check"]).status.code(), Some(2));
}
