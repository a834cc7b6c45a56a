//! What `deploy` and `rollback` offer beyond one plugin on one camera.

use comux_tests::control::{Answer, steps};
use comux_tests::home::{component, identity};
use comux_tests::media;
use comux_tests::records::Record;
use serde_json::{Value, json};

use crate::live::{
    Controlled, all_output, answered_versions, assert_all_analysed, assert_same_results, camera,
    controlled_with, entry, feed_all, only, versions,
};

const TENANTS: &str = "[[tenants]]\nid = 'acme'\n[limits]\ndeadline_ms = 5_000";

fn plugin(plugin: &str, config: Value) -> Value {
    json!({ "source": format!("{plugin}.wasm"), "config": config })
}

/// The camera's part in an answer about several.
fn part<'a>(answer: &'a Answer, camera: &str) -> &'a Value {
    let parts = answer["cameras"].as_array().expect("an answer about several cameras");
    let part = parts.iter().find(|part| part["camera"] == camera);
    part.unwrap_or_else(|| panic!("nothing about {camera}: {answer:?}"))
}

fn cameras_of(answer: &Answer) -> Vec<&str> {
    let parts = answer["cameras"].as_array().expect("an answer about several cameras");
    parts.iter().filter_map(|part| part["camera"].as_str()).collect()
}

#[test]
fn a_plugin_is_deployed_to_a_list_to_a_tenant_and_to_all() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } =
        controlled_with("many", &["motion", "motion-next"], TENANTS);
    let all = ["many-a", "many-b", "many-c"];
    for (id, tenant) in all.into_iter().zip(["default", "acme", "acme"]) {
        let mut camera = camera(id, only("motion"));
        camera["tenant"] = json!(tenant);
        control.done("create", camera);
    }
    let feed = feed_all(&all, clip);
    feed.wait_for_more(20);
    let mut cuts: Vec<Vec<usize>> = vec![Vec::new(); 3];
    for (target, meant, to) in [
        (json!({ "cameras": ["many-a", "many-b"] }), &all[..2], "motion-next"),
        (json!({ "tenant": "acme" }), &all[1..], "motion"),
        (json!({ "all": true }), &all[..], "motion-next"),
    ] {
        let mut value = target;
        value["plugin"] = entry(to);
        value["probation"] = json!(5);
        let answer = control.done("deploy", value);
        assert_eq!(cameras_of(&answer), meant, "{answer:?}");
        assert!(answer.message().starts_with("✔ deploy"), "{answer:?}");
        for camera in meant {
            let part = part(&answer, camera);
            assert_eq!(part["ok"], true, "{part}");
            let at = all.iter().position(|id| id == camera).unwrap();
            assert!(steps(part).contains(&"fetch"), "{part}");
            if let Some(cut) = part["cut"]["seq"].as_u64() {
                cuts[at].push(usize::try_from(cut).unwrap());
            }
        }
        feed.wait_for_more(10);
    }
    // What a camera runs already may be put in its place again; that is no other version.
    let outputs = all_output(feed, clip, (comux, &mut control), &all);
    for ((camera, output), cuts) in all.iter().zip(&outputs).zip(&cuts) {
        assert_all_analysed(camera, output);
        let found: Vec<usize> = versions(output)[1..].iter().map(|(at, _)| *at).collect();
        let of_other_versions: Vec<usize> =
            cuts.iter().copied().filter(|cut| found.contains(cut)).collect();
        assert_eq!(found, of_other_versions, "{camera}: every change was announced: {cuts:?}");
        let next = identity("motion", "9.9.9", &component("motion-next"));
        assert_eq!(versions(output).last().unwrap().1, next, "{camera}: the last one runs");
    }
}

#[test]
fn a_canary_that_fails_spares_the_rest() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } =
        controlled_with("canary", &["brightness", "misbehave", "motion"], TENANTS);
    let all = ["canary-a", "canary-b", "canary-c"];
    for id in all {
        control.done("create", camera(id, only("brightness")));
    }
    let feed = feed_all(&all, clip);
    feed.wait_for_more(20);
    let bad = plugin("misbehave", json!({ "how": "trap", "every": 1 }));
    let deploy = |plugin: &Value, canary: Value| {
        json!({ "all": true, "plugin": plugin, "canary": canary, "probation": 10,
                "replaces": "brightness" })
    };
    for canary in [json!(true), json!("canary-b")] {
        let answer = control.ask("deploy", deploy(&bad, canary.clone()));
        assert!(!answer.ok() && !answer.error().is_empty(), "{answer:?}");
        for id in all {
            assert_eq!(control.status(id)["generation"], 1, "{id} after {answer:?}");
        }
        if let Some(named) = canary.as_str() {
            assert_eq!(part(&answer, named)["ok"], false, "{answer:?}");
            assert!(answer.message().contains(named), "{answer:?}");
        }
    }
    control.refused("deploy", deploy(&bad, json!("canary-x")), "invalid", &["canary-x"]);
    let good = json!({ "source": "motion.wasm" });
    let answer = control.done("deploy", deploy(&good, json!("canary-b")));
    assert_eq!(cameras_of(&answer).len(), 3, "{answer:?}");
    let cut = |camera: &str| {
        usize::try_from(part(&answer, camera)["cut"]["seq"].as_u64().expect("a cut")).unwrap()
    };
    for id in ["canary-a", "canary-c"] {
        // The feeds run alike, so the records' numbers tell the time.
        assert!(cut("canary-b") + 5 < cut(id), "the canary goes first: {answer:?}");
    }
    feed.wait_for_more(20);
    let cuts = all.map(cut);
    let outputs = all_output(feed, clip, (comux, &mut control), &all);
    for ((camera, output), cut) in all.iter().zip(&outputs).zip(cuts) {
        assert_all_analysed(camera, output);
        let (before, after) = output.split_at(cut);
        let is_bright = |record: &Record| record.header("brightness.mean").is_some();
        assert!(before.iter().all(is_bright), "{camera}: the old one until the cut");
        assert!(!after.iter().any(is_bright), "{camera}: the new one from the cut on");
    }
}

#[test]
fn a_shadow_run_counts_results_that_are_the_same_and_that_differ() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } =
        controlled_with("shadow", &["motion", "motion-next"], TENANTS);
    control.done("create", camera("shadow", only("motion")));
    let feed = feed_all(&["shadow"], clip);
    feed.wait_for_more(20);
    let mut answers = Vec::new();
    for (plugin, may_differ) in
        [(entry("motion-next"), false), (plugin("motion", json!({ "threshold": 1 })), true)]
    {
        let value = json!({ "id": "shadow", "plugin": plugin, "shadow": 20, "probation": 5 });
        let answer = control.done("deploy", value);
        let count = |key: &str| answer["shadow"][key].as_u64().expect("a count");
        assert_eq!(count("frames"), 20, "{answer:?}");
        assert_eq!(count("same") + count("different"), 20, "{answer:?}");
        assert_eq!(count("different") > 0, may_differ, "{answer:?}");
        assert!(answer.steps().contains(&"shadow"), "{answer:?}");
        answers.push(answer);
    }
    let output = all_output(feed, clip, (comux, &mut control), &["shadow"]).remove(0);
    assert_all_analysed("shadow", &output);
    assert_eq!(versions(&output)[1..], answered_versions(&answers), "it only looked on before");
}

#[test]
fn another_configuration_alone_compiles_nothing() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } =
        controlled_with("reconfigured", &["brightness"], TENANTS);
    control.done("create", camera("reconfigured", only("brightness")));
    let feed = feed_all(&["reconfigured"], clip);
    feed.wait_for_more(20);
    let deploy = |plugin: Value| json!({ "id": "reconfigured", "plugin": plugin, "probation": 5 });
    let bright = plugin("brightness", json!({ "bright_above": 1.5, "dark_below": 0.5 }));
    let first = control.done("deploy", deploy(bright));
    assert!(!first.steps().contains(&"compile"), "{first:?}");
    // Without a configuration, the one that it has is kept.
    let second = control.done("deploy", deploy(entry("brightness")));
    assert!(!second.steps().contains(&"compile"), "{second:?}");
    let spec = control.status("reconfigured")["spec"].clone();
    assert_eq!(spec["plugins"][0]["config"]["bright_above"], 1.5, "{spec}");
    feed.wait_for_more(10);
    let output = all_output(feed, clip, (comux, &mut control), &["reconfigured"]).remove(0);
    assert_all_analysed("reconfigured", &output);
    for (number, record) in output.iter().enumerate() {
        let expected = if number < first.cut() { "ok" } else { "bright" };
        assert_eq!(record.header("brightness.state"), Some(expected), "record {number}");
    }
}

#[test]
fn analysis_is_turned_on_and_off_on_a_live_camera() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } = controlled_with("on-off", &["brightness"], TENANTS);
    control.done("create", camera("on-off", json!([])));
    let feed = feed_all(&["on-off"], clip);
    feed.wait_for_more(20);
    let on = json!({ "id": "on-off", "plugin": entry("brightness"), "probation": 5 });
    let on = control.done("deploy", on).cut();
    feed.wait_for_more(10);
    let off =
        control.done("deploy", json!({ "id": "on-off", "plugins": [], "probation": 5 })).cut();
    feed.wait_for_more(10);
    let output = all_output(feed, clip, (comux, &mut control), &["on-off"]).remove(0);
    for (number, record) in output.iter().enumerate() {
        let status = record.status();
        if number < on || number >= off {
            assert_eq!(status, ("passthrough", None), "record {number} of {on} to {off}");
        } else if output[on..=number].iter().any(Record::is_analysed) {
            assert_eq!(status, ("analysed", None), "record {number} of {on} to {off}");
        } else {
            assert_eq!(status, ("skipped", Some("no-keyframe")), "record {number}");
        }
    }
    assert!(output.iter().any(Record::is_analysed));
}

#[test]
fn rollbacks_go_back_from_version_to_version_and_never_forth() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } =
        controlled_with("rollback", &["motion", "motion-next"], TENANTS);
    let all = ["rollback", "rollback-undisturbed"];
    for id in all {
        control.done("create", camera(id, only("motion")));
    }
    let feed = feed_all(&all, clip);
    feed.wait_for_more(20);
    let nothing = control.ask("rollback", json!({ "id": "rollback-undisturbed" }));
    assert!(!nothing.ok(), "there is no version before: {nothing:?}");
    let deploy = |name: &str| json!({ "id": "rollback", "plugin": entry(name), "probation": 5 });
    let back = json!({ "id": "rollback" });
    let mut answers = Vec::new();
    let steps = [
        ("deploy", deploy("motion-next")),
        ("rollback", back.clone()),
        ("deploy", deploy("motion-next")),
        ("deploy", deploy("motion")),
        ("rollback", back.clone()),
        ("rollback", json!({ "id": "rollback", "plugin": "motion" })),
    ];
    for (number, (action, value)) in steps.into_iter().enumerate() {
        feed.wait_for_more(5);
        answers.push(control.done(action, value));
        if matches!(number, 1 | 5) {
            control.refused("rollback", back.clone(), "refused", &["no version before"]);
        }
    }
    feed.wait_for_more(10);
    let generations: Vec<&Value> = answers.iter().map(|answer| &answer["generation"]).collect();
    assert_eq!(generations, [2, 3, 4, 5, 6, 7], "each is a change of its own");
    let outputs = all_output(feed, clip, (comux, &mut control), &all);
    for (camera, output) in all.iter().zip(&outputs) {
        assert_all_analysed(camera, output);
    }
    let found = versions(&outputs[0]);
    assert_eq!(found[1..], answered_versions(&answers));
    let names: Vec<&str> = found.iter().filter_map(|(_, it)| it.split('+').next()).collect();
    let [old, new] = ["motion@0.1.0", "motion@9.9.9"];
    assert_eq!(names, [old, new, old, new, old, new, old]);
    assert_same_results("rollback", &outputs[1], &outputs[0]);
}

#[test]
fn of_several_plugins_the_one_is_replaced_that_is_meant() {
    let clip = media::bframes();
    let Controlled { comux, mut control, .. } =
        controlled_with("replaces", &["brightness", "motion", "motion-next", "slow"], TENANTS);
    let both = json!([entry("brightness"), entry("motion")]);
    control.done("create", camera("replaces", both));
    let feed = feed_all(&["replaces"], clip);
    feed.wait_for_more(20);
    let slow = plugin("slow", json!({ "spin": 1 }));
    let unclear = json!({ "id": "replaces", "plugin": slow, "probation": 5 });
    let refused = control.ask("deploy", unclear);
    assert!(!refused.ok() && refused.message().contains("replaces"), "{refused:?}");
    let clear = |plugin: Value| json!({ "id": "replaces", "plugin": plugin, "probation": 5 });
    let same_name = control.done("deploy", clear(entry("motion-next")));
    let mut named = clear(slow);
    named["replaces"] = json!("brightness");
    let named = control.done("deploy", named);
    let list = json!([entry("motion"), entry("brightness")]);
    let whole = json!({ "id": "replaces", "plugins": list, "probation": 5 });
    let whole = control.done("deploy", whole);
    feed.wait_for_more(10);
    let output = all_output(feed, clip, (comux, &mut control), &["replaces"]).remove(0);
    assert_all_analysed("replaces", &output);
    let names = |(_, plugins): &(usize, String)| {
        let names = plugins.split(',').filter_map(|it| it.split('+').next());
        names.collect::<Vec<_>>().join(" ")
    };
    let found = versions(&output);
    let expected = [
        "brightness@0.1.0 motion@0.1.0",
        "brightness@0.1.0 motion@9.9.9",
        "slow@0.1.0 motion@9.9.9",
        "motion@0.1.0 brightness@0.1.0",
    ];
    assert_eq!(found.iter().map(names).collect::<Vec<_>>(), expected);
    assert_eq!(found[1..], answered_versions(&[same_name, named, whole]));
}
