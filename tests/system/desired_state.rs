//! What was accepted is what an instance has after a restart, whatever became of the files.

use comux_tests::PATIENCE;
use comux_tests::acl::allow_but_altering;
use comux_tests::broker::{TENANT_USER, broker};
use comux_tests::control::{Control, Names, state};
use comux_tests::home::{Home, component, identity};
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line, refused, run_to_end};
use comux_tests::records::{Record, Writer, consume};
use comux_tests::topics::{create_topics, topic_exists, topic_setting};
use serde_json::{Value, json};

use crate::live::{
    CAMERA, Controlled, assert_all_analysed, camera, controlled, entry, feed_all, only, wait_until,
    wait_until_received,
};
use crate::promises::{assert_same_records, topics};

/// A record of the state topic as a person writes it.
fn written(camera: &str, value: Option<Value>) -> Record {
    Record {
        key: Some(camera.into()),
        value: value.map(|value| value.to_string().into_bytes()),
        ..Record::of("")
    }
}

fn write(names: &Names, instance: &str, record: &Record) {
    let writer = Writer::new();
    writer.send(&names.state(instance), record);
    writer.flush();
}

#[test]
fn missing_control_topics_are_created_and_the_state_is_compacted() {
    let names = Names::new("state-topics");
    let config = names.configure(Config::new("state-topics")).with("[[tenants]]\nid = 'acme'");
    let comux = Comux::run_in(&Home::new(), &config);
    let own = names.of_tenant("acme");
    let state = names.state("state-topics");
    for topic in [&names.control, &names.status, &own.control, &own.status, &state] {
        assert!(topic_exists(topic), "{topic} is created");
    }
    assert_eq!(topic_setting(&state, "cleanup.policy").as_deref(), Some("compact"));
    comux.stop();
}

/// Settings of a topic that forgets, and one more that must stay as it is.
const FORGETS: [(&str, &str); 2] = [("cleanup.policy", "delete"), ("segment.ms", "3600000")];

#[test]
fn a_state_topic_that_would_forget_is_made_compacted() {
    let names = Names::new("state-forgets");
    let state = names.state("state-forgets");
    create_topics(&[&state], 1, &FORGETS);
    let comux = Comux::run(&names.configure(Config::new("state-forgets")));
    assert_eq!(topic_setting(&state, "cleanup.policy").as_deref(), Some("compact"));
    assert_eq!(topic_setting(&state, "segment.ms").as_deref(), Some("3600000"));
    let ended = comux.stop();
    let is_told = |line: &String| line.contains("WARN") && line.contains(&state);
    assert!(ended.log.iter().any(is_told), "{:#?}", ended.log);
}

#[test]
fn a_state_topic_that_would_forget_and_can_not_be_changed_is_refused() {
    let names = Names::new("state-fixed");
    let state = names.state("state-fixed");
    create_topics(&[&state], 1, &FORGETS);
    allow_but_altering(TENANT_USER, "state-fixed");
    let login = format!(
        "properties = {{ 'security.protocol' = 'SASL_PLAINTEXT', 'sasl.mechanism' = 'PLAIN', \
         'sasl.username' = '{TENANT_USER}', 'sasl.password' = '{TENANT_USER}' }}"
    );
    let config = Config::with_broker("state-fixed", &broker().restricted()).with(&login);
    let config = names.configure(config);
    let (code, said) = refused(&config);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("comux.toml");
    std::fs::write(&file, config.text()).unwrap();
    let checked = run_to_end(&["check", "--config", file.to_str().unwrap()], PATIENCE);
    let check_said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!((code, checked.status.code()), (Some(2), Some(2)), "{said}\n{check_said}");
    for said in [said, check_said] {
        for word in [state.as_str(), "cleanup.policy=delete", "cleanup.policy=compact"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    assert_eq!(topic_setting(&state, "cleanup.policy").as_deref(), Some("delete"));
}

#[test]
fn after_a_restart_the_same_cameras_run_the_same_components() {
    let clip = media::bframes();
    let test = "state-restart";
    let Controlled { comux, mut control, names, home } =
        controlled(test, &["brightness", "motion", "motion-next"]);
    let all = ["restart-paused", "restart-running"];
    for id in all {
        let mut camera = camera(id, only("brightness"));
        camera["start"] = json!("committed");
        control.done("create", camera);
        let plugin = entry("motion");
        let value = json!({ "id": id, "plugin": plugin, "replaces": "brightness", "probation": 0 });
        control.done("deploy", value);
    }
    control.done("pause", json!({ "id": "restart-paused" }));
    control.done("update", json!({ "id": "restart-running", "rate": 12 }));
    let seen = |control: &mut Control| {
        all.map(|id| {
            let mut status = control.status(id);
            let fields = status.as_object_mut().unwrap();
            let moves = ["counts", "recent", "recent_s", "plugins_usage"];
            fields.retain(|field, _| !moves.contains(&field.as_str()));
            status
        })
    };
    let (before, state_before) = (seen(&mut control), state(&names, test));
    let old = identity("motion", "0.1.0", &component("motion"));
    assert_eq!((&before[0]["phase"], &before[1]["phase"]), (&json!("paused"), &json!("running")));
    assert_eq!(before[1]["plugins"], json!([old]));
    comux.stop();

    // The file is another now, and then none: what runs is the component that was accepted.
    home.store_file("motion.wasm", &component("motion-next"));
    let config = names.configure(Config::new(test));
    Comux::run_in(&home, &config).stop();
    std::fs::remove_file(home.store().join("motion.wasm")).unwrap();
    let comux = Comux::run_in(&home, &config);
    assert_eq!(seen(&mut control), before);
    assert_eq!(state(&names, test), state_before);

    control.done("resume", json!({ "id": "restart-paused" }));
    let feed = feed_all(&all, clip);
    feed.wait_for_more(50);
    let sent = feed.stop();
    wait_until_received(&mut control, "restart-paused", sent);
    comux.stop();
    let output = consume("stream_restart-paused", sent);
    assert_same_records(&clip.looped(sent), &output);
    assert_all_analysed("restart-paused", &output);
    assert!(output.iter().all(|record| record.header("comux-plugin") == Some(old.as_str())));
}

#[test]
fn a_previous_version_is_still_known_after_a_restart() {
    let test = "state-previous";
    let Controlled { comux, mut control, names, home } =
        controlled(test, &["motion", "motion-next"]);
    let _ = topics("previous");
    control.done("create", camera("previous", only("motion")));
    let value = json!({ "id": "previous", "plugin": entry("motion-next"), "probation": 0 });
    control.done("deploy", value);
    comux.stop();
    let comux = Comux::run_in(&home, &names.configure(Config::new(test)));
    let answer = control.done("rollback", json!({ "id": "previous" }));
    let old = identity("motion", "0.1.0", &component("motion"));
    assert_eq!(answer["plugins"], json!([old]));
    comux.stop();
}

#[test]
fn a_person_may_write_the_state() {
    let test = "state-person";
    let Controlled { comux, mut control, names, .. } = controlled(test, &["brightness"]);
    let _ = (topics("person"), topics("person-new"));
    control.done("create", camera("person", only("brightness")));
    let mut wish = camera("person", only("brightness"));
    wish["rate"] = json!(3);
    write(&names, test, &written("person", Some(json!({ "camera": wish }))));
    wait_until("a written change applies", || {
        let status = control.status("person");
        // 3 and 3.0 are the same number.
        status["spec"]["rate"].as_f64() == Some(3.0) && status["generation"] == 2
    });
    let new = camera("person-new", json!([]));
    write(&names, test, &written("person-new", Some(json!({ "camera": new }))));
    wait_until("a written camera runs", || {
        let answer = control.ask("status", json!({ "id": "person-new" }));
        answer.ok() && answer["cameras"][0]["phase"] == "running"
    });
    // A pause in the same way: the fields of a state record.
    let paused = json!({ "camera": new, "paused": true });
    write(&names, test, &written("person-new", Some(paused)));
    wait_until("it is paused", || control.status("person-new")["phase"] == "paused");
    write(&names, test, &written("person", None));
    wait_until("a tombstone deletes", || {
        control.ask("status", json!({ "id": "person" })).error() == "unknown-camera"
    });
    comux.stop();
}

#[test]
fn a_wrong_state_record_is_refused_and_the_last_good_one_is_written_back() {
    let clip = media::bframes();
    let test = "state-wrong";
    let Controlled { comux, mut control, names, .. } = controlled(test, &["brightness"]);
    control.done("create", camera("wrong", only("brightness")));
    let feed = feed_all(&["wrong"], clip);
    feed.wait_for_more(20);
    let good = state(&names, test)["wrong"].clone();
    let spec = control.status("wrong")["spec"].clone();
    let with = |key: &str, value: Value| {
        let mut camera = camera("wrong", only("brightness"));
        camera[key] = value;
        json!({ "camera": camera }).to_string().into_bytes()
    };
    let values: [(&str, Vec<u8>); 6] = [
        ("rate", with("rate", json!("often"))),
        ("ratee", with("ratee", json!(1))),
        ("gone.wasm", with("plugins", only("gone"))),
        (
            "dark_below",
            with(
                "plugins",
                json!([{
                    "source": "brightness.wasm", "config": { "dark_below": 300 }
                }]),
            ),
        ),
        ("other", with("id", json!("other"))),
        ("", b"no JSON".to_vec()),
    ];
    let mut events = 0;
    for (word, value) in values {
        let record = Record { value: Some(value), ..written("wrong", None) };
        write(&names, test, &record);
        let refusal = loop {
            let came = control.poll(comux_tests::PATIENCE).expect("an event");
            if came["event"] == "state-refused" {
                break came;
            }
        };
        assert_eq!(refusal["camera"], "wrong", "{refusal:?}");
        assert!(refusal["message"].as_str().is_some_and(|it| it.contains(word)), "{refusal:?}");
        events += 1;
        wait_until("the last good one is written back", || {
            state(&names, test).get("wrong") == Some(&good)
        });
        let status = control.status("wrong");
        assert_eq!((&status["spec"], &status["phase"]), (&spec, &json!("running")));
    }
    assert_eq!(events, 6);
    feed.wait_for_more(10);
    let sent = feed.stop();
    wait_until_received(&mut control, "wrong", sent);
    comux.stop();
    let output = consume("stream_wrong", sent);
    assert_same_records(&clip.looped(sent), &output);
    assert_all_analysed("wrong", &output);
}

#[test]
fn a_camera_of_the_file_that_was_deleted_stays_deleted() {
    let test = "state-deleted";
    let names = Names::new(test);
    let home = Home::with_plugins(&["brightness"]);
    let _ = (topics("of-file"), topics("of-file-too"));
    let lines = format!("{CAMERA}{}", plugins_line("brightness", ""));
    let config =
        names.configure(Config::new(test)).camera("of-file", &lines).camera("of-file-too", &lines);
    let comux = Comux::run_in(&home, &config);
    let mut control = Control::new(&names);
    control.done("delete", json!({ "id": "of-file" }));
    control.done("update", json!({ "id": "of-file-too", "rate": 3 }));
    assert_eq!(state(&names, test)["of-file"]["deleted"], true);
    comux.stop();
    for _ in 0..2 {
        let comux = Comux::run_in(&home, &config);
        control.refused("status", json!({ "id": "of-file" }), "unknown-camera", &["of-file"]);
        let rate = control.status("of-file-too")["spec"]["rate"].as_f64();
        assert_eq!(rate, Some(3.0), "the topic wins over the file");
        comux.stop();
    }
    // Until somebody wants it again.
    let comux = Comux::run_in(&home, &config);
    control.done("create", camera("of-file", only("brightness")));
    comux.stop();
    let comux = Comux::run_in(&home, &config);
    assert_eq!(control.status("of-file")["phase"], "running");
    comux.stop();
}

#[test]
fn one_command_gives_a_camera_back_to_the_file() {
    let test = "state-reset";
    let names = Names::new(test);
    let home = Home::with_plugins(&["brightness"]);
    let ids = ["reset-deleted", "reset-changed", "reset-paused"];
    let lines = format!("{CAMERA}rate = 7\n{}", plugins_line("brightness", ""));
    let mut config = names.configure(Config::new(test));
    for id in ids {
        let _ = topics(id);
        config = config.camera(id, &lines);
    }
    let comux = Comux::run_in(&home, &config);
    let mut control = Control::new(&names);
    control.done("delete", json!({ "id": ids[0] }));
    control.done("update", json!({ "id": ids[1], "rate": 3, "plugins": [] }));
    control.done("pause", json!({ "id": ids[2] }));
    let log = comux.stop().log.join("\n");
    assert!(!log.contains("a command has deleted it"), "{log}");
    let comux = Comux::run_in(&home, &config);
    for id in ids {
        control.done("reset", json!({ "id": id }));
    }
    let as_in_the_file = |control: &mut Control| {
        for id in ids {
            let status = control.status(id);
            assert_eq!(status["phase"], "running", "{id}");
            assert_eq!((&status["spec"]["rate"], &status["generation"]), (&json!(7.0), &json!(0)));
            assert_eq!(status["plugins"].as_array().map(Vec::len), Some(1), "{id}");
        }
    };
    as_in_the_file(&mut control);
    assert!(state(&names, test).is_empty(), "the file alone says what they are");
    let _ = topics("reset-other");
    control.done("create", camera("reset-other", only("brightness")));
    let words = ["the configuration file has no such camera"];
    control.refused("reset", json!({ "id": "reset-other" }), "refused", &words);
    control.refused("reset", json!({ "id": "reset-none" }), "unknown-camera", &["reset-none"]);
    control.done("delete", json!({ "id": "reset-other" }));
    let log = comux.stop().log.join("\n");
    assert!(log.contains("a command has deleted it; `comux control reset"), "{log}");
    let comux = Comux::run_in(&home, &config);
    as_in_the_file(&mut control);
    comux.stop();
}
