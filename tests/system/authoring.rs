//! What a plugin's author does before there is a Kafka: `comux plugin new`, `build`,
//! `check`, `run` and `bench`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use comux_tests::media;
use comux_tests::process::{binary, run_to_end};
use comux_tests::{PATIENCE, plugin, target_dir};
use serde_json::Value;

use crate::promises::assert_close;

/// What `comux plugin run` with these arguments prints, and how it ends.
fn run(arguments: &[&str]) -> Output {
    run_to_end(&[&["plugin", "run"], arguments].concat(), PATIENCE)
}

/// The lines of a run that is to succeed, and its summary.
fn lines(arguments: &[&str]) -> (Vec<Value>, Value) {
    let output = run(&[arguments, &["--json"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().expect("a summary");
    assert_eq!(summary["event"], "summary");
    (lines, summary)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

#[test]
fn a_run_on_a_file_says_of_each_frame_what_a_camera_would() {
    let (clip, brightness, video) =
        (media::bframes(), plugin("brightness"), media::footage("bframes"));
    let (lines, summary) = lines(&[path(&brightness), path(&video)]);
    assert_eq!(lines.len(), clip.packets.len(), "a line for each packet");
    for (number, (line, packet)) in lines.iter().zip(&clip.packets).enumerate() {
        assert_eq!((&line["seq"], &line["status"]), (&number.into(), &"analysed".into()), "{line}");
        assert_eq!(line["pts_us"], clip.time_base.microseconds(packet.pts), "in their order");
        assert_eq!(line["keyframe"], packet.keyframe);
        let mean: f64 = line["headers"]["brightness.mean"].as_str().unwrap().parse().unwrap();
        assert_close(number, mean, clip.mean(packet.pts).unwrap());
    }
    assert_eq!(summary["packets"], lines.len());
    assert_eq!(summary["plugins"][0]["calls"], lines.len());
    assert!(summary["plugins"][0]["peak_memory"].as_u64().unwrap() > 0, "{summary}");
}

#[test]
fn a_run_takes_several_plugins_their_configurations_and_a_rate() {
    let (brightness, motion, video) =
        (plugin("brightness"), plugin("motion"), media::footage("bframes"));
    let bright = r#"{ "bright_above": 60.0 }"#;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("motion.json");
    fs::write(&file, r#"{ "threshold": 255 }"#).unwrap();
    let of_file = format!("@{}", file.display());
    let arguments = [path(&brightness), path(&motion), path(&video), "--rate", "5"];
    let configs = ["--config", bright, "--config", &of_file, "--packets", "100"];
    let (lines, summary) = lines(&[&arguments[..], &configs].concat());
    assert_eq!(lines.len(), 100);
    let analysed: Vec<&Value> = lines.iter().filter(|it| it["status"] == "analysed").collect();
    // Ten seconds, five times a second.
    assert!((50..=51).contains(&analysed.len()), "{summary}");
    assert_eq!(summary["skipped"]["rate"], 100 - analysed.len());
    for line in analysed {
        assert_eq!(line["headers"]["brightness.state"], "bright", "{line}");
        assert_eq!(line["headers"]["motion.score"], "0.000", "nothing changes that much: {line}");
    }
}

#[test]
fn a_plugin_that_fails_is_told_of_at_its_frame_and_ends_the_run_with_code_1() {
    let (misbehave, video) = (plugin("misbehave"), media::footage("bframes"));
    let config = r#"{ "how": "error", "every": 10 }"#;
    let arguments = [path(&misbehave), path(&video), "--config", config, "--packets", "25"];
    let output = run(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.matches(" s failed (plugin-error)").count(), 2, "{text}");
    assert_eq!(text.matches("as configured").count(), 2, "{text}");
    assert!(text.contains("23 analysed, 2 failed (plugin-error)"), "{text}");

    // However often: none is left out, as a camera's would be.
    let config = r#"{ "how": "trap" }"#;
    let arguments = [path(&misbehave), path(&video), "--config", config, "--packets", "25"];
    let text = String::from_utf8(run(&arguments).stdout).unwrap();
    assert!(text.contains("0 analysed, 25 failed (plugin-trap)"), "{text}");
}

#[test]
fn what_can_not_be_run_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let file = directory.path().join(name);
        fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let import = |name: &str| {
        wat(&format!(r#"(component (import "{name}" (instance (export "f" (func)))))"#))
    };
    let (video, brightness) = (media::footage("bframes"), plugin("brightness"));
    let (video, brightness) = (path(&video), path(&brightness));
    let text = write("text.wasm", b"no WebAssembly");
    let module = write("module.wasm", &wat("(module)"));
    let wasi = write("wasi.wasm", &import("wasi:cli/environment@0.2.0"));
    let later = write("later.wasm", &import("comux:plugin/frames@0.9.0"));
    let nothing = write("nothing.wasm", &wat("(component)"));
    let cases: [(&[&str], i32, &[&str]); 12] = [
        (&[&text, video], 1, &["text.wasm", "no WebAssembly at all", "comux plugin build"]),
        (&[&module, video], 1, &["module.wasm", "core module", "comux plugin build"]),
        (&[&wasi, video], 1, &["wasi:cli/environment", "without WASI"]),
        (
            &[&later, video],
            1,
            &["comux:plugin/frames@0.9.0", "comux:plugin 0.1", "SDK of that version"],
        ),
        (&[&nothing, video], 1, &["does not fit the world", "lifecycle"]),
        (&["gone.wasm", video], 1, &["gone.wasm"]),
        (&[brightness, "gone.mp4"], 2, &["can't read video from `gone.mp4`", "last"]),
        (&[brightness, &text], 2, &["can't read video", "ffmpeg plays"]),
        (&[brightness, video, "--config", "dark"], 2, &["no JSON", "@FILE"]),
        (&[brightness, video, "--config", "[1]"], 2, &["no JSON object"]),
        (&[brightness, video, "--config", r#"{"dark": 1}"#], 1, &["dark", "dark_below"]),
        (&[brightness, video, "--rate", "often"], 2, &["rate", "keyframes"]),
    ];
    for (arguments, code, words) in cases {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?} should say `{word}`: {said}");
        }
        assert!(said.lines().last().unwrap().len() < 600, "{said}");
    }
}

/// What `comux plugin …` prints, and its exit code.
fn said_by(command: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run_to_end(&[&["plugin", command], arguments].concat(), PATIENCE);
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &said)
}

fn check(arguments: &[&str]) -> (Option<i32>, String) {
    said_by("check", arguments)
}

fn bench(arguments: &[&str]) -> (Option<i32>, String) {
    said_by("bench", arguments)
}

#[test]
fn a_check_says_what_a_plugin_is_needs_and_takes() {
    let (counter, odd) = (plugin("line-counter"), plugin("odd-one-out"));
    let (code, said) = check(&[path(&counter), path(&odd)]);
    assert_eq!(code, Some(0), "{said}");
    for words in [
        "line-counter@0.1.0+sha256.",
        "✔ imports comux:plugin/metrics@0.1.0",
        "exports comux:plugin/state@0.1.0",
        "headers line-counter.counts, line-counter.tracks",
        "keeps what it remembers",
        "✔ needs 1 of 4 memories",
        "takes frames of several cameras",
        "can be loaded and configured",
    ] {
        assert!(said.contains(words), "`{words}`: {said}");
    }

    let wrong = r#"{ "dark": 1 }"#;
    let brightness = plugin("brightness");
    let (code, said) = check(&[path(&brightness), "--config", wrong]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("✘") && said.contains("dark_below"), "{said}");
    let right = r#"{ "dark_below": 1 }"#;
    let (code, said) = check(&[path(&brightness), "--config", right, "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["bytes"], fs::metadata(&brightness).unwrap().len());
    assert_eq!(report["described"]["headers"][0], "brightness.mean");
    let memory = report["needs"].as_array().unwrap().iter().find(|it| it["limit"] == "memory_mb");
    assert_eq!(memory.unwrap()["given"], 64, "{report}");
}

#[test]
fn a_check_tells_all_that_a_host_would_refuse() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let file = directory.path().join(name);
        fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let instance = |name: &str| format!(r#"(import "{name}" (instance (export "f" (func))))"#);
    let imports = ["wasi:cli/environment@0.2.0", "comux:plugin/log@0.1.0", "wasi:io/poll@0.2.0"];
    let modules = "(core instance (instantiate $m))".repeat(70);
    let text = format!("(component {} (core module $m) {modules})", imports.map(instance).concat());
    let wasi = write("wasi.wasm", &wat::parse_str(text).unwrap());
    let other = write("other.wasm", b"no WebAssembly");
    let brightness = plugin("brightness");
    let (code, said) = check(&[&wasi, path(&brightness), &other]);
    assert_eq!(code, Some(1), "{said}");
    for words in [
        "✘ imports wasi:cli/environment@0.2.0",
        "✔ imports comux:plugin/log@0.1.0",
        "✘ imports wasi:io/poll@0.2.0",
        "✘ needs 70 of 64 instances",
        "without WASI",
        "no WebAssembly at all",
        "2 plugins would be refused",
    ] {
        assert!(said.contains(words), "`{words}`: {said}");
    }

    // Of a certain host, with what it grants and allows.
    let host = "[kafka]\nbootstrap_servers = 'nowhere:9'\n[security]\ngrants = []\n\
                [[tenants]]\nid = 'acme'\nlimits = { memory_mb = 1 }\n";
    let host = write("comux.toml", host.as_bytes());
    let (code, said) = check(&[path(&brightness), "--host", &host, "--tenant", "acme"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("✘ imports comux:plugin/log@0.1.0"), "{said}");
    assert!(said.contains("tenant `acme` are not granted"), "{said}");
    let (code, said) = check(&[path(&brightness), "--host", &host, "--tenant", "nobody"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no tenant `nobody`"), "{said}");
    let granted = fs::read_to_string(&host).unwrap().replace("grants = []\n", "");
    let host = write("granted.toml", granted.as_bytes());
    let (code, said) = check(&[path(&brightness), "--host", &host, "--tenant", "acme"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("✘ needs 2 of 1 memory_mb"), "{said}");
}

#[test]
fn a_bench_measures_calls_and_counts_the_same_instructions_each_time() {
    let (brightness, motion, video) =
        (plugin("brightness"), plugin("motion"), media::footage("bframes"));
    let costs = |arguments: &[&str]| -> Vec<Value> {
        let video = [path(&video), "--json", "--packets", "100"];
        let (code, said) = bench(&[arguments, &video].concat());
        assert_eq!(code, Some(0), "{said}");
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let alone = &costs(&[path(&brightness)])[0];
    assert_eq!((&alone["calls"], &alone["failed"]), (&100.into(), &0.into()), "{alone}");
    let [time, cpu] = [&alone["time_us"], &alone["cpu_us"]];
    assert!(cpu.as_f64().unwrap() > 0.0, "{alone}");
    let [p50, p99, max] = ["p50", "p99", "max"].map(|it| time[it].as_u64().unwrap());
    assert!(0 < p50 && p50 <= p99 && p99 <= max, "{alone}");
    let fuel = alone["fuel"].as_u64().unwrap();
    assert!(fuel > 1000, "{alone}");

    // Whatever the other does, and whatever else the machine does.
    let both = costs(&[path(&motion), "--against", path(&brightness)]);
    assert!(both[0]["plugin"].as_str().unwrap().starts_with("motion@"), "{both:?}");
    assert_eq!(both[1]["fuel"], fuel, "{both:?}");
    assert!(both[0]["fuel"].as_u64().unwrap() > 2 * fuel, "a motion grid takes more: {both:?}");

    // Calls that take longer than most are measured as well.
    let slow = &costs(&[path(&plugin("slow")), "--config", r#"{ "spin": 5000000 }"#])[0];
    let (p50, cpu) = (slow["time_us"]["p50"].as_f64(), slow["cpu_us"].as_f64());
    assert!(p50.unwrap() > cpu.unwrap() / 4.0, "{slow}");

    // Of a coarser grid, fewer.
    let coarse = &costs(&[path(&motion), "--config", r#"{ "cols": 4, "rows": 4 }"#])[0];
    assert!(coarse["fuel"].as_u64() < both[0]["fuel"].as_u64(), "{coarse}");
}

#[test]
fn a_bench_says_what_limits_its_figures_and_when_they_mean_nothing() {
    let (brightness, misbehave) = (plugin("brightness"), plugin("misbehave"));
    let video = media::footage("bframes");
    let (brightness, misbehave, video) = (path(&brightness), path(&misbehave), path(&video));
    let (code, said) = bench(&[brightness, video, "--against", brightness, "--packets", "50"]);
    assert_eq!(code, Some(0), "{said}");
    for words in ["50 calls", "p99", "of 200 ms (deadline_ms)", "+0.0 %", "(memory_mb)"] {
        assert!(said.contains(words), "`{words}`: {said}");
    }
    let fails = r#"{ "how": "error", "every": 10 }"#;
    let (code, said) = bench(&[misbehave, video, "--config", fails, "--packets", "50"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("calls failed") && said.contains("comux plugin run"), "{said}");
    let (code, said) = bench(&[brightness, video, "--config", "{}", "--config", "{}"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("2 times --config, and 1 to configure"), "{said}");
    let (code, said) = bench(&[brightness, video, "--packets", "0"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no frame"), "{said}");
    let (code, said) = bench(&[brightness, brightness]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("can't read video"), "{said}");
}

/// Where nothing of this repository lies, and with what its own build has downloaded.
fn outside(directory: &Path, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", target_dir().join("authoring"))
        .env("VIRTUAL_ENV", target_dir().join("tools/languages"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{program} {arguments:?}: {said}");
    output
}

/// What `npm install` does.
fn install(project: &Path) {
    let installed = target_dir().join("tools/javascript/node_modules");
    std::os::unix::fs::symlink(installed, project.join("node_modules")).unwrap();
}

/// What the plugin of a new project says of each packet of the footage, once it was tested and
/// built as it is.
fn said_by_new_project(language: &str, test: &[&str], passed: &str) -> Vec<Value> {
    let home = tempfile::tempdir().unwrap();
    let binary = binary();
    let comux = path(&binary);
    outside(home.path(), comux, &["plugin", "new", "gate-watch", "--lang", language]);
    let project = home.path().join("gate-watch");
    if language == "js" {
        install(&project);
    }
    let tested = outside(&project, test[0], &test[1..]);
    let said = [tested.stdout, tested.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains(passed) && !said.contains("warning"), "without a word: {said}");

    let build = ["plugin", "build", "gate-watch", "--out", "gate-watch.wasm"];
    let built = outside(home.path(), comux, &build);
    assert_eq!(String::from_utf8(built.stdout).unwrap(), "gate-watch.wasm\n");
    let built = home.path().join("gate-watch.wasm");
    let (lines, _) = lines(&[path(&built), path(&media::footage("bframes"))]);

    let again = run_to_end(&["plugin", "new", path(&project)], PATIENCE);
    assert_eq!(again.status.code(), Some(2));
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("is there already"), "{said}");
    lines
}

#[test]
fn a_new_project_in_each_language_passes_its_test_and_says_the_same() {
    let rust = said_by_new_project("rust", &["cargo", "test"], "2 passed");
    let moving = rust.iter().filter(|line| line["headers"]["gate-watch.state"] == "moving").count();
    assert!(moving > rust.len() / 2, "people walk: {moving} of {}", rust.len());
    let python = said_by_new_project("python", &["python3", "-m", "unittest"], "Ran 2 tests");
    let javascript = said_by_new_project("js", &["npm", "test"], "pass 2");
    let headers = |lines: &[Value]| -> Vec<Value> {
        lines.iter().map(|line| line["headers"].clone()).collect()
    };
    assert_eq!(headers(&python), headers(&rust));
    assert_eq!(headers(&javascript), headers(&rust));
}

#[test]
fn what_can_not_be_built_is_refused_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("gate");
    outside(home.path(), path(&binary()), &["plugin", "new", "gate", "--lang", "python"]);
    let build = |directory: &Path| {
        let output = Command::new(binary())
            .args(["plugin", "build", path(directory)])
            .env("VIRTUAL_ENV", target_dir().join("tools/languages"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = build(home.path());
    assert!(said.contains("no Cargo.toml, pyproject.toml or package.json"), "{said}");
    assert!(said.contains("comux plugin new"), "{said}");

    let without = Command::new(binary())
        .args(["plugin", "build", path(&project)])
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(without.stderr).unwrap();
    assert_eq!(without.status.code(), Some(1), "{said}");
    for words in ["componentize-py is missing", "-m venv", "pip install componentize-py=="] {
        assert!(said.contains(words), "{said}");
    }

    let manifest = fs::read_to_string(project.join("pyproject.toml")).unwrap();
    let write = |text: &str| fs::write(project.join("pyproject.toml"), text).unwrap();
    write(&manifest.replace("[tool.comux]", "[tool.other]"));
    let said = build(&project);
    assert!(said.contains("[tool.comux]") && said.contains("module = "), "{said}");
    write(&manifest.replace("world =", "word ="));
    let said = build(&project);
    assert!(said.contains("word") && said.contains("world"), "{said}");
    write(&manifest.replace("module = \"plugin\"", "module = \"elsewhere\""));
    let said = build(&project);
    assert!(said.contains("elsewhere") && said.contains("gate does not build"), "{said}");
    write(&manifest);
    fs::remove_dir_all(project.join("comux")).unwrap();
    let said = build(&project);
    assert!(said.contains("has no comux/wit") && said.contains("--lang python"), "{said}");

    let project = home.path().join("door");
    outside(home.path(), path(&binary()), &["plugin", "new", "door", "--lang", "js"]);
    let said = build(&project);
    assert!(said.contains("componentize-js is missing"), "{said}");
    assert!(said.contains("npm install --save-dev @bytecodealliance/componentize-js@"), "{said}");
    let package = project.join("node_modules/@bytecodealliance/componentize-js");
    fs::create_dir_all(&package).unwrap();
    fs::write(package.join("package.json"), r#"{ "version": "0.1.0" }"#).unwrap();
    let said = build(&project);
    assert!(said.contains("is of 0.1.0, and 0.23.0 is needed"), "{said}");
    fs::remove_dir_all(project.join("node_modules")).unwrap();
    install(&project);
    fs::write(project.join("plugin.js"), "export const lifecycle = ;").unwrap();
    let said = build(&project);
    assert!(said.contains("door does not build"), "{said}");
    fs::remove_file(project.join("package.json")).unwrap();
    fs::write(project.join("package.json"), r#"{ "name": "door" }"#).unwrap();
    let said = build(&project);
    assert!(said.contains("has no plugin") && said.contains("\"comux\":"), "{said}");
}
