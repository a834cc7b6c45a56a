//! Whatever stands on the topic passes through with a reason; the camera recovers at the next key
//! frame, its neighbours notice nothing, and memory stays flat.

use comux_tests::media::{self, Clip};
use comux_tests::nal;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Reader, Record, consume, produce, produce_with_raw_header};
use comux_tests::repetitions;

use crate::promises::{assert_all_means, assert_documented, assert_same_records, topics};

/// The pictures between two key frames of the B-frame clip.
const GROUP: usize = 20;

/// Bytes that mean nothing; the same ones each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

/// A slice that begins as one of this stream and goes on as noise.
fn noise_in_a_slice(key_packet: &[u8], length: usize) -> Vec<u8> {
    let units = nal::units(key_packet);
    let slice = units.last().expect("a slice");
    // No start code must come about by chance.
    let noise = noise(length).into_iter().map(|byte| byte | 1);
    nal::annexb(&[&slice.iter().take(40).copied().chain(noise).collect::<Vec<u8>>()])
}

/// A record that is no picture, and how it may be judged.
struct Bad {
    name: &'static str,
    record: Record,
    reasons: &'static [&'static str],
}

fn bad_records() -> Vec<Bad> {
    let clip = media::bframes();
    let key = &clip.packets[GROUP].data;
    let delta = &clip.packets[GROUP + 1].data;
    let bad = |name, value: Vec<u8>, reasons| Bad { name, record: Record::of(value), reasons };
    let parameter_sets: Vec<&[u8]> =
        nal::units(key).into_iter().filter(|unit| nal::is_parameter_set(unit, false)).collect();
    let null = Bad {
        name: "null",
        record: Record { value: None, ..Record::of("") },
        reasons: &["not-video"],
    };
    vec![
        null,
        bad("empty", Vec::new(), &["not-video"]),
        bad("random", noise(4000), &["not-video"]),
        bad("truncated-key", key[..key.len() / 2].to_vec(), &["decode-error"]),
        bad("truncated", delta[..delta.len() / 2].to_vec(), &["decode-error"]),
        bad("jpeg", media::jpeg(), &["not-video"]),
        bad("parameter-sets", nal::annexb(&parameter_sets), &["no-picture"]),
        bad("5-MB-random", noise(5 << 20), &["not-video"]),
        bad("5-MB-slice", noise_in_a_slice(key, 5 << 20), &["decode-error"]),
    ]
}

fn camera_lines() -> String {
    format!("mode = 'every-frame'\nstart = 'beginning'\n{}", plugins_line("brightness", ""))
}

#[test]
fn a_header_whose_name_is_no_text_passes_like_any_other() {
    let clip = media::bframes();
    let (input, output) = topics("bad-header-name");
    let good = clip.records();
    produce_with_raw_header(&input, &good[0], b"\xff\xfe");
    produce(&input, &good[1..GROUP]);
    let comux =
        Comux::run(&Config::new("bad-header-name").camera("bad-header-name", &camera_lines()));
    let out = consume(&output, GROUP);
    assert_eq!(out[0].headers[0], ("\\xff\\xfe".to_owned(), None));
    assert_all_means(clip, &out);
    comux.stop();
}

/// Each bad record stands once between two groups of pictures and once in the middle of one.
#[test]
fn bad_records_pass_and_the_camera_recovers_at_the_next_key_frame() {
    let clip = media::bframes();
    let good = clip.records();
    let mut config = Config::new("bad").camera("bad-neighbour", &camera_lines());
    produce(&topics("bad-neighbour").0, &good);
    let mut inputs = Vec::new();
    for Bad { name, record, reasons } in bad_records() {
        let camera = format!("bad-{name}");
        let between = GROUP;
        let in_the_middle = 2 * GROUP + GROUP / 2;
        let mut input = good[..4 * GROUP].to_vec();
        input.insert(in_the_middle, record.clone());
        input.insert(between, record);
        produce(&topics(&camera).0, &input);
        config = config.camera(&camera, &camera_lines());
        inputs.push((name, input, reasons));
    }
    let comux = Comux::run(&config);
    assert_all_means(clip, &consume("stream_bad-neighbour", good.len()));
    let mut cameras = Vec::new();
    for (name, input, reasons) in inputs {
        let output = consume(&format!("stream_bad-{name}"), input.len());
        cameras.push((name, input, reasons, output));
    }
    let ended = comux.stop();
    for (name, input, reasons, output) in cameras {
        println!("{name}");
        assert_same_records(&input, &output);
        let (first, second) = (GROUP, 2 * GROUP + GROUP / 2 + 1);
        for number in [first, second] {
            let (_, reason) = output[number].status();
            assert!(
                reason.is_some_and(|reason| reasons.contains(&reason)),
                "{name}: record {number}: {:?}",
                output[number].status()
            );
        }
        let recovered = 3 * GROUP + 2;
        assert_all_means(clip, &output[first + 1..first + 1 + GROUP]);
        assert_all_means(clip, &output[recovered..]);
        let sums = ended.sums(&format!("bad-{name}"));
        assert!(sums.balance() && sums.received == input.len() as u64, "{name}: {sums:?}");
    }
}

#[test]
fn a_record_with_a_header_of_100_kb_is_analysed_like_any_other() {
    let clip = media::bframes();
    let mut records = clip.records()[..2 * GROUP].to_vec();
    for number in [GROUP / 2, GROUP] {
        records[number].headers.push(("big".to_owned(), Some(noise(100 << 10))));
    }
    let (input, output) = topics("bad-header");
    produce(&input, &records);
    let comux = Comux::run(&Config::new("bad-header").camera("bad-header", &camera_lines()));
    let result = consume(&output, records.len());
    comux.stop();
    assert_same_records(&records, &result);
    assert_all_means(clip, &result);
}

/// 40 pictures of the usual stream, then 20 of another, then 20 of the usual one.
fn a_change_is_followed(camera: &str, other: &Clip) {
    let clip = media::bframes();
    let usual = clip.records();
    let changes = [&usual[..2 * GROUP], &other.records(), &usual[2 * GROUP..3 * GROUP]];
    let (input, output) = topics(camera);
    let records = changes.concat();
    produce(&input, &records);
    let comux = Comux::run(&Config::new(camera).camera(camera, &camera_lines()));
    let result = consume(&output, records.len());
    comux.stop();
    assert_same_records(&records, &result);
    assert_all_means(clip, &result[..2 * GROUP]);
    assert_all_means(other, &result[2 * GROUP..3 * GROUP]);
    assert_all_means(clip, &result[3 * GROUP..]);
}

#[test]
fn a_change_of_resolution_is_followed_without_losing_a_picture() {
    a_change_is_followed("change-size", media::other_size());
}

#[test]
fn a_change_of_parameter_sets_is_followed_without_losing_a_picture() {
    a_change_is_followed("change-sets", media::other_parameter_sets());
}

#[test]
fn memory_stays_flat_over_thousands_of_bad_records() {
    const STEP: usize = 1000;
    let all = repetitions(14 * STEP, 50 * STEP);
    // Key frames between them, so that the decoder has something to lose; nothing of 5 MB, and the
    // same key frame each time.
    let key = media::other_size().records()[0].clone();
    let mut cycle: Vec<Record> = bad_records().into_iter().map(|bad| bad.record).collect();
    cycle.retain(|record| record.value.as_ref().is_none_or(|value| value.len() < 1 << 20));
    cycle.push(key);
    let records: Vec<&Record> = cycle.iter().cycle().take(all).collect();

    let (input, output) = topics("bad-many");
    let comux = Comux::run(&Config::new("bad-many").camera("bad-many", &camera_lines()));
    let mut reader = Reader::new(&output);
    let mut memory = Vec::new();
    let mut measure = |memory: &mut Vec<i64>| {
        for step in records.chunks(STEP) {
            produce(&input, step.iter().copied());
            for (number, (sent, record)) in step.iter().zip(reader.take(STEP)).enumerate() {
                assert!(sent.value == record.value, "record {number}");
                assert_documented(number, &record);
            }
            memory.push(comux.memory().cast_signed());
        }
        println!("{memory:?}");
        let usual = usual_growth(memory);
        println!("memory grew by {} KiB in {STEP} records, as a rule", usual >> 10);
        // Less than the smallest of what is kept for a record, if it were kept.
        usual < 800 * STEP as i64
    };
    // An allocator that takes some megabytes late looks like growth, and no longer does in thrice
    // the time; what grows goes on.
    let is_flat = measure(&mut memory) || {
        measure(&mut memory);
        measure(&mut memory)
    };
    let sums = comux.stop().sums("bad-many");
    let all = memory.len() * STEP;
    assert!(sums.balance() && sums.received == all as u64, "{sums:?}");
    assert!(is_flat, "{memory:?}");
}

/// By how much memory grows from one measurement to the next. What is kept for a record, if it were
/// kept, makes it grow from any to any later one; decoders that come and go make it go up and down,
/// and allocators take some steps until they have enough. The median of all slopes is that of Theil
/// and Sen.
fn usual_growth(memory: &[i64]) -> i64 {
    let memory = &memory[memory.len() / 3..];
    let pairs = (0..memory.len()).flat_map(|to| (0..to).map(move |from| (from, to)));
    let slope = |(from, to): (usize, usize)| (memory[to] - memory[from]) / (to - from) as i64;
    let mut slopes: Vec<i64> = pairs.map(slope).collect();
    slopes.sort_unstable();
    slopes[slopes.len() / 2]
}
