//! What stands between a `source` and a plugin that may run: signatures, grants, a tenant's own
//! store, and a compiler that nothing can take the host down with.

use std::fs;

use comux_tests::PATIENCE;
use comux_tests::control::{Control, Names};
use comux_tests::handmade::{self, slow_to_compile};
use comux_tests::home::{Home, component, identity};
use comux_tests::hostile::{Bomb, bombs};
use comux_tests::media;
use comux_tests::process::{Comux, Config, run_to_end};
use comux_tests::topics::record_count;
use serde_json::{Value, json};

use crate::live::{
    Controlled, all_output, answered_versions, camera, controlled, controlled_with, feed_all, only,
    wait_until,
};
use crate::promises::topics;

/// Runs the command; what it said, which must come with this exit code.
fn comux(code: i32, arguments: &[&str]) -> String {
    let output = run_to_end(arguments, PATIENCE);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

fn entry(source: &str) -> Value {
    json!([{ "source": source }])
}

fn of(tenant: &str, id: &str, source: &str) -> Value {
    let mut camera = camera(id, entry(source));
    camera["tenant"] = json!(tenant);
    camera
}

/// Every so many bytes of a plugin, a bit of one is flipped and the plugin deployed. More than
/// twenty times as many flips are in `tests/fuzz/tests/flips.rs`.
const FLIPS: usize = 97 * 24;

#[test]
fn no_component_takes_the_host_down_and_the_old_version_goes_on() {
    let plugins = ["brightness"];
    // A busy machine must not make the old version late.
    let Controlled { comux, mut control, home, .. } =
        controlled_with("trust-bombs", &plugins, "[limits]\ndeadline_ms = 2_000");
    let feed = feed_all(&["trust-bombs"], media::bframes());
    control.done("create", camera("trust-bombs", only("brightness")));
    feed.wait_for_more(20);
    let before = comux.memory();
    let deploy = |name: &str| json!({ "id": "trust-bombs", "plugins": only(name), "probation": 0 });
    for Bomb { name, file, step, word } in bombs() {
        home.store_file(&format!("{name}.wasm"), &file);
        let answer = control.ask("deploy", deploy(name));
        assert_eq!(answer["failed_step"], step, "{name}: {answer:?}");
        assert!(answer.message().contains(word), "{name}: {answer:?}");
        eprintln!("{name}, {} bytes: {}", file.len(), answer.message());
    }
    let real = component("brightness");
    let (mut refused, mut taken) = (0, Vec::new());
    for at in (0..real.len()).step_by(FLIPS) {
        let mut flipped = real.clone();
        flipped[at] ^= 0x10;
        home.store_file("flipped.wasm", &flipped);
        let answer = control.ask("deploy", deploy("flipped"));
        if answer.ok() {
            taken.extend([answer, control.done("deploy", deploy("brightness"))]);
            continue;
        }
        let step = answer["failed_step"].as_str().unwrap_or_default();
        assert!(["check", "compile", "configure"].contains(&step), "byte {at}: {answer:?}");
        refused += 1;
    }
    eprintln!("{refused} flips were refused, {} taken", taken.len() / 2);
    assert!(refused > 0 && !taken.is_empty());
    let peak = comux.peak_memory();
    assert!(peak < before + (300 << 20), "memory grew from {before} to {peak} at most");
    feed.wait_for_more(20);
    let outputs = all_output(feed, media::bframes(), (comux, &mut control), &["trust-bombs"]);
    assert_eq!(record_count("stream_trust-bombs"), outputs[0].len(), "each is there once");
    // A flipped version may fail, and its records say so. The old one never does.
    let old = identity("brightness", "0.1.0", &real);
    let changes = answered_versions(&taken);
    for (number, record) in outputs[0].iter().enumerate() {
        let change = changes.iter().rev().find(|(cut, _)| *cut <= number);
        let version = change.map_or(&old, |(_, version)| version);
        if *version == old {
            assert_eq!(record.status(), ("analysed", None), "record {number}: {changes:?}");
            assert_eq!(record.header("comux-plugin"), Some(&**version), "record {number}");
        } else if record.is_analysed() {
            assert_eq!(record.header("comux-plugin"), Some(&**version), "record {number}");
        }
    }
}

#[test]
fn one_tenants_compiling_keeps_no_other_tenant_waiting() {
    let lines = "[[tenants]]\nid = 'hog'\n[[tenants]]\nid = 'acme'";
    let Controlled { comux, mut control, home, .. } =
        controlled_with("trust-turns", &["brightness"], lines);
    let ids: Vec<String> = (0..8).map(|n| format!("trust-turns-{n}")).collect();
    for (id, size) in ids.iter().zip(20..) {
        let _ = topics(id);
        home.store_file(&format!("{id}.wasm"), &slow_to_compile(size));
    }
    let _ = topics("trust-turns-acme");
    let create = |id: &String| of("hog", id, &format!("{id}.wasm"));
    let sent: Vec<_> =
        ids.iter().map(|id| control.send(&Control::record("create", &create(id)))).collect();
    control.done("create", of("acme", "trust-turns-acme", "brightness.wasm"));
    let answered = sent.iter().filter(|id| !control.to(id).is_empty()).count();
    eprintln!("the other tenant's camera ran after {answered} of them");
    assert!(answered < sent.len() / 2, "it waited for {answered} of {}", sent.len());
    for id in &sent {
        let answer = control.answer(id);
        assert!(
            ["check", "compile"].contains(&answer["failed_step"].as_str().unwrap()),
            "{answer:?}"
        );
    }
    comux.stop();
}

#[test]
fn only_what_a_trusted_key_signed_runs_where_keys_are_named() {
    let home = Home::with_plugins(&["brightness", "motion"]);
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let stored = |name: &str| home.store().join(name).to_str().unwrap().to_owned();
    let [release, other] = ["release.pem", "other.pem"].map(|name| {
        let public = comux(0, &["plugin", "keygen", "--out", &path(name)]).trim().to_owned();
        (path(name), public)
    });
    let (file, signed) = (stored("motion.wasm"), stored("signed.wasm"));
    comux(0, &["plugin", "sign", &file, "--key", &release.0, "--out", &signed]);
    comux(0, &["plugin", "sign", &file, "--key", &other.0]);
    comux(0, &["plugin", "verify", &signed, "--key", &release.1]);
    home.store_file("silent.wasm", &handmade::plugin("", ""));
    comux(0, &["plugin", "sign", &stored("silent.wasm"), "--key", &release.0]);
    let refusal = comux(1, &["plugin", "verify", &file, "--key", &release.1]);
    assert!(refusal.contains("not signed by"), "{refusal}");
    assert!(comux(0, &["plugin", "verify", &file]).contains(&other.1));
    comux(1, &["plugin", "keygen", "--out", &release.0]);

    let lines = format!(
        "[[tenants]]\nid = 'acme'\n[tenants.security]\ntrusted_keys = ['{}']\ngrants = ['metrics']",
        release.1
    );
    let names = Names::new("trust-signed");
    let config = names.configure(Config::new("trust-signed")).with(&lines);
    let instance = Comux::run_in(&home, &config);
    let mut control = Control::new(&names);
    for id in ["a", "b", "c", "d"] {
        let _ = topics(&format!("trust-signed-{id}"));
    }
    let create =
        |tenant: &str, id: &str, source: &str| of(tenant, &format!("trust-signed-{id}"), source);
    control.done("create", create("default", "a", "brightness.wasm"));
    for (source, words) in [("brightness.wasm", "not signed"), ("motion.wasm", &*other.1)] {
        let expected = ["acme", words, "trusted_keys"];
        let answer = control.refused("create", create("acme", "b", source), "refused", &expected);
        assert_eq!(answer["failed_step"], "fetch", "{answer:?}");
    }
    // What an SDK's plugin logs with is not granted to this tenant, whoever signed it.
    let words = ["comux:plugin/log", "acme", "grants"];
    let answer = control.refused("create", create("acme", "b", "signed.wasm"), "refused", &words);
    assert_eq!(answer["failed_step"], "check", "{answer:?}");
    control.done("create", create("acme", "c", "silent.wasm"));
    instance.stop();
    // A key that is named later counts for what ran already.
    let key = format!("[security]\ntrusted_keys = ['{}']", release.1);
    let instance = Comux::run_in(&home, &config.with(&key));
    for (id, phase) in [("trust-signed-a", "no-plugin"), ("trust-signed-c", "running")] {
        wait_until("it is known what becomes of it", || control.status(id)["phase"] == phase);
    }
    let error = control.status("trust-signed-a")["error"].to_string();
    assert!(error.contains("is not signed"), "{error}");
    instance.stop();
    // `check` says the same.
    let file = path("comux.toml");
    let said_of = |plugin: &str, code: i32| {
        let source = format!("plugins = [{{ source = 'plugins/{plugin}.wasm' }}]");
        let config = names.configure(Config::new("trust-signed")).with(&key);
        fs::write(&file, config.camera("trust-signed-d", &source).text()).unwrap();
        comux(code, &["check", "--config", &file])
    };
    let said = said_of("brightness", 2);
    assert!(said.contains("trust-signed-d") && said.contains("is not signed"), "{said}");
    let said = said_of("signed", 0);
    assert!(said.contains("✔ camera trust-signed-d: plugin motion@"), "{said}");
}

#[test]
fn a_tenants_plugins_are_its_own() {
    let lines = "[[tenants]]\nid = 'acme'\nplugin_dir = 'acme-plugins'\n[[tenants]]\nid = 'other'\n\
                 plugin_dir = 'other-plugins'";
    let Controlled { comux, mut control, home, .. } =
        controlled_with("trust-own", &["brightness"], lines);
    for id in ["a", "b", "c"] {
        let _ = topics(&format!("trust-own-{id}"));
    }
    fs::create_dir(home.path().join("acme-plugins")).unwrap();
    fs::write(home.path().join("acme-plugins/secret.wasm"), component("motion")).unwrap();
    let done = control.done("create", of("acme", "trust-own-a", "secret.wasm"));
    let digest = comux_tests::home::sha256(&component("motion"));
    control.done("create", of("other", "trust-own-b", "brightness.wasm"));
    // What is there and what is not are answered alike, and the digest is of no use.
    let mut answers = Vec::new();
    for source in ["secret.wasm", "never.wasm"] {
        let mut asked = of("other", "trust-own-c", source);
        asked["plugins"][0]["sha256"] = json!(digest);
        let answer = control.ask("create", asked);
        assert_eq!(answer["failed_step"], "fetch", "{answer:?}");
        let host = home.path().to_str().unwrap();
        assert!(
            !answer.message().contains(host) && !answer.message().contains("acme"),
            "{answer:?}"
        );
        answers.push(answer.message().replace(source, "SOURCE"));
    }
    assert_eq!(answers[0], answers[1]);
    let answer = control.ask("create", of("other", "trust-own-c", "../acme-plugins/secret.wasm"));
    assert!(answer.message().contains("outside of the plugin store"), "{answer:?} {done:?}");
    comux.stop();
}

#[test]
fn compiled_code_that_was_tampered_with_is_made_anew() {
    let name = "trust-cache";
    let Controlled { comux, mut control, home, names } = controlled(name, &["brightness"]);
    let feed = feed_all(&[name], media::bframes());
    control.done("create", camera(name, only("brightness")));
    feed.wait_for_more(10);
    comux.stop();
    let compiled = home.path().join("comux-state/compiled");
    let files = || fs::read_dir(&compiled).unwrap().map(|file| file.unwrap().path());
    let whole = fs::read(files().next().unwrap()).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let forged = [&whole[..104], &vec![0xcc; whole.len() - 104]].concat();
    let mut instance = None;
    for content in [&whole[..whole.len() / 3], &flipped, &forged, b""] {
        drop(instance.take().map(Comux::stop));
        for file in files() {
            fs::write(file, content).unwrap();
        }
        instance = Some(Comux::run_in(&home, &names.configure(Config::new(name))));
        let analysed = |control: &mut Control| control.status(name)["counts"]["analysed"].as_u64();
        wait_until("it analyses", || analysed(&mut control) > Some(0));
        assert!(fs::read(files().next().unwrap()).unwrap() == whole, "it is made anew");
    }
    let _ = feed.stop();
    let ended = instance.unwrap().stop();
    assert!(ended.sums(name).failed.is_empty(), "{:?}", ended.sums(name));
}
