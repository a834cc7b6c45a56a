//! A plugin can't tell that another tenant exists: one that looks at all it can reach sees the same
//! alone and beside others, and nothing that others left behind.

use comux_tests::control::{Control, Names};
use comux_tests::feed::Feed;
use comux_tests::home::Home;
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugin_entry, plugins_line};
use comux_tests::records::{Reader, Record, consume, produce};
use comux_tests::topics::create_topic;
use serde_json::{Value, json};

use crate::live::{camera, wait_until};
use crate::promises::{assert_same_records, topics};

/// Searching the memory takes its time in a debug build on a busy machine.
const TENANTS: &str = "[limits]\ndeadline_ms = 5_000\n\
                       [[tenants]]\nid = 'alice'\n[[tenants]]\nid = 'bob'";

/// What the spy reports of each record.
fn seen(output: &[Record]) -> Vec<&str> {
    let seen = output.iter().map(|record| {
        assert_eq!(record.status(), ("analysed", None));
        record.header("spy.seen").expect("the spy reports")
    });
    seen.collect()
}

fn spy_of(tenant: &str) -> String {
    let plugin = plugins_line("spy", &format!("secret = 'the-secret-of-{tenant}'"));
    format!("tenant = '{tenant}'\nmode = 'every-frame'\nstart = 'beginning'\n{plugin}")
}

#[test]
fn a_plugin_sees_the_same_alone_and_beside_another_tenants_cameras() {
    let records = &media::lowdelay().records()[..40];
    let (input, output) = topics("isolated");
    produce(&input, records);
    let config = |name: &str| Config::new(name).with(TENANTS).camera("isolated", &spy_of("alice"));
    let mut reader = Reader::new(&output);

    let comux = Comux::run(&config("isolation-alone"));
    let alone = reader.take(records.len());
    comux.stop();

    let others = ["isolation-other-1", "isolation-other-2", "isolation-other-3"];
    let inputs = others.map(|other| topics(other).0);
    let feed = Feed::start(&inputs, media::bframes(), 25);
    let with_others = others
        .iter()
        .fold(config("isolation-beside"), |config, other| config.camera(other, &spy_of("bob")));
    let comux = Comux::run(&with_others);
    let beside = reader.take(records.len());
    comux.stop();
    let _ = feed.stop();

    for output in [&alone, &beside] {
        assert_same_records(records, output);
    }
    for (alone, beside) in seen(&alone).into_iter().zip(seen(&beside)) {
        assert_eq!(alone, beside);
        let found: Value = serde_json::from_str(beside).unwrap();
        assert_eq!(found["memory"], json!({ "fresh": 0, "marks": 0 }), "its memory is its own");
        assert_eq!(found["tenant"], "alice");
        assert!(!beside.contains("bob") && !beside.contains("isolation-other"), "{beside}");
    }
}

/// Whether a report speaks of that tenant.
fn assert_knows_nothing_of(tenant: &str, output: &[Record]) {
    for report in seen(output) {
        assert!(!report.contains(tenant), "it has seen something of {tenant}: {report}");
        let found: Value = serde_json::from_str(report).unwrap();
        assert_eq!(found["memory"], json!({ "fresh": 0, "marks": 0 }));
    }
}

#[test]
fn a_camera_that_goes_to_another_tenant_takes_nothing_along() {
    let records = &media::lowdelay().records()[..20];
    let (input, output) = topics("inherited");
    let home = Home::new();
    let run = |tenant: &str| {
        let config = Config::new("isolation-inherited").with(TENANTS);
        produce(&input, records);
        Comux::run_in(&home, &config.camera("inherited", &spy_of(tenant)))
    };
    let mut reader = Reader::new(&output);
    for (tenant, before) in [("alice", "bob"), ("bob", "alice")] {
        let comux = run(tenant);
        assert_knows_nothing_of(before, &reader.take(records.len()));
        comux.stop();
    }
    // Its own it finds again.
    let comux = run("bob");
    let output = reader.take(records.len());
    assert!(seen(&output)[0].contains("bob/inherited"), "{}", seen(&output)[0]);
    comux.stop();
}

#[test]
fn a_camera_id_that_another_tenant_gave_up_brings_nothing_with_it() {
    let names = Names::new("isolation-ids");
    let home = Home::with_plugins(&["spy"]);
    let config = names.configure(Config::new("isolation-ids"));
    let config = config.with("consume = 'raw_:tenant_:cam_id'\nproduce = 'stream_:tenant_:cam_id'");
    let comux = Comux::run_in(&home, &config.with(TENANTS));
    let clip = media::lowdelay();
    let records = &clip.records()[..20];
    let mut clients = ["alice", "bob"].map(|tenant| {
        create_topic(&format!("raw_{tenant}_shared"), 1);
        create_topic(&format!("stream_{tenant}_shared"), 1);
        produce(&format!("raw_{tenant}_shared"), records);
        (tenant, Control::new(&names.of_tenant(tenant)))
    });
    let mut operator = Control::new(&names);
    for round in 0..5 {
        for (tenant, control) in &mut clients {
            let secret = format!("the-secret-of-{tenant}");
            let mut shared =
                camera("shared", json!([{ "source": "spy.wasm", "config": { "secret": secret } }]));
            shared["tenant"] = json!(tenant);
            control.done("create", shared);
            wait_until("it has seen something", || {
                operator.status("shared")["counts"]["analysed"].as_u64() >= Some(20)
            });
            control.done("delete", json!({ "id": "shared" }));
            let output = consume(&format!("stream_{tenant}_shared"), records.len() * (round + 1));
            let other = if *tenant == "alice" { "bob" } else { "alice" };
            assert_knows_nothing_of(other, &output[records.len() * round..]);
        }
    }
    comux.stop();
}

#[test]
fn the_next_instance_finds_nothing_of_the_one_before() {
    // The spy beside a plugin that is replaced again and again, on one thread and with one memory
    // after the other.
    let records = &media::lowdelay().records()[..20];
    let (input, output) = topics("isolation-next");
    produce(&input, records);
    let entries =
        [plugin_entry("misbehave", "how = 'grow', every = 5"), plugin_entry("spy", "secret = 'x'")];
    let lines =
        format!("mode = 'every-frame'\nstart = 'beginning'\nplugins = [{}]", entries.join(", "));
    let comux =
        Comux::run(&Config::new("isolation-next").with(TENANTS).camera("isolation-next", &lines));
    for record in consume(&output, records.len()) {
        let found: Value = serde_json::from_str(record.header("spy.seen").unwrap()).unwrap();
        assert_eq!(found["memory"], json!({ "fresh": 0, "marks": 0 }));
    }
    comux.stop();
}
