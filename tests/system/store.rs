//! Which component a `source` in a control record can mean: one of the store, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use comux_tests::control::state;
use comux_tests::home::{component, identity, sha256};
use comux_tests::process::run_to_end;
use comux_tests::{PATIENCE, plugin};
use serde_json::json;

use crate::live::{Controlled, camera, controlled, entry, only};
use crate::promises::topics;

#[test]
fn a_path_that_leaves_the_store_is_refused_wherever_it_leads() {
    let Controlled { comux, mut control, home, .. } = controlled("store-path", &["brightness"]);
    let _ = topics("store-path");
    control.done("create", camera("store-path", only("brightness")));
    fs::write(home.path().join("beside.wasm"), component("motion")).unwrap();
    symlink(plugin("motion"), home.store().join("link.wasm")).unwrap();
    symlink(plugin("motion").parent().unwrap(), home.store().join("directory")).unwrap();
    fs::create_dir(home.store().join("is-a-directory.wasm")).unwrap();
    let absolute = plugin("motion").display().to_string();
    let own = home.path().join("comux.toml").display().to_string();
    let sources = [
        "../beside.wasm",
        "./../beside.wasm",
        "is-a-directory.wasm/../../beside.wasm",
        "../plugins/../beside.wasm",
        &absolute,
        &own,
        "/etc/passwd",
        "/dev/zero",
        "../../../../../../../../../../etc/passwd",
        "link.wasm",
        "directory/motion.wasm",
        "is-a-directory.wasm",
        "..",
        ".",
        "",
        "motion@../../beside",
        "motion\u{0}.wasm",
        "https://example.org/motion.wasm",
    ];
    for source in sources {
        let plugin = json!({ "source": source });
        let value = json!({
            "id": "store-path", "plugin": plugin, "probation": 0, "replaces": "brightness"
        });
        let answer = control.ask("deploy", value);
        assert!(["refused", "invalid"].contains(&answer.error()), "{source:?}: {answer:?}");
        assert!(!answer.message().contains("root:"), "no file is shown: {answer:?}");
        let answer = control.ask("create", camera("store-path-2", json!([plugin])));
        assert!(["refused", "invalid"].contains(&answer.error()), "{source:?}: {answer:?}");
        let plugins = json!({ "id": "store-path", "plugins": [plugin] });
        let answer = control.ask("update", plugins);
        assert!(["refused", "invalid"].contains(&answer.error()), "{source:?}: {answer:?}");
    }
    let status = control.status("store-path");
    assert_eq!(status["generation"], 1);
    let brightness = identity("brightness", "0.1.0", &component("brightness"));
    assert_eq!(status["plugins"], json!([brightness]));
    assert_eq!(control.done("status", json!({}))["cameras"].as_array().unwrap().len(), 1);
    comux.stop();
}

#[test]
fn a_component_is_found_by_name_and_version_and_kept_by_its_digest() {
    let Controlled { comux, mut control, home, names } = controlled("store-name", &["brightness"]);
    let _ = topics("store-name");
    fs::create_dir(home.store().join("sub")).unwrap();
    home.store_file("motion@0.1.0.wasm", &component("motion"));
    home.store_file("motion@9.9.9.wasm", &component("motion-next"));
    home.store_file("motion@5.5.5.wasm", &component("motion"));
    home.store_file("sub/motion.wasm", &component("motion-next"));
    control.done("create", camera("store-name", only("brightness")));
    let old = identity("motion", "0.1.0", &component("motion"));
    let new = identity("motion", "9.9.9", &component("motion-next"));
    let deploy = |plugin: serde_json::Value, replaces: &str| json!({ "id": "store-name", "plugin": plugin, "probation": 0, "replaces": replaces });
    for (source, replaces, expected) in [
        ("motion@0.1.0", "brightness", &old),
        ("motion@9.9.9", "motion", &new),
        ("motion@0.1.0.wasm", "motion", &old),
        ("sub/motion.wasm", "motion", &new),
    ] {
        let answer = control.done("deploy", deploy(json!({ "source": source }), replaces));
        assert_eq!(answer["plugins"], json!([expected]), "{source}: {answer:?}");
    }
    let digest = sha256(&component("motion"));
    let pinned = json!({ "source": "motion@0.1.0", "sha256": digest });
    let answer = control.done("deploy", deploy(pinned, "motion"));
    assert_eq!(answer["plugins"], json!([old]));
    let entry = state(&names, "store-name")["store-name"]["camera"]["plugins"][0].clone();
    assert_eq!((&entry["source"], &entry["sha256"]), (&json!("motion@0.1.0"), &json!(digest)));

    // A file that is not what its name says is not run under that name.
    let liar = deploy(json!({ "source": "motion@5.5.5" }), "motion");
    control.refused("deploy", liar, "refused", &["5.5.5", "0.1.0"]);
    comux.stop();
}

/// What compiled once is not compiled again, in the same process or the next.
#[test]
fn a_component_is_compiled_once() {
    let Controlled { comux, mut control, home, names } = controlled("store-cache", &["brightness"]);
    let _ = (topics("store-cache"), topics("store-cache-2"));
    control.done("create", camera("store-cache", only("brightness")));
    home.store_file("motion.wasm", &component("motion"));
    let deploy = |camera: &str, plugin: &str, replaces: &str| json!({ "id": camera, "plugin": entry(plugin), "probation": 0, "replaces": replaces });
    let first = control.done("deploy", deploy("store-cache", "motion", "brightness"));
    assert!(first.steps().contains(&"compile"), "{first:?}");
    control.done("deploy", deploy("store-cache", "brightness", "motion"));
    let second = control.done("deploy", deploy("store-cache", "motion", "brightness"));
    assert!(!second.steps().contains(&"compile"), "{second:?}");
    control.done("deploy", deploy("store-cache", "brightness", "motion"));
    comux.stop();
    let config = names.configure(comux_tests::process::Config::new("store-cache"));
    let comux = comux_tests::process::Comux::run_in(&home, &config);
    let third = control.done("deploy", deploy("store-cache", "motion", "brightness"));
    assert!(!third.steps().contains(&"compile"), "{third:?}");
    comux.stop();
}

#[test]
fn plugins_are_added_to_a_store_and_listed_by_the_command() {
    let store = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = run_to_end(arguments, PATIENCE);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said, complained)
    };
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let directory = path(store.path());
    for (name, stored) in [("motion", "motion@0.1.0"), ("motion-next", "motion@9.9.9")] {
        let file = path(&plugin(name));
        let (code, said, complained) = run(&["plugin", "add", &file, "--store", &directory]);
        assert_eq!(code, Some(0), "{said}{complained}");
        assert!(said.contains(stored) && said.contains(&sha256(&component(name))), "{said}");
        let copy = fs::read(store.path().join(format!("{stored}.wasm"))).unwrap();
        assert!(copy == component(name), "{stored} is the component");
    }
    let (code, said, _) = run(&["plugin", "list", "--store", &directory]);
    assert_eq!(code, Some(0));
    assert!(said.contains("motion@0.1.0") && said.contains("motion@9.9.9"), "{said}");
    let text = store.path().join("text.txt");
    fs::write(&text, "no component").unwrap();
    let (code, _, complained) = run(&["plugin", "add", &path(&text), "--store", &directory]);
    assert_ne!(code, Some(0), "{complained}");
    assert!(complained.contains("component"), "{complained}");
    assert_eq!(fs::read_dir(store.path()).unwrap().count(), 3, "nothing else was put there");
}
