//! What was acknowledged survives SIGKILL at any moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use comux_tests::PATIENCE;
use comux_tests::control::{Answer, Control, Names, state};
use comux_tests::home::{Home, component, identity};
use comux_tests::process::{Comux, Config};
use comux_tests::random::Random;
use comux_tests::records::consume;
use comux_tests::repetitions;
use comux_tests::topics::record_count;
use serde_json::{Value, json};

use crate::live::{camera, entry};

const TEST: &str = "crash";
const CAMERAS: u64 = 4;

/// What a camera is known by in this test.
#[derive(Debug, Clone, PartialEq)]
struct Camera {
    max_offset_diff: u64,
    plugin: String,
    threshold: u64,
    paused: bool,
}

type Cameras = BTreeMap<String, Camera>;

/// A command, and what is there once it is done.
struct Command {
    action: &'static str,
    value: Value,
    after: Cameras,
}

fn plugin(name: &str, threshold: u64) -> Value {
    let mut plugin = entry(name);
    plugin["config"] = json!({ "threshold": threshold });
    plugin
}

/// Something that can be done to what is there.
fn some_command(cameras: &Cameras, random: &mut Random) -> Command {
    let id = format!("crash-{}", random.within(0..CAMERAS));
    let mut after = cameras.clone();
    let number = random.within(1..250);
    let command = |action, value, after| Command { action, value, after };
    let Some(of_id) = after.get_mut(&id) else {
        let wanted = Camera {
            max_offset_diff: number,
            plugin: "motion".to_owned(),
            threshold: 12,
            paused: false,
        };
        let mut value = camera(&id, json!([plugin("motion", 12)]));
        value["max_offset_diff"] = json!(number);
        after.insert(id, wanted);
        return command("create", value, after);
    };
    match random.within(0..8) {
        0 => {
            after.remove(&id);
            command("delete", json!({ "id": id }), after)
        }
        1 => {
            of_id.paused = true;
            command("pause", json!({ "id": id }), after)
        }
        2 => {
            of_id.paused = false;
            command("resume", json!({ "id": id }), after)
        }
        3 | 4 => {
            of_id.max_offset_diff = number;
            command("update", json!({ "id": id, "max_offset_diff": number }), after)
        }
        _ => {
            let name = if of_id.plugin == "motion" { "motion-next" } else { "motion" };
            (of_id.plugin, of_id.threshold) = (name.to_owned(), number);
            let plugin = plugin(name, number);
            let value = json!({ "id": id, "plugin": plugin, "probation": 0 });
            command("deploy", value, after)
        }
    }
}

/// The same from records of the state topic.
fn kept(records: BTreeMap<String, Value>) -> Cameras {
    let of = |(id, record): (String, Value)| {
        if record["deleted"] == true {
            return None;
        }
        let spec = &record["camera"];
        let source = spec["plugins"][0]["source"].as_str().expect("a source");
        let camera = Camera {
            max_offset_diff: spec["max_offset_diff"].as_u64().expect("a number"),
            plugin: source.trim_end_matches(".wasm").to_owned(),
            threshold: spec["plugins"][0]["config"]["threshold"].as_u64().expect("a threshold"),
            paused: record["paused"] == true,
        };
        Some((id, camera))
    };
    records.into_iter().filter_map(of).collect()
}

/// What is kept, once what runs is the same: cameras, generations, phases and components.
fn settled(control: &mut Control, names: &Names, identities: &BTreeMap<String, String>) -> Cameras {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let records = state(names, TEST);
        let cameras = kept(records.clone());
        let expected = cameras.iter().map(|(id, camera)| {
            let phase = if camera.paused { "paused" } else { "running" };
            let plugins = json!([identities[&camera.plugin]]);
            json!([id, phase, records[id]["generation"], plugins])
        });
        let expected: Vec<Value> = expected.collect();
        let status = control.done("status", json!({}));
        let running = status["cameras"].as_array().expect("cameras").iter().map(|camera| {
            json!([camera["camera"], camera["phase"], camera["generation"], camera["plugins"]])
        });
        if running.eq(expected.iter().cloned()) {
            return cameras;
        }
        assert!(Instant::now() < deadline, "{status:?} is not what is kept: {expected:?}");
    }
}

#[test]
fn after_many_crashes_everything_is_as_last_acknowledged() {
    let names = Names::new(TEST);
    let home = Home::with_plugins(&["motion", "motion-next"]);
    let identities: BTreeMap<String, String> = [("motion", "0.1.0"), ("motion-next", "9.9.9")]
        .map(|(file, version)| (file.to_owned(), identity("motion", version, &component(file))))
        .into();
    let config = names.configure(Config::new(TEST));
    let mut control = Control::new(&names);
    let mut random = Random::new(3);
    let mut cameras = Cameras::new();
    let (mut done, mut cut_off, mut survived) = (0, 0, 0);
    let mut comux = Comux::run_in(&home, &config);
    for crash in 0..repetitions(8, 20) {
        let deadline = Instant::now() + Duration::from_millis(random.within(20..1200));
        let in_flight = loop {
            let command = some_command(&cameras, &mut random);
            let id = control.send(&Control::record(command.action, &command.value));
            let Some(answer) = answer_before(&mut control, &id, deadline) else {
                break (id, command);
            };
            assert!(answer.ok(), "{answer:?} with {cameras:?}");
            cameras = command.after;
            done += 1;
        };
        comux.kill();
        cut_off += 1;

        comux = Comux::run_in(&home, &config);
        let (id, command) = in_flight;
        // It was answered at the last moment, or is now.
        let answered = control.answer(&id).ok();
        let found = settled(&mut control, &names, &identities);
        let told = format!("crash {crash}, {} {} in flight", command.action, command.value);
        if answered {
            assert_eq!(found, command.after, "{told}, answered");
        } else {
            assert!(found == cameras || found == command.after, "{told}: {found:?}\n{cameras:?}");
        }
        survived += usize::from(found == command.after);
        cameras = found;
    }
    comux.stop();
    println!("{done} commands acknowledged; {survived} of {cut_off} in flight were done as well");
}

/// A command that was answered is not carried out again.
#[test]
fn a_deleted_camera_does_not_come_back_by_a_crash() {
    let names = Names::new("crash-deleted");
    let home = Home::with_plugins(&["motion"]);
    let config = names.configure(Config::new("crash-deleted"));
    let mut control = Control::new(&names);
    for _ in 0..3 {
        let comux = Comux::run_in(&home, &config);
        control.done("create", camera("deleted", json!([plugin("motion", 12)])));
        control.done("delete", json!({ "id": "deleted" }));
        comux.kill();
        let written = of_cameras(&names.state("crash-deleted"));
        let comux = Comux::run_in(&home, &config);
        assert_eq!(control.done("status", json!({}))["cameras"], json!([]));
        comux.stop();
        let now = of_cameras(&names.state("crash-deleted"));
        assert_eq!(now, written, "nothing was created or deleted once more");
    }
}

/// How many records of a state topic say what cameras should be.
fn of_cameras(state: &str) -> usize {
    let records = consume(state, record_count(state));
    records.iter().filter(|record| !record.key.as_deref().unwrap().contains(&b'/')).count()
}

/// The answer to this id, when it comes in time.
fn answer_before(control: &mut Control, id: &str, deadline: Instant) -> Option<Answer> {
    loop {
        if let Some(answer) = control.to(id).pop() {
            return Some(answer);
        }
        control.poll(deadline.saturating_duration_since(Instant::now()))?;
    }
}
