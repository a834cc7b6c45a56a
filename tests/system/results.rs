//! Results sit on the record whose picture they describe.

use std::collections::BTreeSet;

use comux_tests::ended::Sums;
use comux_tests::media::{self, Clip};
use comux_tests::nal;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Record, consume, produce};

use crate::promises::{assert_all_means, assert_close, assert_means, assert_same_records, topics};

/// Runs records through a camera with `brightness`; returns what comes out, and the sums.
fn analysed(camera: &str, records: &[Record], lines: &str) -> (Vec<Record>, Sums) {
    let (input, output) = topics(camera);
    produce(&input, records);
    let lines = format!(
        "mode = 'every-frame'\nstart = 'beginning'\n{lines}\n{}",
        plugins_line("brightness", "")
    );
    let comux = Comux::run(&Config::new(camera).camera(camera, &lines));
    let result = consume(&output, records.len());
    let sums = comux.stop().sums(camera);
    assert_same_records(records, &result);
    assert_eq!(sums.received, records.len() as u64);
    assert!(sums.balance(), "{sums:?}");
    (result, sums)
}

#[test]
fn results_sit_on_their_own_packets_with_frame_threads() {
    for (camera, clip) in
        [("results-threads-h264", media::bframes()), ("results-threads-h265", media::hevc())]
    {
        let lines = format!("codec = '{}'\ndecode_threads = 4", clip.codec);
        assert_all_means(clip, &analysed(camera, &clip.records(), &lines).0);
    }
}

/// Whoever decodes the same packets sees the same pictures; those that can't be trusted are marked.
fn survives_a_lost_packet(camera: &str, lines: &str) {
    let clip = media::damaged();
    let (output, _) = analysed(camera, &clip.records(), lines);
    assert_means(clip, &output);
    let last_before = clip.packets.iter().take(45).rposition(|packet| packet.keyframe).unwrap();
    let next_after = clip.packets.iter().skip(45).position(|packet| packet.keyframe).unwrap() + 45;
    assert_all_means(clip, &output[..last_before]);
    assert_all_means(clip, &output[next_after..]);
}

#[test]
fn results_sit_on_their_own_packets_after_a_lost_packet() {
    survives_a_lost_packet("results-lost", "");
}

#[test]
fn results_sit_on_their_own_packets_after_a_lost_packet_with_frame_threads() {
    survives_a_lost_packet("results-lost-threads", "decode_threads = 4");
}

#[test]
fn a_stream_joined_in_the_middle_is_analysed_from_its_first_key_frame() {
    let clip = media::bframes();
    let records = &clip.records()[7..];
    let (output, sums) = analysed("results-middle", records, "");
    let (before, after) = output.split_at(13);
    for record in before {
        assert_eq!(record.status(), ("skipped", Some("no-keyframe")));
    }
    assert_all_means(clip, after);
    assert_eq!(sums.skipped["no-keyframe"], 13);
}

/// An open group of pictures begins with a key frame that is followed by pictures which are shown
/// before it and need what came before: they can't be decoded by whoever joins there.
#[test]
fn pictures_that_need_what_came_before_the_join_are_not_made_up() {
    let clip = media::hevc();
    let join = clip.packets.iter().skip(1).position(|packet| packet.keyframe).unwrap() + 1;
    let key_pts = clip.packets[join].pts;
    let leading = |packet: &&media::Packet| packet.pts < key_pts;
    assert!(clip.packets[join..].iter().any(|it| leading(&it)), "the clip has open groups");
    let records = &clip.records()[join..];
    let (output, _) = analysed("results-open-group", records, "codec = 'h265'");
    assert_means(clip, &output);
    for (packet, record) in clip.packets[join..].iter().zip(&output) {
        assert_eq!(record.is_analysed(), !leading(&packet), "{:?}", record.status());
    }
}

#[test]
fn length_prefixed_records_give_the_same_results_as_annex_b() {
    for (camera, clip) in [("results-avcc", media::bframes()), ("results-hvcc", media::hevc())] {
        let mut records = clip.records();
        for (packet, record) in clip.packets.iter().zip(&mut records) {
            record.value = Some(nal::length_prefixed(&nal::units(&packet.data)));
        }
        let lines = format!("codec = '{}'", clip.codec);
        assert_all_means(clip, &analysed(camera, &records, &lines).0);
    }
}

/// Cuts a stream into records that are no larger than any access unit, so that no two pictures
/// begin in one record; returns them with the picture that begins in each.
fn chunks(clip: &Clip, packets: usize) -> Vec<(Record, Option<f64>)> {
    let packets = &clip.packets[..packets];
    let smallest = packets.iter().map(|packet| packet.data.len()).min().unwrap();
    let mut pictures: Vec<(usize, f64)> = Vec::new();
    let mut cuts = BTreeSet::new();
    let mut stream = Vec::new();
    for (number, packet) in packets.iter().enumerate() {
        pictures.push((stream.len(), clip.mean(packet.pts).unwrap()));
        // Wherever a cut falls in the bytes by which the start of a picture is known.
        cuts.insert(stream.len() + number % 12);
        stream.extend_from_slice(&packet.data);
    }
    let mut position = 0;
    while position < stream.len() {
        cuts.insert(position);
        // Sizes from 1 to the smallest access unit, without a pattern.
        position += 1 + ((position * 2_654_435_761) >> 7) % smallest;
    }
    cuts.insert(stream.len());
    let cuts: Vec<usize> = cuts.into_iter().collect();
    let chunk = |cut: &[usize]| {
        let range = cut[0]..cut[1];
        let picture = pictures.iter().find(|(start, _)| range.contains(start));
        (Record::of(&stream[range.clone()]), picture.map(|&(_, mean)| mean))
    };
    cuts.windows(2).map(chunk).collect()
}

#[test]
fn in_a_bytestream_a_result_sits_where_its_picture_begins() {
    for (camera, clip) in
        [("results-bytes-h264", media::bframes()), ("results-bytes-h265", media::hevc())]
    {
        let chunks = chunks(clip, 60);
        let records: Vec<Record> = chunks.iter().map(|(record, _)| record.clone()).collect();
        let lines = format!("codec = '{}'\nframing = 'bytestream'", clip.codec);
        let (output, _) = analysed(camera, &records, &lines);
        for (number, ((_, picture), record)) in chunks.iter().zip(&output).enumerate() {
            match picture {
                Some(mean) => {
                    assert_eq!(record.status(), ("analysed", None), "record {number}");
                    assert_close(number, record.number("brightness.mean"), *mean);
                }
                None => assert_eq!(record.status(), ("skipped", Some("no-picture")), "{number}"),
            }
        }
    }
}

#[test]
fn a_rate_of_key_frames_analyses_these_alone() {
    let clip = media::bframes();
    let (output, sums) = analysed("results-keyframes", &clip.records(), "rate = 'keyframes'");
    assert_means(clip, &output);
    for (packet, record) in clip.packets.iter().zip(&output) {
        let expected = if packet.keyframe { ("analysed", None) } else { ("skipped", Some("rate")) };
        assert_eq!(record.status(), expected);
    }
    assert_eq!((sums.analysed, sums.skipped["rate"]), (12, 228));
}

/// 24 seconds of footage: at most two a second, and no second without.
#[test]
fn a_rate_in_frames_per_second_is_kept() {
    let clip = media::bframes();
    let (output, sums) = analysed("results-rate", &clip.records(), "rate = 2");
    let analysed = assert_means(clip, &output);
    assert!((46..=50).contains(&analysed), "{sums:?}");
    assert!(output.iter().all(|it| it.is_analysed() || it.status() == ("skipped", Some("rate"))));
}

/// A record whose picture can't be decoded: doing so ends the analysis up to the next key frame.
fn broken(record: &Record, codec: &str) -> Record {
    let value = record.value.as_deref().unwrap();
    let slice = nal::units(value).into_iter().find(|unit| match codec {
        "h265" => (unit[0] >> 1) & 0x3f <= 21,
        _ => matches!(unit[0] & 0x1f, 1 | 5),
    });
    let header = if codec == "h265" { 2 } else { 1 };
    let damaged = [&slice.unwrap()[..header], &[0xff; 20]].concat();
    Record { value: Some(nal::annexb(&[&damaged])), ..record.clone() }
}

/// Whether no other picture needs this one. H.264: `nal_ref_idc` is 0. H.265: a picture that its
/// sub-layer does not need, and the clips have no other.
fn is_disposable(record: &Record, codec: &str) -> bool {
    let units = record.value.as_deref().map(nal::units).unwrap();
    units.iter().any(|unit| match codec {
        "h265" => matches!((unit[0] >> 1) & 0x3f, 0 | 8) && unit[1] == 1,
        _ => unit[0] & 0x1f == 1 && unit[0] & 0x60 == 0,
    })
}

#[test]
fn what_the_rate_leaves_out_and_no_picture_needs_is_not_decoded() {
    for (camera, clip) in
        [("results-rate-h264", media::bframes()), ("results-rate-h265", media::hevc())]
    {
        leaves_out_what_no_picture_needs(camera, clip);
    }
}

fn leaves_out_what_no_picture_needs(camera: &str, clip: &Clip) {
    let records = clip.records();
    let lines = format!("codec = '{}'\nrate = 1", clip.codec);
    let (whole, _) = analysed(&format!("{camera}-whole"), &records, &lines);
    let (mut input, mut count) = (records.clone(), 0);
    let mut analysed_at = 0;
    for (record, result) in input.iter_mut().zip(&whole) {
        if result.is_analysed() {
            analysed_at = record.timestamp;
        }
        // Until its picture is out of the decoder, comux does not know when the next one is due.
        let since = record.timestamp - analysed_at;
        if (400..700).contains(&since) && is_disposable(record, clip.codec) {
            *record = broken(record, clip.codec);
            count += 1;
        }
    }
    assert!(count >= records.len() / 12, "{count} of {}", records.len());
    let (output, _) = analysed(&format!("{camera}-broken"), &input, &lines);
    assert_means(clip, &output);
    for (number, (whole, broken)) in whole.iter().zip(&output).enumerate() {
        assert_eq!(broken.status(), whole.status(), "record {number}");
    }
}

#[test]
fn fast_decoding_changes_no_picture_that_others_need() {
    let records = media::bframes().records();
    let (exact, _) = analysed("results-exact", &records, "decode = 'exact'");
    let (fast, _) = analysed("results-fast", &records, "decode = 'fast'");
    let mut different = 0;
    for (number, (exact, fast)) in exact.iter().zip(&fast).enumerate() {
        assert!(fast.is_analysed(), "record {number}");
        let is_same = exact.header("brightness.mean") == fast.header("brightness.mean");
        assert!(is_same || is_disposable(&records[number], "h264"), "record {number}");
        different += usize::from(!is_same);
    }
    assert!(different > 20, "{different} of {}", records.len());
}

/// The clip's key frames are two seconds apart.
#[test]
fn where_the_rate_is_as_low_as_that_of_key_frames_these_alone_are_decoded() {
    let clip = media::bframes();
    // Five in a row, so that it is sure.
    let sure = clip.packets.iter().enumerate().filter(|(_, packet)| packet.keyframe).nth(4);
    let (sure, _) = sure.unwrap();
    let mut records = clip.records();
    for (packet, record) in clip.packets.iter().zip(&mut records).skip(sure) {
        if !packet.keyframe {
            *record = broken(record, "h264");
        }
    }
    let (output, sums) = analysed("results-rate-keys", &records, "rate = 0.5");
    assert_means(clip, &output);
    for (number, (packet, record)) in clip.packets.iter().zip(&output).enumerate().skip(sure) {
        let expected = if packet.keyframe { ("analysed", None) } else { ("skipped", Some("rate")) };
        assert_eq!(record.status(), expected, "record {number}");
    }
    assert_eq!(sums.analysed, 12);
}

/// The fifth key frame in a row makes it sure that others are not needed, and comes too early
/// itself.
#[test]
fn what_is_in_the_decoder_comes_out_when_key_frames_are_enough() {
    let clip = media::bframes();
    let camera = "results-rate-change";
    let (input, output) = topics(camera);
    let sure = clip.packets.iter().enumerate().filter(|(_, packet)| packet.keyframe).nth(4);
    let records = &clip.records()[..sure.unwrap().0 + 3];
    produce(&input, records);
    let lines = format!(
        "mode = 'every-frame'\nstart = 'beginning'\nrate = 0.3\ndrain_after_ms = 3600000\n{}",
        plugins_line("brightness", "")
    );
    let comux = Comux::run(&Config::new(camera).camera(camera, &lines));
    let result = consume(&output, records.len());
    assert_same_records(records, &result);
    assert_means(clip, &result);
    assert!(comux.stop().sums(camera).balance());
}

/// Pictures that the decoder holds back come out although nothing follows; and when the stream goes
/// on in the middle of a group, no picture is missing.
#[test]
fn an_every_frame_camera_goes_on_where_it_fell_silent() {
    let clip = media::bframes();
    let records = &clip.records()[..60];
    let (before, after) = records.split_at(30);
    assert!(!clip.packets[30].keyframe, "the silence is in the middle of a group");
    for framing in ["packet", "bytestream"] {
        let camera = format!("results-silent-{framing}");
        let (input, output) = topics(&camera);
        produce(&input, before);
        let lines = format!(
            "mode = 'every-frame'\nstart = 'beginning'\nframing = '{framing}'\n\
             drain_after_ms = 300\n{}",
            plugins_line("brightness", "")
        );
        let comux = Comux::run(&Config::new(&camera).camera(&camera, &lines));
        assert_same_records(before, &consume(&output, before.len()));
        produce(&input, after);
        let result = consume(&output, records.len());
        let sums = comux.stop().sums(&camera);
        assert_same_records(records, &result);
        assert_all_means(clip, &result);
        assert_eq!((sums.received, sums.analysed), (60, 60), "{framing}: {sums:?}");
    }
}
