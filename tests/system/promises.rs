//! What several tests demand of comux's output, and the topics of a camera.

use comux_tests::media::Clip;
use comux_tests::records::Record;
use comux_tests::topics::create_topics;

/// How far a header with three decimals may be from the mean.
const TOLERANCE: f64 = 0.001;

/// The reasons that are documented, by status.
const REASONS: [(&str, &[&str]); 2] = [
    (
        "skipped",
        &["rate", "lag", "no-keyframe", "no-picture", "paused", "quarantined", "quota", "repeated"],
    ),
    (
        "failed",
        &[
            "not-video",
            "decode-error",
            "several-pictures",
            "too-large",
            "plugin-error",
            "plugin-trap",
            "no-plugin",
            "deadline",
            "memory",
            "output",
            "refused",
        ],
    ),
];

/// The topics of a camera, created: packets in and packets out.
pub fn topics(camera: &str) -> (String, String) {
    let (input, output) = (format!("raw_{camera}"), format!("stream_{camera}"));
    create_topics(&[&input, &output], 1, &[]);
    (input, output)
}

/// Each input record came out as it went in, at its place, with headers added behind its own, and
/// with a status and, where it was not analysed, a documented reason.
pub fn assert_same_records(input: &[Record], output: &[Record]) {
    assert_eq!(input.len(), output.len(), "as many records out as in");
    for (number, (before, after)) in input.iter().zip(output).enumerate() {
        assert!(before.key == after.key, "record {number}: key");
        assert!(before.value == after.value, "record {number}: value");
        assert_eq!(before.timestamp, after.timestamp, "record {number}: timestamp");
        let own = after.headers.get(..before.headers.len());
        assert!(own == Some(&before.headers[..]), "record {number}: its own headers");
        assert_documented(number, after);
    }
}

/// The status and reason of a record are documented ones.
pub fn assert_documented(number: usize, record: &Record) {
    match record.status() {
        ("analysed" | "passthrough", None) => {}
        (status, Some(reason))
            if REASONS.iter().any(|(of, reasons)| *of == status && reasons.contains(&reason)) => {}
        other => panic!("record {number}: status and reason {other:?}"),
    }
}

/// `brightness.mean` of each record that was analysed is that of the picture in its own packet, and
/// no other record has one. Returns how many were analysed.
pub fn assert_means(clip: &Clip, output: &[Record]) -> usize {
    let mut analysed = 0;
    for (number, record) in output.iter().enumerate() {
        if record.is_analysed() {
            analysed += 1;
            assert_mean(clip, number, record);
        } else {
            assert_eq!(record.header("brightness.mean"), None, "record {number}");
        }
    }
    analysed
}

/// As [`assert_means`], and every record was analysed.
pub fn assert_all_means(clip: &Clip, output: &[Record]) {
    for (number, record) in output.iter().enumerate() {
        assert_eq!(record.status(), ("analysed", None), "record {number}");
    }
    assert_means(clip, output);
}

/// `brightness.mean` of a record is that of the picture in it.
pub fn assert_mean(clip: &Clip, number: usize, record: &Record) {
    let pts = record.header("pts").expect("the input says its time").parse().unwrap();
    let expected = clip.mean(pts).unwrap_or_else(|| panic!("record {number} shows no picture"));
    assert_close(number, record.number("brightness.mean"), expected);
}

/// A mean in a header is `expected`.
pub fn assert_close(number: usize, found: f64, expected: f64) {
    let difference = (found - expected).abs();
    // The header is rounded, so that a difference of exactly the tolerance is none.
    assert!(
        difference <= TOLERANCE + f64::EPSILON * 256.0,
        "record {number}: its picture's mean is {expected}, brightness.mean says {found}"
    );
}

/// `comux-source` of the outputs: offsets `first` to `first + output.len()`, in order.
pub fn assert_sources(topic: &str, first: usize, output: &[Record]) {
    for (offset, record) in (first..).zip(output) {
        let source = format!("{topic}/0/{offset}");
        assert_eq!(record.header("comux-source"), Some(source.as_str()));
    }
}
