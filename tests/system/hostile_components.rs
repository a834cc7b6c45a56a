//! Components that take what no tool gives to anybody's code: tables without end, memories, tables
//! and instances beyond number. Each is refused or fails with the reason, and the host goes on.

use comux_tests::control::Control;
use comux_tests::handmade::{plugin, with_instances};
use comux_tests::home::Home;
use comux_tests::hostile::{Grower, growers};
use comux_tests::media;
use comux_tests::records::{consume, produce};
use serde_json::{Value, json};

use crate::live::{
    Controlled, all_output, assert_all_analysed, camera, controlled, feed_all, only,
};
use crate::promises::{assert_same_records, topics};

/// Each fifth frame is an attack, as `handmade::plugin` counts: too few failures to take the plugin
/// for broken.
const RECORDS: usize = 20;
const EVERY: usize = 5;

/// What becomes of twenty records of a new camera with this plugin, and these limits of its own:
/// status and reason of the attacked ones, and of all others.
fn assert_ends(control: &mut Control, id: &str, limits: &Value, attacked: (&str, Option<&str>)) {
    let records = &media::lowdelay().records()[..RECORDS];
    let (input, output) = topics(id);
    let mut camera = camera(id, only(id));
    camera["limits"] = limits.clone();
    control.done("create", camera);
    produce(&input, records);
    let result = consume(&output, RECORDS);
    assert_same_records(records, &result);
    for (number, record) in result.iter().enumerate() {
        let is_attacked = (number + 1).is_multiple_of(EVERY);
        let expected = if is_attacked { attacked } else { ("analysed", None) };
        assert_eq!(record.status(), expected, "{id}: record {number}");
    }
}

/// A camera that runs beside it all, and loses nothing.
const NEIGHBOUR: &str = "-neighbour";

#[test]
fn tables_end_where_the_limit_says_and_the_next_frame_is_analysed() {
    let test = "hostile-tables";
    let Controlled { comux, mut control, home, .. } = controlled(test, &["brightness"]);
    let neighbour = format!("{test}{NEIGHBOUR}");
    let feed = feed_all(&[&neighbour], media::lowdelay());
    let mut beside = camera(&neighbour, only("brightness"));
    beside["limits"] = json!({ "deadline_ms": 5_000 });
    control.done("create", beside);

    let before = comux.memory();
    for Grower { name, file, deadline_ms, ends } in growers() {
        let id = format!("{test}-{name}");
        home.store_file(&format!("{id}.wasm"), &file);
        assert_ends(&mut control, &id, &json!({ "deadline_ms": deadline_ms }), ends);
    }
    let peak = comux.peak_memory();
    assert!(peak < before + (300 << 20), "memory grew from {before} to {peak} at most");
    let output = all_output(feed, media::lowdelay(), (comux, &mut control), &[&neighbour]);
    assert_all_analysed(&neighbour, &output[0]);
}

#[test]
fn a_component_has_no_more_memories_tables_and_instances_than_the_limits_say() {
    let test = "hostile-numbers";
    let Controlled { comux, mut control, home, .. } = controlled(test, &["brightness"]);
    let neighbour = format!("{test}{NEIGHBOUR}");
    let feed = feed_all(&[&neighbour], media::lowdelay());
    let mut beside = camera(&neighbour, only("brightness"));
    beside["limits"] = json!({ "deadline_ms": 5_000 });
    control.done("create", beside);

    // It has one instance with one memory. The defaults are 64 instances, 4 memories and 8 tables
    // of 100,000 elements, and 64 MiB.
    let plain = plugin("", "");
    let with = |fields: &str, count| with_instances(&plain, fields, count);
    let id = format!("{test}-attacker");
    let create = |home: &Home, component: &[u8], limits: Value| {
        home.store_file("attacker.wasm", component);
        let mut camera = camera(&id, only("attacker"));
        camera["limits"] = limits;
        camera
    };
    topics(&id);
    for (fields, count, words) in [
        ("(memory 1)", 4, "memory count too high at 5"),
        (&*"(memory 0)".repeat(5), 1, "memory count too high at 6"),
        ("(table 1 funcref)", 9, "table count too high at 9"),
        (&*"(table 0 funcref)".repeat(50), 1, "table count too high at 50"),
        ("", 64, "instance count too high at 65"),
        ("", 400, "instance count too high at 65"),
        ("", 501, "instances, and a plugin may have 500"),
        ("(table 100001 funcref)", 1, "100001 elements exceeds table limits"),
        ("(table 50001 funcref)", 2, "50001 elements exceeds table limits"),
        ("(memory 1024)", 1, "1024 pages exceeds memory limits"),
        ("(memory 512)", 2, "512 pages exceeds memory limits"),
    ] {
        let what = format!("{count} of {:.40}", fields);
        let answer = control.ask("create", create(&home, &with(fields, count), json!({})));
        assert_eq!(answer["failed_step"], "check", "{what}: {answer:?}");
        assert!(answer.message().contains(words), "{what}: {answer:?}");
    }
    // Not more than by default, but more than its camera's limits.
    for (fields, limits, words) in [
        ("(memory 1)", json!({ "memories": 1 }), "memory count too high at 2"),
        (&*"(table 1 funcref)".repeat(2), json!({ "tables": 1 }), "table count too high at 2"),
        ("", json!({ "instances": 1 }), "instance count too high at 2"),
        ("(table 11 funcref)", json!({ "table_elements": 10 }), "`table_elements` 10"),
        ("(memory 16)", json!({ "memory_mb": 1 }), "`memory_mb` is 1"),
    ] {
        let answer = control.ask("create", create(&home, &with(fields, 1), limits));
        assert_eq!(answer["failed_step"], "check", "{fields}: {answer:?}");
        assert!(answer.message().contains(words), "{fields}: {answer:?}");
    }
    // As much as there may be is not too much; the id is free, and the host is well.
    let most = with_instances(&with("(memory 0)", 3), "(table 12500 funcref)", 8);
    let most = with_instances(&most, "", 32 - 1 - 3 - 8);
    control.done("create", create(&home, &most, json!({ "deadline_ms": 5_000 })));
    let records = &media::lowdelay().records()[..10];
    produce(&format!("raw_{id}"), records);
    assert_all_analysed(&id, &consume(&format!("stream_{id}"), records.len()));
    let output = all_output(feed, media::lowdelay(), (comux, &mut control), &[&neighbour]);
    assert_all_analysed(&neighbour, &output[0]);
}
