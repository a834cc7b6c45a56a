//! What a camera does that can't keep up: `live` skips analysis to a key frame, `every-frame`
//! leaves the rest with the broker.

use comux_tests::media::{self, Clip};
use comux_tests::nal;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Reader, Record, produce};

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
    let idle = comux.memory("VmRSS");
    produce(&input, &records);
    let mut reader = Reader::new(&output);
    let result = reader.take(records.len());
    let grown = comux.memory("VmHWM") - idle;
    let sums = comux.stop().sums("lag-every-frame");
    assert_same_records(&records, &result);
    assert_eq!(sums.analysed, 240, "{sums:?}");
    assert!(sums.balance(), "{sums:?}");
    assert!(grown < 120 << 20, "memory grew by {} MiB", grown >> 20);
}
