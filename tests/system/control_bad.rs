//! A control record that makes no sense gets one clear answer and changes nothing.

use comux_tests::control::{Control, state};
use comux_tests::media;
use serde_json::json;

use crate::live::{Controlled, all_output, camera, controlled, feed_all, only};
use crate::promises::assert_all_means;

#[test]
fn an_unknown_action_is_answered_in_these_words() {
    let Controlled { comux, mut control, .. } = controlled("bad-action", &[]);
    let answer = control.refused("dance", json!({ "id": "x" }), "unknown-action", &[]);
    assert_eq!(answer.message(), "✘ No action 'dance' defined!");
    assert_eq!(answer["action"], "dance");
    control.assert_one_answer_each(1);
    comux.stop();
}

#[test]
fn what_is_wrong_in_a_record_is_said_once_and_changes_nothing() {
    let clip = media::bframes();
    let Controlled { comux, mut control, names, .. } = controlled("bad", &["brightness"]);
    let feed = feed_all(&["bad"], clip);
    control.done("create", camera("bad", only("brightness")));
    let before = (state(&names, "bad"), control.status("bad")["generation"].clone());

    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep_objects = "{\"id\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    let large = json!({ "id": "bad", "codec": "x".repeat(2 << 20) }).to_string();
    let large_and_no_json = "x".repeat(2 << 20);
    let deploy = |plugin: &str| format!(r#"{{"id":"bad","plugin":{plugin}}}"#);
    let texts: Vec<(&str, String, &str, &[&str])> = vec![
        ("create", "not JSON".into(), "invalid", &["JSON"]),
        ("create", "{\"id\": \"half".into(), "invalid", &["JSON"]),
        ("create", "[1, 2]".into(), "invalid", &["object"]),
        ("create", "\"bad\"".into(), "invalid", &["object"]),
        ("create", "null".into(), "invalid", &["object"]),
        ("create", deep.clone(), "invalid", &[]),
        ("create", deep_objects, "invalid", &[]),
        ("status", deep, "invalid", &[]),
        ("update", large, "invalid", &[]),
        ("create", large_and_no_json, "invalid", &[]),
        ("create", "{}".into(), "invalid", &["id"]),
        ("create", r#"{"id": 5}"#.into(), "invalid", &["id"]),
        ("create", r#"{"id": "a b"}"#.into(), "invalid", &["a b"]),
        ("create", r#"{"id": ""}"#.into(), "invalid", &["id"]),
        ("create", r#"{"id": "../../etc"}"#.into(), "invalid", &["../../etc"]),
        ("create", r#"{"id": "new", "rate": "often"}"#.into(), "invalid", &["rate", "keyframes"]),
        ("create", r#"{"id": "new", "codec": "h266"}"#.into(), "invalid", &["h266"]),
        ("create", r#"{"id": "new", "ratee": 5}"#.into(), "invalid", &["ratee"]),
        ("create", r#"{"id": "new", "plugins": "x.wasm"}"#.into(), "invalid", &["plugins"]),
        ("update", "{}".into(), "invalid", &["id"]),
        ("update", r#"{"id": "bad", "rate": {}}"#.into(), "invalid", &["rate"]),
        ("update", r#"{"id": "bad", "decode_threads": 0}"#.into(), "invalid", &["decode_threads"]),
        ("update", r#"{"id": "gone", "rate": 1}"#.into(), "unknown-camera", &["gone"]),
        ("delete", "{}".into(), "invalid", &["id"]),
        ("delete", r#"{"id": "gone"}"#.into(), "unknown-camera", &["gone"]),
        ("delete", r#"{"id": "bad", "force": true}"#.into(), "invalid", &["force"]),
        ("pause", r#"{"id": ["bad"]}"#.into(), "invalid", &["id"]),
        ("pause", r#"{"id": "gone"}"#.into(), "unknown-camera", &["gone"]),
        ("status", r#"{"id": "gone"}"#.into(), "unknown-camera", &["gone"]),
        ("deploy", "{}".into(), "invalid", &[]),
        ("deploy", r#"{"id": "bad"}"#.into(), "invalid", &["plugin"]),
        ("deploy", deploy("5"), "invalid", &["plugin"]),
        ("deploy", deploy("{}"), "invalid", &["source"]),
        ("deploy", deploy(r#"{"source": "brightness.wasm", "x": 1}"#), "invalid", &["x"]),
        ("deploy", deploy(r#"{"source": "brightness.wasm", "sha256": "12"}"#), "invalid", &[]),
        (
            "deploy",
            r#"{"id": "bad", "all": true, "plugin": {"source": "brightness.wasm"}}"#.into(),
            "invalid",
            &["all"],
        ),
        ("rollback", r#"{"id": "gone"}"#.into(), "unknown-camera", &["gone"]),
        ("Create", r#"{"id": "new"}"#.into(), "unknown-action", &["'Create'"]),
        ("", "{}".into(), "invalid", &["key"]),
    ];
    let mut sent = Vec::new();
    for (action, text, kind, words) in &texts {
        let record = Control::raw(Some(action.as_bytes()), Some(text.as_bytes()));
        sent.push((control.send(&record), *kind, *words, &text[..text.len().min(80)]));
    }
    for (id, kind, words, text) in sent {
        let answer = control.answer(&id);
        assert_eq!(answer.error(), kind, "to {text}: {answer:?}");
        for word in words {
            assert!(answer.message().contains(word), "to {text} say `{word}`: {answer:?}");
        }
        let size = answer.message().len();
        assert!(size < 2000, "an answer does not carry the record back: {size} bytes");
        assert!(!answer.message().contains('\n'), "one line: {answer:?}");
    }

    // What has no action, or one that is no text, is answered as well.
    for key in [None, Some(&b"\xff\xfe"[..])] {
        let id = control.send(&Control::raw(key, Some(b"{}")));
        control.answer(&id).assert_refused("invalid", &["key"]);
    }
    // An id that is no text can't be echoed, and disturbs nobody.
    let mut odd = Control::record("status", &json!({}));
    odd.headers = vec![("correlation-id".into(), Some(vec![0xff])), ("runtime".into(), None)];
    comux_tests::records::produce(&names.control, &[odd]);

    // The same record twice is answered twice and done once.
    let twice = Control::record("create", &camera("bad", only("brightness")));
    for _ in 0..2 {
        control.send(&twice);
    }
    let id = twice.header("correlation-id").unwrap();
    for answer in control.answers(id, 2) {
        assert!(answer.ok(), "{answer:?}");
        assert_eq!(answer["generation"], before.1);
    }
    let after = (state(&names, "bad"), control.status("bad")["generation"].clone());
    assert_eq!(after, before, "nothing has changed");
    assert_eq!(control.done("status", json!({}))["cameras"].as_array().unwrap().len(), 1);
    let output = all_output(feed, clip, (comux, &mut control), &["bad"]).remove(0);
    assert_all_means(clip, &output);
}
