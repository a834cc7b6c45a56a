//! What can be done to a camera while it sends, and that its records do not feel it.

use comux_tests::control::{Control, state};
use comux_tests::feed::Feed;
use comux_tests::media;
use comux_tests::records::{Record, consume, produce};
use comux_tests::topics::{create_topic, record_count};
use serde_json::json;

use crate::live::{
    Controlled, FPS, all_output, assert_all_analysed, camera, controlled, entry, feed_all, only,
    wait_until, wait_until_received,
};
use crate::promises::{
    assert_all_means, assert_means, assert_same_records, assert_sources, topics,
};

#[test]
fn a_camera_lives_from_create_to_delete() {
    let clip = media::bframes();
    let Controlled { comux, mut control, names, .. } = controlled("actions-life", &["brightness"]);
    let instance = "actions-life";
    assert_eq!(control.done("status", json!({}))["cameras"], json!([]));

    let feed = feed_all(&["life"], clip);
    let created = control.done("create", camera("life", only("brightness")));
    assert!(created.message().starts_with("✔ create life"), "{created:?}");
    assert_eq!(
        (&created["camera"], &created["tenant"], created.runtime()),
        (&json!("life"), &json!("default"), instance)
    );
    let again = control.done("create", camera("life", only("brightness")));
    assert_eq!(again["generation"], created["generation"], "the same camera changes nothing");
    let other = camera("life", json!([]));
    control.refused("create", other, "exists", &["life"]);
    feed.wait_for_more(20);

    let status = control.done("status", json!({ "id": "life" }));
    let [status] = &status["cameras"].as_array().unwrap()[..] else { panic!("one camera") };
    assert_eq!((&status["phase"], &status["camera"]), (&json!("running"), &json!("life")));
    assert_eq!(status["spec"]["max_offset_diff"], 1_000_000);
    assert_eq!(state(&names, instance)["life"]["generation"], created["generation"]);

    let sent = feed.stop();
    wait_until_received(&mut control, "life", sent);
    control.done("delete", json!({ "id": "life" }));
    let result = consume("stream_life", sent);
    assert_same_records(&clip.looped(sent), &result);
    assert_all_means(clip, &result);
    for action in ["status", "delete", "pause", "resume", "update"] {
        control.refused(action, json!({ "id": "life" }), "unknown-camera", &["life"]);
    }
    assert!(!state(&names, instance).contains_key("life"), "nothing is left in the state topic");
    assert_eq!(control.done("status", json!({}))["cameras"], json!([]));

    control.assert_one_answer_each(1);
    produce("raw_life", &[Record::of("nobody listens")]);
    comux.stop();
    assert_eq!(record_count("stream_life"), sent, "a deleted camera puts nothing out");
}

#[test]
fn a_deleted_camera_that_is_created_again_goes_on_where_it_stopped() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } = controlled("actions-again", &["brightness"]);
    let mut again = camera("again", only("brightness"));
    again["mode"] = json!("every-frame");
    again["start"] = json!("committed");
    // What lies at its end is given out in this mode without losing anything.
    again["drain_after_ms"] = json!(500);
    control.done("create", again.clone());
    let feed = feed_all(&["again"], clip);
    for _ in 0..3 {
        feed.wait_for_more(30);
        control.done("delete", json!({ "id": "again" }));
        feed.wait_for_more(5);
        control.done("create", again.clone());
    }
    feed.wait_for_more(30);
    let sent = feed.stop();
    wait_until("all have come", || record_count("stream_again") == sent);
    comux.stop();
    let result = consume("stream_again", sent);
    assert_same_records(&clip.looped(sent), &result);
    assert_sources("raw_again", 0, &result);
    assert_all_means(clip, &result);
}

#[test]
fn updates_that_the_decoder_does_not_need_to_know_leave_no_record_unanalysed() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } = controlled("actions-update", &["brightness"]);
    create_topic("elsewhere_update", 1);
    let feed = feed_all(&["update"], clip);
    let created = control.done("create", camera("update", only("brightness")));
    let mut generation = created["generation"].as_u64().unwrap();
    feed.wait_for_more(30);
    let dark = json!({ "source": "brightness.wasm", "config": { "dark_below": 1 } });
    for change in [
        json!({ "rate": 5 }),
        json!({ "rate": null }),
        json!({ "mode": "every-frame" }),
        json!({ "mode": "live" }),
        json!({ "plugins": [dark] }),
        json!({ "max_offset_diff": 1_000_001 }),
        json!({ "produce": "elsewhere_update" }),
    ] {
        let mut value = change;
        value["id"] = json!("update");
        let answer = control.done("update", value.clone());
        generation += 1;
        assert_eq!(answer["generation"], generation, "{value}");
        feed.wait_for_more(30);
    }
    let spec = control.status("update")["spec"].clone();
    assert_eq!((&spec["mode"], &spec["produce"]), (&json!("live"), &json!("elsewhere_update")));
    control.refused("update", json!({ "id": "update", "tenant": "x" }), "conflict", &["tenant"]);
    control.refused("update", json!({ "id": "update", "ratee": 1 }), "invalid", &["ratee"]);
    assert_eq!(control.status("update")["generation"], generation);

    let sent = feed.stop();
    wait_until_received(&mut control, "update", sent);
    comux.stop();
    let (here, there) = (record_count("stream_update"), record_count("elsewhere_update"));
    assert!(here > 150 && there > 0, "{here} here, {there} there");
    let mut result = consume("stream_update", here);
    result.extend(consume("elsewhere_update", there));
    assert_same_records(&clip.looped(sent), &result);
    let analysed = assert_means(clip, &result);
    for (number, record) in result.iter().enumerate() {
        let as_told = record.is_analysed() || record.status() == ("skipped", Some("rate"));
        assert!(as_told, "record {number}: {:?}", record.status());
    }
    let rated = sent - analysed;
    assert!((1..150).contains(&rated), "the rate held for a while: {rated} of {sent}");
}

#[test]
fn a_paused_camera_passes_its_records_on_and_resumes_at_a_key_frame() {
    let clip = media::bframes();
    let Controlled { comux, mut control, names, .. } = controlled("actions-pause", &["brightness"]);
    let feed = feed_all(&["pause"], clip);
    control.done("create", camera("pause", only("brightness")));
    feed.wait_for_more(30);
    control.done("pause", json!({ "id": "pause" }));
    feed.wait_for_more(30);
    assert_eq!(control.status("pause")["phase"], "paused");
    assert_eq!(state(&names, "actions-pause")["pause"]["paused"], true);
    control.done("resume", json!({ "id": "pause" }));
    feed.wait_for_more(45);
    assert_eq!(control.status("pause")["phase"], "running");
    let output = all_output(feed, clip, (comux, &mut control), &["pause"]).remove(0);
    assert_means(clip, &output);
    let mut courses: Vec<(&str, Option<&str>)> = output.iter().map(Record::status).collect();
    courses.dedup();
    let [before, paused, after @ ..] = &courses[..] else { panic!("{courses:?}") };
    assert_eq!((before.0, *paused), ("analysed", ("skipped", Some("paused"))));
    match after {
        [("analysed", None)] | [("skipped", Some("no-keyframe")), ("analysed", None)] => {}
        other => panic!("after the pause: {other:?}"),
    }
}

#[test]
fn another_codec_takes_effect_at_the_next_key_frame() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } = controlled("actions-codec", &["brightness"]);
    let feed = feed_all(&["codec"], clip);
    let mut wrong = camera("codec", only("brightness"));
    wrong["codec"] = json!("h265");
    control.done("create", wrong);
    feed.wait_for_more(10);
    control.done("update", json!({ "id": "codec", "codec": "h264" }));
    feed.wait_for_more(50);
    let sent = feed.stop();
    wait_until_received(&mut control, "codec", sent);
    comux.stop();
    let output = consume("stream_codec", sent);
    assert_same_records(&clip.looped(sent), &output);
    assert_means(clip, &output);
    let first = output.iter().position(Record::is_analysed).expect("some are analysed");
    assert_eq!(output[first].header("comux-keyframe"), Some("1"));
    assert_all_analysed("codec", &output[first..]);
}

#[test]
fn a_camera_that_is_told_so_consumes_another_topic() {
    let (first, second) = (media::bframes(), media::lowdelay());
    let Controlled { comux, mut control, .. } = controlled("actions-consume", &["brightness"]);
    let (_, output) = topics("consume");
    create_topic("other_consume", 1);
    let feed = Feed::start(&["raw_consume"], first, FPS);
    control.done("create", camera("consume", only("brightness")));
    feed.wait_for_more(30);
    let before = feed.stop();
    wait_until_received(&mut control, "consume", before);
    produce("other_consume", &second.records());
    control.done("update", json!({ "id": "consume", "consume": "other_consume" }));
    let all = before + second.packets.len();
    wait_until_received(&mut control, "consume", all);
    comux.stop();
    let result = consume(&output, all);
    let (old, new) = result.split_at(before);
    assert_same_records(&first.looped(before), old);
    assert_all_means(first, old);
    assert_same_records(&second.records(), new);
    assert_sources("other_consume", 0, new);
    assert_all_means(second, new);
}

/// A topic that another camera has can't be had, at creation and later.
#[test]
fn a_topic_in_use_is_a_conflict_and_changes_nothing() {
    let Controlled { comux, mut control, .. } = controlled("actions-conflict", &["brightness"]);
    let _ = (topics("conflict-a"), topics("conflict-b"));
    control.done("create", camera("conflict-a", json!([])));
    control.done("create", camera("conflict-b", json!([])));
    let mut third = camera("conflict-c", json!([entry("brightness")]));
    third["consume"] = json!("raw_conflict-a");
    control.refused("create", third, "conflict", &["raw_conflict-a", "conflict-a"]);
    let change = json!({ "id": "conflict-b", "produce": "stream_conflict-a" });
    control.refused("update", change, "conflict", &["stream_conflict-a", "conflict-a"]);
    assert_eq!(control.status("conflict-b")["spec"]["produce"], "stream_conflict-b");
    let cameras = control.done("status", json!({}))["cameras"].as_array().unwrap().len();
    assert_eq!(cameras, 2);
    comux.stop();
}

/// `correlation-id` may stand in the value as well.
#[test]
fn a_correlation_id_in_the_value_is_answered_alike() {
    let Controlled { comux, mut control, .. } = controlled("actions-id", &[]);
    let mut record = Control::record("status", &json!({ "correlation-id": "in-the-value" }));
    record.headers.clear();
    produce("actions-id.control", &[record]);
    assert!(control.answer("in-the-value").ok());
    // An empty value is `{}`.
    let empty = Control::raw(Some(b"status"), None);
    let id = control.send(&empty);
    assert!(control.answer(&id).ok());
    comux.stop();
}
