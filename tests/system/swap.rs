//! THE promise of a swap: no record lost, none analysed twice, none unanalysed, each result from
//! one known version.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use comux_tests::PATIENCE;
use comux_tests::control::{Answer, Control, Names};
use comux_tests::home::{Home, component, identity};
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::random::Random;
use comux_tests::records::Record;
use serde_json::json;

use crate::live::{
    CAMERA, all_output, answered_versions, assert_all_analysed, assert_same_results, feed_all,
    versions,
};

/// Each swap takes this long at most after the one before, at random.
const REST_MS: u64 = 400;
/// Frames.
const PROBATION: u32 = 5;

/// One camera that is swapped to and fro.
struct Swapped {
    id: String,
    left: usize,
    next: Instant,
    waiting_for: Option<String>,
    answers: Vec<Answer>,
}

/// Swaps all `cameras` at the same time, each `swaps` times between two plugins of the store, at
/// random moments. Returns the answers by camera, in order.
fn swap_all(
    control: &mut Control,
    cameras: &[String],
    swaps: usize,
    [first, second]: [&str; 2],
    random: &mut Random,
) -> Vec<Vec<Answer>> {
    let mut swapped: Vec<Swapped> = Vec::new();
    for id in cameras {
        let next = Instant::now() + Duration::from_millis(random.within(0..1000));
        let (id, answers) = (id.clone(), Vec::new());
        swapped.push(Swapped { id, left: swaps, next, waiting_for: None, answers });
    }
    let mut deadline = Instant::now() + PATIENCE;
    while swapped.iter().any(|camera| camera.left > 0 || camera.waiting_for.is_some()) {
        assert!(Instant::now() < deadline, "no swap comes to its end");
        for camera in &mut swapped {
            if camera.left == 0 || camera.waiting_for.is_some() || camera.next > Instant::now() {
                continue;
            }
            let to = if (swaps - camera.left).is_multiple_of(2) { second } else { first };
            let plugin = json!({ "source": format!("{to}.wasm") });
            let value = json!({ "id": camera.id, "plugin": plugin, "probation": PROBATION });
            camera.waiting_for = Some(control.send(&Control::record("deploy", &value)));
            camera.left -= 1;
        }
        let Some(answer) = control.poll(Duration::from_millis(20)) else { continue };
        let id = answer["correlation-id"].as_str().map(str::to_owned);
        let Some(camera) = swapped.iter_mut().find(|camera| camera.waiting_for == id) else {
            panic!("nobody waits for {answer:?}");
        };
        assert!(answer.ok(), "a swap of {} is done: {answer:?}", camera.id);
        camera.waiting_for = None;
        camera.answers.push(answer);
        camera.next = Instant::now() + Duration::from_millis(random.within(0..REST_MS));
        deadline = Instant::now() + PATIENCE;
    }
    swapped.into_iter().map(|camera| camera.answers).collect()
}

/// The configuration of cameras that all run this plugin.
fn config(names: &Names, instance: &str, cameras: &[String], plugin: &str) -> Config {
    let config = names.configure(Config::new(instance)).with("[limits]\ndeadline_ms = 5_000");
    let lines = format!("{CAMERA}{}", plugins_line(plugin, ""));
    cameras.iter().fold(config, |config, camera| config.camera(camera, &lines))
}

/// The value below which this share of `sorted` lies.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

#[test]
fn two_hundred_swaps_on_eight_live_cameras_lose_nothing_and_repeat_nothing() {
    let clip = media::bframes();
    let swapped: Vec<String> = (0..8).map(|number| format!("swap-{number}")).collect();
    let mut all = swapped.clone();
    all.push("swap-undisturbed".to_owned());
    let names = Names::new("swap");
    let home = Home::with_plugins(&["motion", "motion-next"]);
    let comux = Comux::run_in(&home, &config(&names, "swap", &all, "motion"));
    let mut control = Control::new(&names);
    let feed = feed_all(&all, clip);
    feed.wait_for_more(10);
    let mut random = Random::new(1);
    let began = Instant::now();
    let answers = swap_all(&mut control, &swapped, 25, ["motion", "motion-next"], &mut random);
    let took = began.elapsed();
    feed.wait_for_more(20);
    let outputs = all_output(feed, clip, (comux, &mut control), &all);
    control_answers_are_complete(&answers);

    let undisturbed = &outputs[8];
    let old = identity("motion", "0.1.0", &component("motion"));
    let new = identity("motion", "9.9.9", &component("motion-next"));
    for ((camera, output), answers) in all.iter().zip(&outputs).zip(&answers) {
        assert_all_analysed(camera, output);
        let found = versions(output);
        for (number, (_, version)) in found.iter().enumerate() {
            let expected = if number.is_multiple_of(2) { &old } else { &new };
            assert_eq!(version, expected, "{camera}: version {number}");
        }
        assert_eq!(found[0].0, 0);
        assert_eq!(found[1..], answered_versions(answers), "{camera}: where versions change");
        for answer in answers {
            let source = format!("raw_{camera}/0/{}", answer.cut());
            assert_eq!(answer["cut"]["source"], source, "{camera}: the cut's record");
        }
        // Both versions compute the same, and the picture before is handed over.
        assert_same_results(camera, undisturbed, output);
    }
    assert_all_analysed("swap-undisturbed", undisturbed);
    print_gaps(&answers, took, undisturbed.len());
}

fn control_answers_are_complete(answers: &[Vec<Answer>]) {
    for answer in answers.iter().flatten() {
        let steps = answer.steps();
        let mut last = 0;
        let order = [
            "fetch",
            "load",
            "compile",
            "check",
            "configure",
            "shadow",
            "cut",
            "hand-over",
            "switch",
            "probation",
        ];
        for step in &steps {
            let place = order.iter().position(|known| known == step);
            let place = place.unwrap_or_else(|| panic!("no step is called {step}: {answer:?}"));
            assert!(place >= last, "steps in their order: {steps:?}");
            last = place;
        }
        for step in ["fetch", "configure", "cut", "switch", "probation"] {
            assert!(steps.contains(&step), "{step} is among {steps:?}");
        }
        assert!(answer["gap_ms"].as_f64().is_some_and(|gap| gap >= 0.0), "{answer:?}");
    }
}

fn print_gaps(answers: &[Vec<Answer>], took: Duration, records: usize) {
    let mut gaps: Vec<f64> =
        answers.iter().flatten().filter_map(|answer| answer["gap_ms"].as_f64()).collect();
    gaps.sort_by(f64::total_cmp);
    let mut steps: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for step in answers.iter().flatten().filter_map(|it| it["steps"].as_array()).flatten() {
        let (Some(name), Some(ms)) = (step["step"].as_str(), step["ms"].as_f64()) else { continue };
        steps.entry(name).or_default().push(ms);
    }
    println!(
        "{} swaps in {:.1} s, {records} records a camera: gap_ms p50 {:.3}, p99 {:.3}, max {:.3}",
        gaps.len(),
        took.as_secs_f64(),
        percentile(&gaps, 0.5),
        percentile(&gaps, 0.99),
        percentile(&gaps, 1.0)
    );
    for (step, mut times) in steps {
        times.sort_by(f64::total_cmp);
        let (median, most) = (percentile(&times, 0.5), percentile(&times, 1.0));
        println!("  {step}: {} times, p50 {median:.3} ms, max {most:.3} ms", times.len());
    }
}

/// The new version sees pictures that the old one sees as well, and each of both sees each once.
#[test]
fn a_count_goes_on_through_a_shadow_run_as_if_there_were_none() {
    let clip = media::bframes();
    let all = ["shadow-count", "shadow-undisturbed"].map(str::to_owned);
    let names = Names::new("shadow-count");
    let home = Home::with_plugins(&["line-counter", "line-counter-next"]);
    let comux = Comux::run_in(&home, &config(&names, "shadow-count", &all, "line-counter"));
    let mut control = Control::new(&names);
    let feed = feed_all(&all, clip);
    feed.wait_for_more(30);
    for _ in 0..5 {
        for source in ["line-counter-next.wasm", "line-counter.wasm"] {
            let value = json!({
                "id": "shadow-count", "plugin": { "source": source }, "shadow": 10, "probation": 5
            });
            let answer = control.done("deploy", value);
            let seen = json!({ "frames": 10, "same": 10, "different": 0 });
            assert_eq!(answer["shadow"], seen, "{answer:?}");
        }
    }
    let outputs = all_output(feed, clip, (comux, &mut control), &all);
    assert_same_results("shadow-count", &outputs[1], &outputs[0]);
    assert_somebody_passed(&outputs[0]);
}

#[test]
fn a_count_goes_on_through_fifty_swaps_as_if_there_were_none() {
    let clip = media::bframes();
    let [swapped, undisturbed] = ["count-swapped", "count-undisturbed"].map(str::to_owned);
    let all = [swapped.clone(), undisturbed];
    let names = Names::new("count");
    let home = Home::with_plugins(&["line-counter", "line-counter-next"]);
    let comux = Comux::run_in(&home, &config(&names, "count", &all, "line-counter"));
    let mut control = Control::new(&names);
    let feed = feed_all(&all, clip);
    feed.wait_for_more(10);
    let plugins = ["line-counter", "line-counter-next"];
    let answers = swap_all(&mut control, &[swapped], 50, plugins, &mut Random::new(2));
    feed.wait_for_more(20);
    let outputs = all_output(feed, clip, (comux, &mut control), &all);
    for (camera, output) in all.iter().zip(&outputs) {
        assert_all_analysed(camera, output);
    }
    assert_eq!(versions(&outputs[0])[1..], answered_versions(&answers[0]));
    for answer in &answers[0] {
        assert!(answer.steps().contains(&"hand-over"), "{answer:?}");
    }
    assert_same_results("count-swapped", &outputs[1], &outputs[0]);
    assert_somebody_passed(&outputs[0]);
}

/// Otherwise the test would say nothing.
fn assert_somebody_passed(output: &[Record]) {
    let last = output.last().and_then(|record| record.header("line-counter.counts"));
    let last = last.expect("the final counts");
    assert!(last.contains(|it: char| ('1'..='9').contains(&it)), "somebody passed: {last}");
}
