//! A plugin that takes batches gets frames of several cameras in one call; each result is on the
//! record of its own frame, and no camera waits for one that does not come, fails or belongs to
//! somebody else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use comux_tests::latency::{Probe, create_topics};
use comux_tests::media::{self, Clip};
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Record, Writer, consume};
use serde_json::json;

use crate::live::{Controlled, all_output, camera, controlled_with, feed_all, wait_until};
use crate::promises::{assert_same_records, topics};

const WHOLE: &str = "mode = 'every-frame'\nstart = 'beginning'\n";
/// A machine too busy to call in time must not look like a fault.
const PATIENT: &str = "[limits]\ndeadline_ms = 5_000\n";

/// The cameras whose frames were analysed in one call with this record's.
fn company(record: &Record) -> BTreeSet<&str> {
    record.header("company.cameras").map(|cameras| cameras.split(',').collect()).unwrap_or_default()
}

/// The topics of these cameras, created.
fn create_all(cameras: &[&str]) {
    for camera in cameras {
        let _ = topics(camera);
    }
}

/// Sends each camera its records, to all of them by turns: they run, and so have frames at the same
/// time.
fn send_by_turns(cameras: &[&str], records: &[&[Record]]) {
    let writer = Writer::new();
    let most = records.iter().map(|records| records.len()).max().unwrap_or_default();
    for number in 0..most {
        for (camera, records) in cameras.iter().zip(records) {
            if let Some(record) = records.get(number) {
                writer.send(&format!("raw_{camera}"), record);
            }
        }
    }
    writer.flush();
}

/// The same for all.
fn send_to_all(cameras: &[&str], records: &[Record]) {
    send_by_turns(cameras, &vec![records; cameras.len()]);
}

/// The records of a camera's output topic.
fn output_of(camera: &str, count: usize) -> Vec<Record> {
    consume(&format!("stream_{camera}"), count)
}

fn assert_expected_means(clip: &Clip, output: &[Record]) {
    for (packet, record) in clip.packets.iter().zip(output) {
        let expected = clip.mean(packet.pts).expect("a picture");
        let mean = record.number("company.mean");
        assert!((mean - expected).abs() <= 0.001, "{mean} instead of {expected}");
    }
}

#[test]
fn each_result_is_on_the_record_of_its_own_frame() {
    let cameras = ["batch-own-1", "batch-own-2", "batch-own-3", "batch-own-4"];
    // Each camera sends something else.
    let clips = [media::bframes(), media::lowdelay(), media::bframes(), media::lowdelay()];
    let mut config = Config::new("batch-own").with(PATIENT);
    create_all(&cameras);
    for (camera, clip) in cameras.iter().zip(clips) {
        let codec = clip.codec;
        let lines = format!("codec = '{codec}'\n{WHOLE}{}", plugins_line("company", ""));
        config = config.camera(camera, &lines);
    }
    let comux = Comux::run(&config);
    let records = clips.map(Clip::records);
    send_by_turns(&cameras, &records.each_ref().map(Vec::as_slice));
    let mut together = 0;
    for (camera, clip) in cameras.iter().zip(clips) {
        let output = output_of(camera, clip.packets.len());
        assert_same_records(&clip.records(), &output);
        assert_expected_means(clip, &output);
        for (number, record) in output.iter().enumerate() {
            assert_eq!(record.status(), ("analysed", None));
            assert_eq!(record.number("company.sequence"), number as f64);
            let company = company(record);
            assert!(company.contains(camera), "{company:?}");
            together += usize::from(company.len() > 1);
            // The picture before is the same camera's, whoever else was in the call.
            let first = clip.packets.iter().map(|packet| packet.pts).min();
            let is_first = Some(clip.packets[number].pts) == first;
            assert_eq!(record.number("company.motion") < 0.0, is_first, "{number} of {camera}");
        }
    }
    assert!(together > 0, "no two cameras were ever in one call");
    let ended = comux.stop();
    for camera in cameras {
        let sums = ended.sums(camera);
        assert!(sums.balance() && sums.failed.is_empty(), "{camera}: {sums:?}");
    }
}

#[test]
fn cameras_in_real_time_share_calls_and_the_status_says_how_well() {
    let Controlled { comux, mut control, .. } =
        controlled_with("batch-live", &["company"], PATIENT);
    let cameras = ["batch-live-1", "batch-live-2", "batch-live-3", "batch-live-4"];
    let clip = media::lowdelay();
    let feed = feed_all(&cameras, clip);
    let plugin = json!([{ "source": "company.wasm" }]);
    for id in cameras {
        control.done("create", camera(id, plugin.clone()));
    }
    feed.wait_for_more(100);
    wait_until("calls about several frames are counted", || {
        let batches = &control.status(cameras[0])["plugins_usage"][0]["batches"];
        batches["occupancy"].as_f64() > Some(1.5)
    });
    let status = control.status(cameras[0]);
    let usage = &status["plugins_usage"][0];
    let batches = &usage["batches"];
    assert!(batches["frames"].as_u64() > usage["calls"].as_u64(), "of all cameras: {usage}");
    assert!(batches["full"].as_f64() > Some(0.0), "{batches}");
    assert!(batches["longest_wait_us"].as_u64() >= batches["mean_wait_us"].as_u64(), "{batches}");
    let told = &usage["metrics"]["values"]["company.frames"]["observed"];
    assert!(told["max"].as_f64() >= Some(2.0), "{usage}");
    let outputs = all_output(feed, clip, (comux, &mut control), &cameras);
    // One call has at most one frame of each camera, and the same number is one call.
    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    for output in &outputs {
        for record in output {
            assert_eq!(record.status(), ("analysed", None));
            *calls.entry(record.header("company.call").unwrap()).or_default() += 1;
        }
        let own = output.iter().map(|record| record.header("company.call").unwrap());
        assert_eq!(own.collect::<BTreeSet<_>>().len(), output.len(), "two frames in one call");
    }
    for record in outputs.iter().flatten() {
        let in_call = calls[record.header("company.call").unwrap()];
        assert_eq!(company(record).len(), in_call, "all of a call are on their records");
    }
}

#[test]
fn cameras_of_two_tenants_are_never_in_one_call() {
    let cameras = ["batch-a-1", "batch-a-2", "batch-b-1", "batch-b-2"];
    let records = media::lowdelay().records();
    create_all(&cameras);
    let mut config = Config::new("batch-tenants")
        .with(PATIENT)
        .with("[[tenants]]\nid = 'a'\n[[tenants]]\nid = 'b'");
    for camera in cameras {
        let tenant = &camera[6..7];
        let plugin = plugins_line("company", "");
        config = config.camera(camera, &format!("tenant = '{tenant}'\n{WHOLE}{plugin}"));
    }
    let comux = Comux::run(&config);
    send_to_all(&cameras, &records);
    let mut together = 0;
    for camera in cameras {
        for record in output_of(camera, records.len()) {
            let company = company(&record);
            let own = camera[..8].to_owned();
            assert!(company.iter().all(|other| other.starts_with(&own)), "{company:?}");
            together += usize::from(company.len() == 2);
        }
    }
    assert!(together > 0, "two cameras of one tenant were never in one call");
    let _ = comux.stop();
}

#[test]
fn a_camera_whose_frames_trap_is_found_and_the_others_go_on() {
    let cameras = ["batch-trap-bad", "batch-trap-1", "batch-trap-2"];
    let records = media::lowdelay().records();
    create_all(&cameras);
    let mut config = Config::new("batch-trap").with(PATIENT);
    for camera in cameras {
        // Once open, it stays open.
        let breaker =
            "breaker = { failures = 2, backoff_ms = 600_000, max_backoff_ms = 600_000 }\n";
        let plugin = plugins_line("company", "traps_for = 'batch-trap-bad', traps_from = 30");
        config = config.camera(camera, &format!("{WHOLE}{breaker}{plugin}"));
    }
    let comux = Comux::run(&config);
    send_to_all(&cameras, &records);
    let bad = output_of(cameras[0], records.len());
    let good = [1, 2].map(|number| output_of(cameras[number], records.len()));
    let ended = comux.stop();
    assert!(bad[..30].iter().all(Record::is_analysed), "its frames are as good as others");
    assert!(bad[30..].iter().all(|record| !record.is_analysed()), "its frames trap");
    let failed = bad.iter().filter(|record| record.status().0 == "failed").count();
    assert!((2..=4).contains(&failed), "{failed} frames were tried");
    for (camera, output) in cameras[1..].iter().zip(&good) {
        assert_same_records(&records, output);
        let analysed = output.iter().filter(|record| record.is_analysed()).count();
        // It can have been in the bad one's company before that was called alone.
        assert!(analysed >= records.len() - failed, "{camera}: {analysed} of {}", records.len());
        let sums = ended.sums(camera);
        assert!(sums.balance() && sums.skipped.is_empty(), "nobody else is left out: {sums:?}");
    }
}

#[test]
fn an_error_about_one_frame_is_that_frames_alone() {
    let cameras = ["batch-error-bad", "batch-error-1", "batch-error-2"];
    let records = media::lowdelay().records();
    create_all(&cameras);
    let mut config = Config::new("batch-error").with(PATIENT);
    for camera in cameras {
        let breaker = "breaker = { failures = 1_000_000 }\n";
        let plugin = plugins_line("company", "fails_for = 'batch-error-bad'");
        config = config.camera(camera, &format!("{WHOLE}{breaker}{plugin}"));
    }
    let comux = Comux::run(&config);
    send_to_all(&cameras, &records);
    for record in output_of(cameras[0], records.len()) {
        assert_eq!(record.status(), ("failed", Some("plugin-error")));
    }
    for camera in &cameras[1..] {
        let output = output_of(camera, records.len());
        assert!(output.iter().all(Record::is_analysed));
    }
    let _ = comux.stop();
}

#[test]
fn wrong_numbers_of_answers_and_endless_calls_cost_their_frames_and_nothing_else() {
    // Of an endless call the deadline is waited for; otherwise a busy machine must not run into it.
    for (name, config, reason, deadline_ms) in [
        ("forget", "forgets = 1", "plugin-error", 5_000),
        ("loop", "loops = true", "deadline", 1_000),
    ] {
        let cameras = [format!("batch-{name}-1"), format!("batch-{name}-2")];
        let cameras = [cameras[0].as_str(), cameras[1].as_str()];
        let records = &media::lowdelay().records();
        create_all(&cameras);
        let limits = format!("[limits]\ndeadline_ms = {deadline_ms}");
        let mut whole = Config::new(&format!("batch-{name}")).with(&limits);
        for camera in cameras {
            let plugin = plugins_line("company", config);
            whole = whole.camera(camera, &format!("{WHOLE}{plugin}"));
        }
        let comux = Comux::run(&whole);
        send_to_all(&cameras, records);
        let mut failed = 0;
        for camera in cameras {
            for record in output_of(camera, records.len()) {
                match record.status() {
                    ("analysed", None) => assert_eq!(company(&record).len(), 1, "{name}"),
                    status => {
                        assert_eq!(status, ("failed", Some(reason)), "{name}");
                        failed += 1;
                    }
                }
            }
        }
        // Those that failed together are called alone for a while, and then together again.
        assert!((2..=48).contains(&failed), "{name}: {failed} frames failed");
        let _ = comux.stop();
    }
}

#[test]
fn a_frame_that_is_kept_answers_no_more() {
    let cameras = ["batch-keep-1", "batch-keep-2"];
    let records = media::lowdelay().records();
    create_all(&cameras);
    let mut config = Config::new("batch-keep").with(PATIENT);
    for camera in cameras {
        let plugin = plugins_line("keeper", "");
        let breaker = "breaker = { failures = 1_000_000 }\n";
        config = config.camera(camera, &format!("{WHOLE}{breaker}{plugin}"));
    }
    let comux = Comux::run(&config);
    send_to_all(&cameras, &records);
    let mut trapped = 0;
    for camera in cameras {
        for record in output_of(camera, records.len()) {
            match record.status() {
                ("analysed", None) => assert_eq!(record.header("keeper.learnt"), Some("nothing")),
                status => {
                    assert_eq!(status, ("failed", Some("plugin-trap")));
                    trapped += 1;
                }
            }
        }
    }
    assert!(trapped > 0, "it never asked an old frame");
    let _ = comux.stop();
}

#[test]
fn a_camera_that_falls_silent_is_not_waited_for() {
    let cameras = ["batch-dead-1", "batch-dead-2", "batch-dead-3"].map(str::to_owned);
    let clip = media::lowdelay();
    create_topics(&cameras);
    let mut config = Config::new("batch-dead").with(PATIENT);
    for camera in &cameras {
        let lines = format!(
            "mode = 'live'\nstart = 'beginning'\nmax_offset_diff = 1_000_000\n{}",
            plugins_line("company", "")
        );
        config = config.camera(camera, &lines);
    }
    let comux = Comux::run(&config);
    // Of three cameras one stops for good, while the others go on.
    let lively = Probe::start(&cameras[..2], clip, 15);
    let dying = Probe::start(&cameras[2..], clip, 15);
    std::thread::sleep(Duration::from_secs(4));
    let (sent_before, _) = dying.stop();
    std::thread::sleep(Duration::from_secs(4));
    let (sent, samples) = lively.stop();
    let _ = comux.stop();
    assert!(sent > sent_before);
    for samples in &samples {
        assert_eq!(samples.len(), sent, "all come");
        let lost: Vec<_> = samples.iter().filter_map(|sample| sample.lost.as_ref()).collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
    let last = output_of("batch-dead-1", sent).pop().unwrap();
    assert!(!company(&last).contains("batch-dead-3"), "it is gone");
}

#[test]
fn plugins_are_swapped_for_one_that_takes_batches_and_back() {
    let Controlled { comux, mut control, .. } =
        controlled_with("batch-swap", &["company", "brightness"], PATIENT);
    let cameras = ["batch-swap-1", "batch-swap-2", "batch-swap-3"];
    let clip = media::bframes();
    let feed = feed_all(&cameras, clip);
    for id in cameras {
        control.done("create", camera(id, json!([{ "source": "brightness.wasm" }])));
    }
    feed.wait_for_more(30);
    let swap = |control: &mut comux_tests::control::Control, to: &str| {
        let plugin = json!({ "source": format!("{to}.wasm") });
        for id in cameras {
            control.done("deploy", json!({ "id": id, "plugin": plugin, "probation": 5 }));
        }
    };
    swap(&mut control, "company");
    feed.wait_for_more(50);
    swap(&mut control, "brightness");
    feed.wait_for_more(20);
    let outputs = all_output(feed, clip, (comux, &mut control), &cameras);
    let mut together = 0;
    for output in &outputs {
        for record in output {
            assert_eq!(record.status(), ("analysed", None));
            let by = (record.header("company.mean"), record.header("brightness.mean"));
            assert!(by.0.is_some() != by.1.is_some(), "one version each: {by:?}");
            together += usize::from(company(record).len() > 1);
        }
    }
    assert!(together > 0, "they were never in one call");
}

#[test]
fn a_plugin_with_batches_and_a_state_is_refused() {
    let Controlled { comux, mut control, .. } = controlled_with("batch-both", &["both"], "");
    let value = camera("batch-both", json!([{ "source": "both.wasm" }]));
    control.refused("create", value, "refused", &["`batch-hook` and `state`", "leave out one"]);
    let _ = comux.stop();
}
