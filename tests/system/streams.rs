//! What cameras send, and what becomes of it on its way to Kafka: every picture that can be right
//! is analysed, and none that is not.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use comux_tests::PATIENCE;
use comux_tests::control::Control;
use comux_tests::media::{self, Clip};
use comux_tests::nal;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Record, consume, produce};
use serde_json::{Value, json};

use crate::live::{camera, controlled, only};
use crate::promises::{assert_all_means, assert_close, assert_means, assert_same_records, topics};

/// The pictures between two key frames of the B-frame clip.
const GROUP: usize = 20;

/// A camera's records, and what must hold of what comes out.
struct Case {
    name: &'static str,
    clip: &'static Clip,
    records: Vec<Record>,
    check: Box<Check>,
}

type Check = dyn Fn(&Clip, &[Record]);

impl Case {
    fn new(
        name: &'static str,
        clip: &'static Clip,
        records: Vec<Record>,
        check: impl Fn(&Clip, &[Record]) + 'static,
    ) -> Self {
        Self { name, clip, records, check: Box::new(check) }
    }
}

fn status(output: &[Record], numbers: impl IntoIterator<Item = usize>, expected: &str) {
    for number in numbers {
        let (status, reason) = output[number].status();
        let found = reason.map_or(status.to_owned(), |reason| format!("{status}:{reason}"));
        assert_eq!(found, expected, "record {number}");
    }
}

/// A record of the clip is lost that others need: the first of those fails, and the rest wait for
/// the next key frame. `lost` is a picture of the group that begins at `key` and ends at `next`.
fn without(clip: &'static Clip, name: &'static str, lost: usize) -> Case {
    let mut records = clip.records();
    records.remove(lost);
    let keys = clip.packets.iter().enumerate().filter(|(_, packet)| packet.keyframe);
    let next = keys.map(|(number, _)| number).find(|&number| number > lost).unwrap() - 1;
    Case::new(name, clip, records, move |clip, output| {
        assert_means(clip, output);
        let failed = output.iter().position(|record| !record.is_analysed()).unwrap();
        assert!((lost..next).contains(&failed), "{failed} is the first that can't be right");
        status(output, [failed], "failed:decode-error");
        status(output, failed + 1..next, "skipped:no-keyframe");
        // Leading pictures need what was before the key frame.
        let shown = |record: &Record| record.header("pts").unwrap().parse::<i64>().unwrap();
        let key = shown(&output[next]);
        let (leading, others): (Vec<Record>, Vec<Record>) =
            output[next..].iter().take(GROUP).cloned().partition(|record| shown(record) < key);
        status(&leading, 0..leading.len(), "skipped:no-keyframe");
        assert_all_means(clip, &others);
        assert_all_means(clip, &output[(next + GROUP).min(output.len())..]);
    })
}

/// Parameter sets stand where this puts them, given the units of each record.
fn moved_sets(clip: &Clip, place: impl Fn(usize, &mut Vec<Vec<u8>>, &[Vec<u8>])) -> Vec<Record> {
    let hevc = clip.codec == "h265";
    let mut records = clip.records();
    let mut sets = Vec::new();
    for (number, record) in records.iter_mut().enumerate() {
        let units = nal::units(record.value.as_ref().unwrap());
        let (own, mut others): (Vec<_>, Vec<_>) = units
            .into_iter()
            .map(<[u8]>::to_vec)
            .partition(|unit| nal::is_parameter_set(unit, hevc));
        if sets.is_empty() {
            sets = own;
        }
        place(number, &mut others, &sets);
        let units: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
        record.value = Some(nal::annexb(&units));
    }
    records
}

/// Each packet is a whole picture; the samples say how bright it is.
fn png() -> Case {
    const SIDE: usize = 64;
    const LEVELS: [u8; 6] = [10, 200, 60, 120, 30, 250];
    static CLIP: OnceLock<Clip> = OnceLock::new();
    let clip = CLIP.get_or_init(|| {
        let samples: Vec<u8> =
            LEVELS.iter().flat_map(|&level| std::iter::repeat_n(level, SIDE * SIDE)).collect();
        Clip::encoded("png", &samples, ("gray", "64x64"), &["-c:v", "png"])
    });
    Case::new("png", clip, clip.records(), |_, output| {
        for (number, (record, level)) in output.iter().zip(LEVELS).enumerate() {
            assert_close(number, record.number("brightness.mean"), level.into());
        }
    })
}

fn cases() -> Vec<Case> {
    let all = |clip: &Clip, output: &[Record]| assert_all_means(clip, output);
    let bframes = media::bframes();
    let refreshed = media::refreshed();

    let mut twice = bframes.records()[..60].to_vec();
    twice.insert(26, twice[25].clone());
    twice.insert(41, twice[40].clone());
    let twice = Case::new("twice", bframes, twice, |clip, output| {
        status(output, [26, 41], "skipped:repeated");
        let others: Vec<Record> = [&output[..26], &output[27..41], &output[42..]].concat().to_vec();
        assert_all_means(clip, &others);
    });

    let joined = Case::new(
        "refresh-joined",
        refreshed,
        refreshed.records()[7..].to_vec(),
        |clip, output| {
            assert_means(clip, output);
            let right = output.iter().position(Record::is_analysed).expect("a picture");
            assert!((10..60).contains(&right), "right from {right} on");
            status(output, 0..right, "skipped:no-keyframe");
            assert_all_means(clip, &output[right..]);
        },
    );
    let mut lossy = refreshed.records();
    lossy.remove(50);
    let lossy = Case::new("refresh-lost", refreshed, lossy, |clip, output| {
        assert_means(clip, output);
        status(output, [50], "failed:decode-error");
        assert_all_means(clip, &output[..50]);
        let right = 50 + output[50..].iter().position(Record::is_analysed).expect("a picture");
        assert_all_means(clip, &output[right..]);
    });

    let sliced = media::sliced();
    let mut torn = sliced.records();
    let units = nal::units(&sliced.packets[25].data);
    let slices = units.iter().filter(|unit| (unit[0] >> 1) & 0x3f < 32).count();
    assert_eq!(slices, 4, "slices of a picture");
    let kept = [&units[..units.len() - 2], &units[units.len() - 1..]].concat();
    torn[25].value = Some(nal::annexb(&kept));
    let torn = Case::new("slice-lost", sliced, torn, |clip, output| {
        assert_means(clip, output);
        status(output, [25], "failed:decode-error");
        assert!(output[26..40].iter().all(|record| !record.is_analysed()), "they build on it");
        assert_all_means(clip, &output[..25]);
        assert_all_means(clip, &output[40..]);
    });

    let mut cut = media::mjpeg().records();
    for record in cut.iter_mut().skip(3).step_by(4) {
        let whole = record.value.as_mut().unwrap();
        whole.truncate(whole.len() * 6 / 10);
    }
    let cut = Case::new("mjpeg-cut", media::mjpeg(), cut, |clip, output| {
        assert_means(clip, output);
        status(output, (3..output.len()).step_by(4), "failed:decode-error");
        status(output, (0..output.len()).step_by(4), "analysed");
    });

    let once = moved_sets(bframes, |number, units, sets| {
        if number == 0 {
            units.splice(..0, sets.iter().cloned());
        }
    });
    let behind = moved_sets(bframes, |number, units, sets| {
        if number % GROUP == GROUP - 1 {
            units.extend(sets.iter().cloned());
        }
    });
    let behind = Case::new("sets-behind", bframes, behind[GROUP - 1..].to_vec(), |clip, output| {
        status(output, [0], "skipped:no-keyframe");
        assert_all_means(clip, &output[1..]);
    });

    let two_in_one = {
        let mut records = bframes.records();
        let second = records.remove(31).value.unwrap();
        records[30].value.as_mut().unwrap().extend(second);
        Case::new("two-in-one", bframes, records, |clip, output| {
            assert_means(clip, output);
            status(output, [30], "failed:several-pictures");
            assert_all_means(clip, &output[39..]);
        })
    };

    vec![
        without(bframes, "h264-lost", 25),
        without(media::lowdelay(), "h264-delta-lost", 33),
        without(media::hevc(), "h265-lost", 33),
        twice,
        joined,
        lossy,
        torn,
        cut,
        two_in_one,
        behind,
        png(),
        Case::new("sets-once", bframes, once, all),
    ]
}

#[test]
fn what_can_be_right_is_analysed_and_what_can_not_is_not() {
    let mut config = Config::new("streams");
    let mut cameras = Vec::new();
    for threads in [1, 4] {
        for case in cases() {
            let camera = format!("streams-{}-{threads}", case.name);
            produce(&topics(&camera).0, &case.records);
            let lines = format!(
                "codec = '{}'\nmode = 'every-frame'\nstart = 'beginning'\ndecode_threads = \
                 {threads}\n{}",
                case.clip.codec,
                plugins_line("brightness", "")
            );
            config = config.camera(&camera, &lines);
            cameras.push((camera, case));
        }
    }
    let comux = Comux::run(&config);
    for (camera, case) in &cameras {
        println!("{camera}");
        let output = consume(&format!("stream_{camera}"), case.records.len());
        assert_same_records(&case.records, &output);
        (case.check)(case.clip, &output);
    }
    let ended = comux.stop();
    for (camera, _) in cameras {
        assert!(ended.sums(&camera).balance(), "{camera}");
    }
}

/// The sets come once, before the camera gets its plugin.
#[test]
fn parameter_sets_are_learned_while_nothing_is_analysed_and_known_after_a_restart() {
    let clip = media::bframes();
    let records = moved_sets(clip, |number, units, sets| {
        if number == 0 {
            units.splice(..0, sets.iter().cloned());
        }
    });
    let name = "streams-sets";
    let (input, output) = topics(name);
    let camera = |plugins: &str| {
        Config::new(name)
            .camera(name, &format!("mode = 'every-frame'\nstart = 'beginning'\n{plugins}"))
    };
    let home = comux_tests::home::Home::new();
    produce(&input, &records[..50]);
    let comux = Comux::run_in(&home, &camera(""));
    let passed = consume(&output, 50);
    status(&passed, 0..50, "passthrough");
    comux.stop();
    produce(&input, &records[50..110]);
    let comux = Comux::run_in(&home, &camera(&plugins_line("brightness", "")));
    let out = consume(&output, 110);
    // Killed, it has to begin again where it was committed, and no set ever came to this process.
    comux.kill();
    assert_all_means(clip, &out[60..]);
    produce(&input, &records[110..]);
    let comux = Comux::run_in(&home, &camera(&plugins_line("brightness", "")));
    let out = consume(&output, records.len());
    assert_all_means(clip, &out[110..]);
    comux.stop();
}

/// All clips here have more pixels than one tenant may have, and some as many as the other may.
#[test]
fn pictures_larger_than_the_quota_are_not_decoded_and_the_reason_says_so() {
    static PNG: OnceLock<Clip> = OnceLock::new();
    let png = PNG.get_or_init(|| {
        Clip::encoded("png", &[50; 192 * 144], ("gray", "192x144"), &["-c:v", "png"])
    });
    let clips = [media::bframes(), media::hevc(), media::vp8(), media::vp9(), media::av1()];
    let clips = [&clips[..], &[media::mjpeg(), png]].concat();
    let tenants = format!(
        "[quota]\nframe_pixels = {}\n[[tenants]]\nid = 'small'\nquota = {{ frame_pixels = {} }}\n\
         [[tenants]]\nid = 'large'",
        768 * 576,
        192 * 144 - 1
    );
    let mut config = Config::new("streams-size").with(&tenants);
    let mut cameras = Vec::new();
    for clip in clips {
        for tenant in ["small", "large"] {
            let camera = format!("size-{}-{tenant}", clip.codec);
            produce(&topics(&camera).0, &clip.records());
            let lines = format!(
                "codec = '{}'\ntenant = '{tenant}'\nmode = 'every-frame'\nstart = 'beginning'\n{}",
                clip.codec,
                plugins_line("brightness", "")
            );
            config = config.camera(&camera, &lines);
            cameras.push((camera, clip, tenant));
        }
    }
    let comux = Comux::run(&config);
    for (camera, clip, tenant) in cameras {
        println!("{camera}");
        let records = clip.records();
        let output = consume(&format!("stream_{camera}"), records.len());
        assert_same_records(&records, &output);
        let fail = |record: &&Record| record.status() == ("failed", Some("too-large"));
        let failed = output.iter().filter(fail).count();
        if tenant == "large" {
            assert_eq!(failed, 0);
            assert!(output.iter().any(Record::is_analysed));
        } else {
            assert!(output[0].status() == ("failed", Some("too-large")));
            assert!(!output.iter().any(Record::is_analysed));
        }
    }
    comux.stop();
}

fn wait_for_phase(control: &mut Control, camera: &str, phase: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = control.status(camera);
        if status["phase"] == phase {
            return status;
        }
        assert!(Instant::now() < deadline, "{camera} is not {phase}: {status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What comes on a camera again and again, of which nothing can be made; and words of why.
fn troubles() -> Vec<(&'static str, &'static str, Vec<Record>, &'static str)> {
    let (bframes, sliced) = (media::bframes(), media::sliced());
    let no_sets = moved_sets(bframes, |_, _, _| {});
    let slices = sliced.records().into_iter().flat_map(|record| {
        let units = nal::units(record.value.as_ref().unwrap()).into_iter();
        let units: Vec<Vec<u8>> = units.map(|unit| nal::annexb(&[unit])).collect();
        units.into_iter().map(move |unit| Record { value: Some(unit), ..record.clone() })
    });
    let records = bframes.records();
    let pairs = records.chunks_exact(2).map(|pair| {
        let value = [pair[0].value.clone().unwrap(), pair[1].value.clone().unwrap()].concat();
        Record { value: Some(value), ..pair[0].clone() }
    });
    let pairs: Vec<Record> = pairs.collect();
    vec![
        ("codec", "h264", media::hevc().records(), "H.265"),
        ("jpeg", "h265", media::mjpeg().records(), "mjpeg"),
        ("no-key", "h264", records[1..GROUP].to_vec(), "key frame"),
        ("no-sets", "h264", no_sets, "parameter sets"),
        ("slices", "h265", slices.collect(), "single slices"),
        ("pairs", "h264", pairs, "more than one picture"),
    ]
}

#[test]
fn a_camera_that_nothing_can_be_made_of_says_so_and_why() {
    let mut test = controlled("streams-trouble", &["brightness"]);
    let troubles = troubles();
    let camera_of = |name: &str| format!("trouble-{name}");
    for (name, codec, ..) in &troubles {
        topics(&camera_of(name));
        let mut spec = camera(&camera_of(name), only("brightness"));
        spec["codec"] = json!(codec);
        test.control.done("create", spec);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut open: Vec<usize> = (0..troubles.len()).collect();
    for turn in 0.. {
        for (name, _, records, _) in &troubles {
            let some = records.iter().cycle().skip(turn * 10 % records.len()).take(10);
            produce(&format!("raw_{}", camera_of(name)), some);
        }
        open.retain(|&index| {
            let (name, _, _, words) = &troubles[index];
            let status = test.control.status(&camera_of(name));
            if status["phase"] != "no-analysis" {
                assert!(Instant::now() < deadline, "{name}: {status}");
                return true;
            }
            let trouble = status["trouble"].as_str().unwrap();
            assert!(trouble.contains(words), "{name}: {trouble}");
            false
        });
        if open.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let mended = json!({ "id": camera_of("codec"), "codec": "h265" });
    test.control.done("update", mended);
    produce(&format!("raw_{}", camera_of("codec")), &media::hevc().records());
    wait_for_phase(&mut test.control, &camera_of("codec"), "running");
    test.comux.stop();
}
