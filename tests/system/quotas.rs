//! Tenants have what their quota says, and no more: what does not fit is refused with the numbers,
//! and what costs too much is skipped, held back or dropped where it comes from.

use std::time::{Duration, Instant};

use comux_tests::control::{Control, Names};
use comux_tests::home::Home;
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line, refused};
use comux_tests::records::{Record, consume, produce};
use serde_json::json;

use crate::live::{Controlled, camera, controlled_with, entry, only};
use crate::promises::{assert_all_means, assert_same_records, topics};

const EVERY_FRAME: &str = "mode = 'every-frame'\nstart = 'beginning'";

/// The control topics of a test, and an instance whose tenants may create cameras.
fn with_tenants(test: &str, tenants: &str) -> (Comux, Names) {
    let names = Names::new(test);
    let config = names.configure(Config::new(test));
    let config = config.with("consume = 'raw_:tenant_:cam_id'\nproduce = 'stream_:tenant_:cam_id'");
    let home = Home::with_plugins(&["brightness", "misbehave"]);
    (Comux::run_in(&home, &config.with(tenants)), names)
}

#[test]
fn what_a_tenant_has_no_room_for_is_refused_with_the_numbers() {
    let tenants = "[[tenants]]\nid = 'acme'\n[tenants.quota]\ncameras = 3\ninstances = 4\n\
                   memory_mb = 200\n[[tenants]]\nid = 'zeta'";
    let (comux, names) = with_tenants("quota-room", tenants);
    let mut acme = Control::new(&names.of_tenant("acme"));
    let mut zeta = Control::new(&names.of_tenant("zeta"));
    let value = |id: &str, plugins| {
        let mut value = camera(id, plugins);
        value.as_object_mut().unwrap().remove("start");
        value
    };
    // 64 MiB each, as the limits say: three fit into 200, and not a fourth.
    acme.done("create", value("a", json!([entry("brightness")])));
    acme.done("create", value("b", json!([entry("brightness"), entry("misbehave")])));
    let words = ["acme", "192", "200", "64", "memory_mb"];
    let refused = acme.refused("create", value("c", only("brightness")), "quota", &words);
    assert_eq!(refused["failed_step"], "configure");
    // A swap needs room for both versions, and refused leaves the old one.
    let plugin = json!({ "source": "brightness.wasm", "config": { "dark_below": 1 } });
    let deploy = json!({ "id": "a", "plugin": plugin, "probation": 0 });
    acme.refused("deploy", deploy.clone(), "quota", &["192"]);
    assert_eq!(acme.status("a")["phase"], "running");
    // With less for each, there is room.
    acme.done("update", json!({ "id": "a", "limits": { "memory_mb": 8 } }));
    acme.done("deploy", deploy);
    let tight = json!({ "source": "brightness.wasm" });
    let mut more = value("c", json!([tight]));
    more["limits"] = json!({ "memory_mb": 8 });
    acme.done("create", more.clone());
    more["id"] = json!("d");
    acme.refused("create", more, "quota", &["3 cameras", "quota is 3"]);
    let plugins = json!([entry("brightness"), entry("misbehave")]);
    let refused = json!({ "id": "c", "plugins": plugins, "probation": 0 });
    acme.refused("deploy", refused, "quota", &["4 plugin instances", "quota is 4"]);

    // What is given up can be had again, and nobody else is concerned.
    acme.done("delete", json!({ "id": "b" }));
    acme.done("create", value("e", only("brightness")));
    for id in ["z1", "z2", "z3", "z4"] {
        zeta.done("create", value(id, only("brightness")));
    }
    let status = acme.done("status", json!({}));
    let tenants = status["tenants"].as_array().unwrap();
    assert_eq!(tenants.len(), 1, "a tenant is not told of others: {status:?}");
    assert_eq!(tenants[0]["tenant"], "acme");
    assert_eq!(
        (&tenants[0]["instances"], &tenants[0]["memory_mb"]),
        (&json!(3), &json!(8 + 8 + 64)),
        "{status:?}"
    );
    comux.stop();
}

#[test]
fn a_tenant_may_lower_its_limits_and_not_raise_them() {
    let tenants = "[limits]\ndeadline_ms = 500\n[[tenants]]\nid = 'acme'\n[tenants.limits]\n\
                   memory_mb = 32";
    let (comux, names) = with_tenants("quota-limits", tenants);
    let mut operator = Control::new(&names);
    let mut acme = Control::new(&names.of_tenant("acme"));
    let mut value = camera("limited", only("brightness"));
    value["limits"] = json!({ "memory_mb": 33 });
    acme.refused("create", value.clone(), "quota", &["memory_mb", "at most 32"]);
    value["limits"] = json!({ "memory_mb": 16, "deadline_ms": 100 });
    acme.done("create", value);
    let update = |limits| json!({ "id": "limited", "limits": limits });
    acme.refused("update", update(json!({ "deadline_ms": 501 })), "quota", &["at most 500"]);
    acme.done("update", update(json!({ "deadline_ms": 300 })));
    let spec = acme.status("limited")["spec"].clone();
    assert_eq!(spec["limits"], json!({ "memory_mb": 16, "deadline_ms": 300 }));
    acme.refused("update", update(json!({ "memory_mb": 0 })), "invalid", &["memory_mb"]);
    acme.refused("update", update(json!({ "memory_gb": 1 })), "invalid", &["memory_gb"]);
    acme.refused("update", update(json!([3_600_000, 4096])), "quota", &["at most 500"]);
    acme.refused(
        "update",
        json!({ "id": "limited", "decode_threads": 16 }),
        "conflict",
        &["operator"],
    );
    operator.done("update", update(json!({ "deadline_ms": 5000 })));
    comux.stop();
}

#[test]
fn the_configuration_file_is_held_to_quotas_too() {
    let config =
        Config::new("quota-file").with("[[tenants]]\nid = 'acme'\nquota = { cameras = 1 }");
    let config = config.camera("one", "tenant = 'acme'").camera("two", "tenant = 'acme'");
    let (code, message) = refused(&config);
    assert_eq!(code, Some(2), "{message}");
    for words in ["`two`", "`acme`", "quota is 1"] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// Which records were skipped for the quota; all others are analysed.
fn skipped(output: &[Record]) -> usize {
    let quota = output.iter().filter(|record| record.status() == ("skipped", Some("quota")));
    quota.count()
}

#[test]
fn a_tenant_that_uses_more_cpu_than_it_may_is_skipped_and_its_neighbour_is_not() {
    let clip = media::bframes();
    let records = clip.records();
    let count = records.len();
    produce(&topics("quota-cpu").0, &records);
    produce(&topics("quota-cpu-beside").0, &records);
    let slow = |tenant: &str| {
        let plugins = plugins_line("slow", "spin = 20_000_000");
        format!("tenant = '{tenant}'\n{EVERY_FRAME}\n{plugins}")
    };
    let config = Config::new("quota-cpu")
        .with("[limits]\ndeadline_ms = 10_000")
        .with("[[tenants]]\nid = 'acme'\nquota = { cpu = 0.01 }\n[[tenants]]\nid = 'zeta'")
        .camera("quota-cpu", &slow("acme"))
        .camera("quota-cpu-beside", &slow("zeta"));
    let comux = Comux::run(&config);
    let output = consume("stream_quota-cpu", count);
    let beside = consume("stream_quota-cpu-beside", count);
    let ended = comux.stop();
    assert_same_records(&records, &output);
    let skipped_for_it = skipped(&output);
    // 10 ms at once at the least; each frame costs some 20.
    assert!((count / 2..count).contains(&skipped_for_it), "{skipped_for_it} of {count}");
    let analysed = output.iter().filter(|record| record.is_analysed()).count();
    assert_eq!(analysed + skipped_for_it, count);
    assert!(ended.sums("quota-cpu").balance());
    assert!(beside.iter().all(Record::is_analysed), "nobody else is held to it");
}

#[test]
fn a_tenant_that_decodes_more_than_it_may_waits_for_the_next_key_frame() {
    let clip = media::bframes();
    let (records, count) = (clip.looped(600), 600);
    produce(&topics("quota-decode").0, &records);
    let config = Config::new("quota-decode")
        .with("[[tenants]]\nid = 'acme'\nquota = { decode = 0.02 }")
        .camera(
            "quota-decode",
            &format!("tenant = 'acme'\n{EVERY_FRAME}\n{}", plugins_line("brightness", "")),
        );
    let comux = Comux::run(&config);
    let output = consume("stream_quota-decode", count);
    let sums = comux.stop().sums("quota-decode");
    assert_same_records(&records, &output);
    assert!(sums.balance(), "{sums:?}");
    assert!(sums.analysed > 0 && sums.skipped.get("quota") > Some(&0), "{sums:?}");
    let analysed: Vec<Record> =
        output.iter().filter(|record| record.is_analysed()).cloned().collect();
    assert_all_means(clip, &analysed);
}

#[test]
fn a_tenant_that_writes_more_headers_than_it_may_is_skipped() {
    let clip = media::bframes();
    let records = clip.looped(400);
    produce(&topics("quota-headers").0, &records);
    let config = Config::new("quota-headers")
        .with("[[tenants]]\nid = 'acme'\nquota = { header_kb_per_s = 1 }")
        .camera(
            "quota-headers",
            &format!("tenant = 'acme'\n{EVERY_FRAME}\n{}", plugins_line("motion", "")),
        );
    let comux = Comux::run(&config);
    let output = consume("stream_quota-headers", records.len());
    let sums = comux.stop().sums("quota-headers");
    assert_same_records(&records, &output);
    assert!(sums.analysed > 0 && sums.skipped.get("quota") > Some(&0), "{sums:?}");
}

#[test]
fn output_beyond_the_quota_is_held_back_and_none_is_lost() {
    let clip = media::bframes();
    let records = clip.records();
    let bytes: usize = records.iter().map(|record| record.value.as_ref().unwrap().len()).sum();
    let kb_per_s = bytes / 1024 / 6;
    produce(&topics("quota-output").0, &records);
    let config = Config::new("quota-output")
        .with(&format!("[[tenants]]\nid = 'acme'\nquota = {{ output_kb_per_s = {kb_per_s} }}"))
        .camera("quota-output", &format!("tenant = 'acme'\n{EVERY_FRAME}"));
    let comux = Comux::run(&config);
    let begin = Instant::now();
    let output = consume("stream_quota-output", records.len());
    // Six seconds' worth, of which a second's may go at once.
    assert!(begin.elapsed() > Duration::from_secs(3), "{:?}", begin.elapsed());
    comux.stop();
    assert_same_records(&records, &output);
}

#[test]
fn what_was_used_is_told_by_plugin_and_by_tenant_and_outlives_its_cameras() {
    let Controlled { comux, mut control, .. } =
        controlled_with("usage", &["brightness", "misbehave"], "[[tenants]]\nid = 'acme'");
    let clip = media::bframes();
    let records = &clip.records()[..50];
    for id in ["usage-good", "usage-bad"] {
        produce(&topics(id).0, records);
    }
    let mut good = camera("usage-good", json!([entry("brightness")]));
    let failing = json!([{ "source": "misbehave.wasm", "config": { "how": "error", "every": 2 } }]);
    let mut bad = camera("usage-bad", failing);
    for value in [&mut good, &mut bad] {
        value["tenant"] = json!("acme");
        value["mode"] = json!("every-frame");
        value["drain_after_ms"] = json!(500);
        control.done("create", value.clone());
    }
    for id in ["usage-good", "usage-bad"] {
        assert_eq!(consume(&format!("stream_{id}"), records.len()).len(), records.len());
    }
    let used = control.status("usage-good")["plugins_usage"][0].clone();
    assert!(used["plugin"].as_str().unwrap().starts_with("brightness@"), "{used}");
    assert_eq!((&used["calls"], &used["breaker"]), (&json!(50), &json!("closed")), "{used}");
    assert!(used["cpu_us"].as_u64() > Some(0), "{used}");
    assert!(used["peak_memory"].as_u64() >= Some(65_536), "{used}");
    assert!(used["header_bytes"].as_u64() > Some(0), "{used}");
    let used = control.status("usage-bad")["plugins_usage"][0].clone();
    assert_eq!(used["failed"], json!({ "plugin-error": 25 }), "{used}");
    assert!(used["last_failure"].as_str().unwrap().contains("as configured"), "{used}");

    control.done("delete", json!({ "id": "usage-good" }));
    control.done("delete", json!({ "id": "usage-bad" }));
    let status = control.done("status", json!({}));
    let tenants = status["tenants"].as_array().unwrap();
    let acme = tenants.iter().find(|tenant| tenant["tenant"] == "acme").unwrap();
    assert_eq!((&acme["calls"], &acme["instances"]), (&json!(100), &json!(0)), "{acme}");
    assert_eq!(acme["failed"], json!({ "plugin-error": 25 }), "{acme}");
    assert!(acme["decode_us"].as_u64() > Some(0), "{acme}");
    let default = tenants.iter().find(|tenant| tenant["tenant"] == "default").unwrap();
    assert_eq!(default["calls"], 0, "{default}");
    comux.stop();
}
