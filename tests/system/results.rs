//! Results sit on the record whose picture they describe.

use std::collections::BTreeSet;

use comux_tests::media::{self, Clip};
use comux_tests::nal;
use comux_tests::process::{Comux, Config, Sums, plugins_line};
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
