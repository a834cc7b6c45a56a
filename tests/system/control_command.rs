//! `comux control`, as people type it.

use std::process::Output;

use comux_tests::PATIENCE;
use comux_tests::control::Names;
use comux_tests::home::Home;
use comux_tests::process::{Comux, Config, run_to_end};
use serde_json::Value;

use crate::promises::topics;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_command_shows_the_answer_and_ends_as_it_says() {
    let (home, names) = (Home::with_plugins(&["brightness"]), Names::new("command"));
    let comux = Comux::run_in(&home, &names.configure(Config::new("command")));
    let _ = topics("command");
    let file = home.path().join("comux.toml").display().to_string();
    let control = |arguments: &[&str]| {
        let mut all = vec!["control"];
        all.extend(arguments);
        all.extend(["--config", &file, "--wait", "--timeout", "60"]);
        run_to_end(&all, PATIENCE)
    };
    let camera = r#"{"id": "command", "plugins": [{"source": "brightness.wasm"}]}"#;
    let created = control(&["create", camera]);
    assert_eq!(created.status.code(), Some(0), "{}", said(&created));
    let words = "✔ create command: running brightness@0.1.0 (by command)";
    assert!(said(&created).contains(words), "{}", said(&created));

    let status = control(&["status", "--json"]);
    let answer: Value = serde_json::from_slice(&status.stdout).expect("JSON alone");
    assert_eq!(answer["cameras"][0]["camera"], "command");
    assert_eq!(status.status.code(), Some(0));
    assert!(control(&["status", "--runtime", "command"]).status.success());

    let unknown = control(&["dance"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said(&unknown).contains("✘ No action 'dance' defined!"), "{}", said(&unknown));
    let deleted = control(&["delete", r#"{"id": "command"}"#]);
    assert_eq!(deleted.status.code(), Some(0), "{}", said(&deleted));
    let no_json = control(&["delete", "{"]);
    assert!(matches!(no_json.status.code(), Some(1 | 2)), "{}", said(&no_json));
    // Without an answer to come, what every node would refuse is not sent.
    let sent = |action: &str, value: &str| {
        run_to_end(&["control", action, value, "--config", &file], PATIENCE)
    };
    for (action, value, word) in
        [("dance", "{}", "pause"), ("delete", "{", "no JSON"), ("delete", "[]", "JSON object")]
    {
        let refused = sent(action, value);
        assert_eq!(refused.status.code(), Some(2), "{action} {value}: {}", said(&refused));
        assert!(said(&refused).contains(word), "{action} {value}: {}", said(&refused));
    }
    assert_eq!(sent("status", "{}").status.code(), Some(0));
    comux.stop();

    // Nobody is there to answer any more.
    let nobody = ["control", "status", "--config", &file, "--wait", "--timeout", "2"];
    let nobody = run_to_end(&nobody, PATIENCE);
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
}

#[test]
fn a_configuration_addresses_its_own_node_and_status_tells_of_all_what_is_wrong_first() {
    let names = Names::new("command-nodes");
    let nodes = ["command-one", "command-two"];
    let camera = |node: &str| format!("{node}-camera");
    let wrong = "plugins = [{ source = 'plugins/gone.wasm' }]";
    let mut running = Vec::new();
    for (node, lines) in nodes.into_iter().zip(["", wrong]) {
        let _ = topics(&camera(node));
        let config = names.configure(Config::new(node)).camera(&camera(node), lines);
        let home = Home::new();
        running.push((Comux::run_in(&home, &config), home));
    }
    let ask = |arguments: &[&str], of: usize| {
        let file = running[of].1.path().join("comux.toml").display().to_string();
        run_to_end(&[arguments, &["--config", &file]].concat(), PATIENCE)
    };
    // The other node would not know the camera, and is not asked.
    let value = |node: &str| format!(r#"{{"id": "{}"}}"#, camera(node));
    let own = ask(&["control", "pause", &value(nodes[0]), "--wait"], 0);
    assert!(own.status.success() && said(&own).contains("(by command-one)"), "{}", said(&own));
    let others = ask(&["control", "pause", &value(nodes[1]), "--wait"], 0);
    assert_eq!(others.status.code(), Some(1), "{}", said(&others));
    assert!(said(&others).contains("no camera"), "{}", said(&others));
    let all = ask(&["control", "status", "--wait", "--all-runtimes"], 0);
    for node in nodes {
        assert!(said(&all).contains(&format!("(by {node})")), "{}", said(&all));
    }

    let status = ask(&["status"], 0);
    assert_eq!(status.status.code(), Some(1), "{}", said(&status));
    assert!(said(&status).contains("1 of 2 cameras gives no results"), "{}", said(&status));
    let text = String::from_utf8(status.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [one, paused, two, lacking] = lines[..] else { panic!("four lines, not {text}") };
    assert_eq!((one, two), ("command-one: 1 camera", "command-two: 1 camera"));
    assert!(
        paused.starts_with("  ✔ command-one-camera (default): paused; no plugins;"),
        "{paused}"
    );
    let begin = "  ✘ command-two-camera (default): its plugins can't be loaded, and records pass \
                 without results: ";
    assert!(lacking.starts_with(begin) && lacking.contains("gone.wasm"), "{lacking}");
    let one = ask(&["status", &camera(nodes[0])], 1);
    assert!(one.status.success(), "{}", said(&one));
    let explained = String::from_utf8(one.stdout).unwrap();
    let of_one =
        "records come from `raw_command-one-camera`, and leave for `stream_command-one-camera`";
    assert!(explained.contains(of_one), "{explained}");
    assert!(explained.contains("since the start: 0 received, 0 analysed"), "{explained}");
    assert!(!explained.contains("command-two"), "{explained}");
    let none = ask(&["status", "nobody"], 0);
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none).contains("no camera"), "{}", said(&none));
    for (comux, _) in running {
        comux.stop();
    }
    let nobody = run_to_end(&["status", "--bootstrap-servers", "127.0.0.1:7"], PATIENCE);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said(&nobody).contains("Kafka at `127.0.0.1:7` does not answer"), "{}", said(&nobody));
}
