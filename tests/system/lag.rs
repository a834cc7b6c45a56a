//! What a camera does that can't keep up: `live` skips analysis to a key frame, `every-frame`
//! leaves the rest with the broker.

use std::time::{Duration, SystemTime};

use comux_tests::control::Control;
use comux_tests::media::{self, Clip};
use comux_tests::nal;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Reader, Record, consume, produce};
use serde_json::json;

use crate::live::{Controlled, all_output, camera, controlled_with, feed_all, only};
use crate::promises::{assert_same_records, topics};

/// About 20 ms for each frame.
const SLOW: &str = "spin = 20_000_000";
/// So much that a busy machine does not turn slow into stopped.
const PATIENT: &str = "[limits]\ndeadline_ms = 10_000";

fn looped(clip: &Clip, times: usize) -> Vec<Record> {
    std::iter::repeat_with(|| clip.records()).take(times).flatten().collect()
}

#[test]
fn a_live_camera_that_lags_goes_on_at_a_key_frame_and_passes_every_record() {
    let clip = media::lowdelay();
    let (input, output) = topics("lag-live");
    let config = Config::new("lag-live").with(PATIENT).camera(
        "lag-live",
        &format!(
            "mode = 'live'\nstart = 'beginning'\nmax_offset_diff = 20\n{}",
            plugins_line("slow", SLOW)
        ),
    );
    let comux = Comux::run(&config);
    let records = looped(clip, 3);
    let mut reader = Reader::new(&output);
    let mut result = Vec::new();
    // First it keeps up, then it is overrun, then it keeps up again.
    for burst in [0..20, 20..620, 620..640, 640..720] {
        produce(&input, &records[burst.clone()]);
        result.extend(reader.take(burst.len()));
    }
    let sums = comux.stop().sums("lag-live");
    assert_same_records(&records, &result);
    assert!(sums.balance(), "{sums:?}");
    assert_eq!(sums.received, 720);
    assert!(sums.failed.is_empty() && sums.skipped.keys().eq(["lag"]), "{sums:?}");

    assert!(result[..20].iter().all(Record::is_analysed), "it keeps up with the first 20");
    assert!(result[620..640].iter().all(Record::is_analysed), "and again later");
    let lagged = result.iter().filter(|it| it.status() == ("skipped", Some("lag"))).count();
    assert_eq!(sums.skipped["lag"], lagged as u64);
    for pair in result.windows(2) {
        if !pair[0].is_analysed() && pair[1].is_analysed() {
            assert_eq!(pair[1].header("comux-keyframe"), Some("1"), "goes on at a key frame");
        }
    }
}

#[test]
fn an_every_frame_camera_that_lags_skips_nothing_in_bounded_memory() {
    let clip = media::lowdelay();
    let (input, output) = topics("lag-every-frame");
    // 240 MB, most of it filler that decoders pass over.
    let filler = nal::annexb(&[&nal::h264_filler(1 << 20)]);
    let mut records = clip.records();
    for record in &mut records {
        record.value.as_mut().unwrap().extend_from_slice(&filler);
    }
    let config = Config::new("lag-every-frame").with(PATIENT).camera(
        "lag-every-frame",
        &format!("mode = 'every-frame'\nstart = 'beginning'\n{}", plugins_line("slow", SLOW)),
    );
    let comux = Comux::run(&config);
    let idle = comux.memory();
    produce(&input, &records);
    let mut reader = Reader::new(&output);
    let result = reader.take(records.len());
    let grown = comux.peak_memory() - idle;
    let sums = comux.stop().sums("lag-every-frame");
    assert_same_records(&records, &result);
    assert_eq!(sums.analysed, 240, "{sums:?}");
    assert!(sums.balance(), "{sums:?}");
    assert!(grown < 120 << 20, "memory grew by {} MiB", grown >> 20);
}

/// An hour is more than any machine is busy for, and less than the records are old.
#[test]
fn a_live_camera_skips_records_that_are_too_old_and_an_every_frame_camera_none() {
    let clip = media::lowdelay();
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    // No further ahead than the broker takes.
    let [old, new, ahead] = [now - 2 * hour, now, now + hour / 2];
    let mut records = looped(clip, 1);
    for (number, record) in records.iter_mut().enumerate() {
        let made = match number {
            30..70 => old,
            120.. => ahead,
            _ => new,
        };
        record.timestamp = i64::try_from(made.as_millis()).unwrap();
    }
    // Key frames are 20 apart.
    let next_key = 80;
    assert!(clip.packets[next_key].keyframe && !clip.packets[70].keyframe);
    for mode in ["live", "every-frame"] {
        let name = format!("lag-age-{mode}");
        let (input, output) = topics(&name);
        produce(&input, &records);
        let lines = format!(
            "mode = '{mode}'\nstart = 'beginning'\nmax_offset_diff = 1_000_000\n\
             max_age_ms = 3_600_000\n{}",
            plugins_line("brightness", "")
        );
        let comux = Comux::run(&Config::new(&name).with(PATIENT).camera(&name, &lines));
        let result = consume(&output, records.len());
        let sums = comux.stop().sums(&name);
        assert_same_records(&records, &result);
        assert!(sums.balance(), "{sums:?}");
        for (number, record) in result.iter().enumerate() {
            let is_late = mode == "live" && (30..next_key).contains(&number);
            let expected = if is_late { ("skipped", Some("lag")) } else { ("analysed", None) };
            assert_eq!(record.status(), expected, "{mode}: record {number}");
        }
    }
}

#[test]
fn a_tenant_sets_how_old_records_may_be_while_its_camera_runs() {
    let clip = media::lowdelay();
    let tenants = &format!("[[tenants]]\nid = 'acme'\n{PATIENT}");
    let Controlled { comux, mut control, names, home: _home } =
        controlled_with("lag-age-update", &["brightness"], tenants);
    let mut acme = Control::new(&names.of_tenant("acme"));
    let id = "lag-age-update";
    let mut value = camera(id, only("brightness"));
    value["tenant"] = json!("acme");
    let feed = feed_all(&[id], clip);
    control.done("create", value);
    feed.wait_for_more(30);
    // The clip's records are of 2023.
    acme.done("update", json!({ "id": id, "max_age_ms": 60_000 }));
    assert_eq!(acme.status(id)["spec"]["max_age_ms"], 60_000);
    feed.wait_for_more(30);
    acme.refused("update", json!({ "id": id, "max_age_ms": 0 }), "invalid", &["max_age_ms"]);
    acme.done("update", json!({ "id": id, "max_age_ms": null }));
    feed.wait_for_more(30);

    let output = all_output(feed, clip, (comux, &mut control), &[id]).remove(0);
    let mut runs: Vec<(&str, Option<&str>)> = output.iter().map(Record::status).collect();
    runs.dedup();
    assert_eq!(runs, [("analysed", None), ("skipped", Some("lag")), ("analysed", None)]);
    let resumed = output.iter().rposition(|it| !it.is_analysed()).unwrap() + 1;
    assert_eq!(output[resumed].header("comux-keyframe"), Some("1"), "goes on at a key frame");
}
