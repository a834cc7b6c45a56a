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
    assert!(said(&created).contains("✔ create command"), "{}", said(&created));

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
    comux.stop();

    // Nobody is there to answer any more.
    let nobody = ["control", "status", "--config", &file, "--wait", "--timeout", "2"];
    let nobody = run_to_end(&nobody, PATIENCE);
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
}
