//! Every record in, every record out: the same bytes in the same order, and a stream that decodes.

use comux_tests::PATIENCE;
use comux_tests::broker::broker;
use comux_tests::home::Home;
use comux_tests::media::{self, Clip, TimeBase};
use comux_tests::process::{Comux, Config, plugins_line, run_to_end};
use comux_tests::records::{Record, consume, produce};
use comux_tests::topics::record_count;
use sha2::{Digest, Sha256};

use crate::promises::{assert_all_means, assert_same_records, assert_sources, topics};

const EVERY_FRAME: &str = "mode = 'every-frame'\nstart = 'beginning'";

/// A clip's records, with all that a producer may put on a record.
fn adorned(clip: &Clip) -> Vec<Record> {
    let mut records = clip.records();
    for (number, record) in records.iter_mut().enumerate() {
        record.key = match number % 3 {
            0 => None,
            1 => Some(Vec::new()),
            _ => Some(vec![0, 0xff, number as u8]),
        };
        record.headers.extend([
            ("tag".to_owned(), Some(b"first".to_vec())),
            ("null".to_owned(), None),
            ("tag".to_owned(), Some(vec![0xff, 0xfe])),
            ("empty".to_owned(), Some(Vec::new())),
            ("traceparent".to_owned(), Some(format!("00-{number:032x}-01").into_bytes())),
        ]);
    }
    records
}

fn assert_decodes_alike(clip: &Clip, output: &[Record]) {
    let stream: Vec<u8> = output.iter().flat_map(|it| it.value.clone().unwrap()).collect();
    let hashes: Vec<String> = clip.pictures.iter().map(|picture| picture.md5.clone()).collect();
    assert_eq!(media::hashes(clip.codec, &stream), hashes);
}

fn assert_own_headers(clip: &Clip, topic: &str, output: &[Record]) {
    assert_sources(topic, 0, output);
    let component = std::fs::read(comux_tests::plugin("brightness")).unwrap();
    let digest = Sha256::digest(component);
    let digest: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    for (number, (packet, record)) in clip.packets.iter().zip(output).enumerate() {
        assert_eq!(record.header("comux-seq"), Some(number.to_string().as_str()));
        let keyframe = packet.keyframe.then_some("1");
        assert_eq!(record.header("comux-keyframe"), keyframe, "record {number}");
        let pts: i64 = record.header("comux-pts").expect("pts").parse().unwrap();
        assert_eq!(pts, clip.time_base.microseconds(packet.pts), "record {number}");
        let plugin = record.header("comux-plugin").expect("the plugin");
        assert_eq!(plugin, format!("brightness@0.1.0+sha256.{digest}"));
        let timing = record.header("comux-timing").expect("timing");
        let names: Vec<&str> =
            timing.split(';').filter_map(|part| part.split('=').next()).collect();
        assert_eq!(names, ["queue", "decode", "plugin"], "{timing}");
    }
}

fn comes_out_as_it_went_in(camera: &str, clip: &Clip) {
    assert_ne!(clip.time_base, TimeBase(1, 1_000_000), "microseconds would prove nothing");
    let (input, output) = topics(camera);
    let records = adorned(clip);
    produce(&input, &records);
    let camera_lines =
        format!("codec = '{}'\n{EVERY_FRAME}\n{}", clip.codec, plugins_line("brightness", ""));
    let comux = Comux::run(&Config::new(camera).camera(camera, &camera_lines));
    let result = consume(&output, records.len());
    let sums = comux.stop().sums(camera);
    assert_same_records(&records, &result);
    assert_all_means(clip, &result);
    assert_own_headers(clip, &input, &result);
    assert_decodes_alike(clip, &result);
    assert_eq!(record_count(&output), records.len(), "nothing came after the last record");
    assert!(sums.balance() && sums.analysed == records.len() as u64, "{sums:?}");
}

#[test]
fn every_record_of_h264_with_b_frames_comes_out_as_it_went_in() {
    comes_out_as_it_went_in("identity-h264", media::bframes());
}

#[test]
fn every_record_of_h265_comes_out_as_it_went_in() {
    comes_out_as_it_went_in("identity-h265", media::hevc());
}

#[test]
fn a_camera_without_plugins_passes_everything_on_undecoded() {
    let (input, output) = topics("identity-passthrough");
    let mut records = adorned(media::bframes());
    // Not even what is no video is looked at.
    records.extend([Record::of("text"), Record { value: None, ..Record::of("") }, Record::of("")]);
    produce(&input, &records);
    let config = Config::new("identity-passthrough").camera("identity-passthrough", EVERY_FRAME);
    let comux = Comux::run(&config);
    let result = consume(&output, records.len());
    let sums = comux.stop().sums("identity-passthrough");
    assert_same_records(&records, &result);
    assert!(result.iter().all(|record| record.status().0 == "passthrough"));
    assert_eq!(sums.passthrough, records.len() as u64);
    assert!(sums.balance(), "{sums:?}");
}

#[test]
fn eight_cameras_at_once_come_out_as_they_went_in() {
    let clips = [media::bframes(), media::hevc()];
    let cameras: Vec<(String, &Clip)> =
        (0..8).map(|number| (format!("identity-eight-{number}"), clips[number % 2])).collect();
    let mut config = Config::new("identity-eight");
    for (camera, clip) in &cameras {
        produce(&topics(camera).0, &adorned(clip));
        let lines =
            format!("codec = '{}'\n{EVERY_FRAME}\n{}", clip.codec, plugins_line("brightness", ""));
        config = config.camera(camera, &lines);
    }
    let comux = Comux::run(&config);
    for (camera, clip) in &cameras {
        let result = consume(&format!("stream_{camera}"), clip.packets.len());
        assert_same_records(&adorned(clip), &result);
        assert_all_means(clip, &result);
        assert_own_headers(clip, &format!("raw_{camera}"), &result);
        assert_decodes_alike(clip, &result);
    }
    let ended = comux.stop();
    for (camera, clip) in &cameras {
        let sums = ended.sums(camera);
        assert!(sums.balance() && sums.analysed == clip.packets.len() as u64, "{sums:?}");
    }
}

#[test]
fn headers_that_look_like_the_runtimes_own_are_told_from_them() {
    let clip = media::bframes();
    let camera = "identity-forged";
    let (input, output) = topics(camera);
    let mut records = clip.records();
    let forged = ["comux-status", "comux-source", "COMUX-Reason", "comux-in-status", "comux-"];
    for record in &mut records {
        for name in forged {
            let value = Some(b"analysed".to_vec());
            record.headers.insert(1, (name.to_owned(), value));
        }
        record.headers.push(("comux-plugin".to_owned(), None));
    }
    produce(&input, &records);
    let lines = format!("{EVERY_FRAME}\n{}", plugins_line("brightness", ""));
    let comux = Comux::run(&Config::new(camera).camera(camera, &lines));
    let result = consume(&output, records.len());
    comux.stop();
    for record in &mut records {
        for (name, _) in &mut record.headers {
            if name.get(..6).is_some_and(|it| it.eq_ignore_ascii_case("comux-")) {
                *name = format!("comux-in-{}", &name[6..]);
            }
        }
    }
    assert_same_records(&records, &result);
    assert_own_headers(clip, &input, &result);
    for record in &result {
        let of = |name: &str| record.headers.iter().filter(|(it, _)| it == name).count();
        assert_eq!((of("comux-status"), of("comux-source"), of("comux-plugin")), (1, 1, 1));
        assert_eq!(record.status(), ("analysed", None));
    }
}

#[test]
fn the_first_records_come_too_when_the_broker_is_not_ready_for_them() {
    const RECORDS: usize = 12;
    let (camera, clip) = ("identity-not-ready", media::lowdelay());
    let (input, output) = topics(camera);
    let servers = broker().refusing_first_batches(&[&input, &output]);

    // Few and far between: librdkafka has five records under way before it waits for an answer, and
    // those that it gathers at first are one batch.
    let comux = Comux::run(&Config::with_broker(camera, &servers).camera(camera, EVERY_FRAME));
    let home = Home::new();
    let source = home.path().join("slow.mp4");
    media::slowed_down(&source, RECORDS);
    let arguments = ["publish", source.to_str().unwrap(), "--camera", camera, "--realtime"];
    let to = ["--bootstrap-servers", &servers, "--topic", &input];
    let published = run_to_end(&[&arguments[..], &to].concat(), PATIENCE);
    assert!(published.status.success(), "{published:?}");
    let sent = consume(&input, RECORDS);
    let shown = clip.shown_by_ffmpeg(&sent);
    let pictures: Vec<_> = clip.pictures.iter().map(|it| it.fingerprint.clone()).collect();
    assert_eq!(shown, pictures[..RECORDS], "all that was published, in order");
    let result = consume(&output, RECORDS);
    comux.stop();
    assert_same_records(&sent, &result);
}
