//! An application that embeds the library and adds an action of its own.

use std::time::{Duration, Instant};

use comux_tests::PATIENCE;
use comux_tests::control::{Control, Names};
use comux_tests::example::Example;
use comux_tests::home::Home;
use comux_tests::process::Config;
use serde_json::json;

#[test]
fn an_action_of_an_application_is_answered_beside_those_of_comux() {
    let (home, names) = (Home::new(), Names::new("embedding"));
    let mut control = Control::new(&names);
    let config = names.configure(Config::new("embedding"));
    let _example = Example::run_in(&home, "custom_action", &config);
    let value = json!({ "hello": ["world", 1] });
    let deadline = Instant::now() + PATIENCE;
    // It does not say when it listens.
    let answer = loop {
        assert!(Instant::now() < deadline, "it does not answer");
        let id = control.send(&Control::record("echo", &value));
        control.poll(Duration::from_secs(1));
        if let Some(answer) = control.to(&id).pop() {
            break answer;
        }
    };
    assert!(answer.ok() && answer["action"] == "echo", "{answer:?}");
    let fields = answer.as_object().unwrap().values();
    let echoed = |field: &serde_json::Value| *field == value || field["hello"] == value["hello"];
    assert!(fields.into_iter().any(echoed) || answer["hello"] == value["hello"], "{answer:?}");
    assert!(control.done("status", json!({}))["cameras"].is_array());
    let unknown = control.ask("dance", json!({}));
    assert_eq!(unknown.message(), "✘ No action 'dance' defined!");
}
