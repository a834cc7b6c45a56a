//! That the ground the other tests stand on holds.

use comux_tests::broker::{Broker, broker};
use comux_tests::feed::Feed;
use comux_tests::media;
use comux_tests::records::{Record, consume, latest, produce};
use comux_tests::topics::{create_topic, record_count, topic_exists};

#[test]
fn the_broker_returns_every_kind_of_record_as_it_was_given() {
    create_topic("fixture", 1);
    let header = [b'h'; 100 << 10];
    let everything = Record {
        key: Some(b"key".to_vec()),
        value: Some(b"value".to_vec()),
        timestamp: 1_500_000_000_000,
        headers: vec![
            ("twice".into(), Some(b"1".to_vec())),
            ("null".into(), None),
            ("twice".into(), Some(b"2".to_vec())),
            ("empty".into(), Some(Vec::new())),
        ],
    };
    let records = [
        everything,
        Record { value: None, ..Record::of("") },
        Record { key: Some(Vec::new()), ..Record::of("") },
        Record::of(vec![7; 5 << 20]),
        Record::of("big header").with_header("big", Some(&header)),
    ];
    produce("fixture", &records);
    assert_eq!(consume("fixture", records.len()), records);
    assert_eq!(record_count("fixture"), records.len());
    assert!(topic_exists("fixture") && !topic_exists("never-created"));
}

#[test]
fn a_second_broker_starts_beside_the_first() {
    let second = Broker::start();
    assert_ne!(second.bootstrap(), broker().bootstrap());
}

#[test]
fn every_clip_has_a_picture_for_each_packet_that_shows_one() {
    for (name, clip, packets, pictures) in [
        ("bframes", media::bframes(), 240, 240),
        ("lowdelay", media::lowdelay(), 240, 240),
        ("hevc", media::hevc(), 120, 120),
        ("other size", media::other_size(), 20, 20),
        ("other parameter sets", media::other_parameter_sets(), 20, 20),
        ("mjpeg", media::mjpeg(), 40, 40),
        ("vp8", media::vp8(), 40, 40),
        ("vp9", media::vp9(), 40, 40),
        ("av1", media::av1(), 40, 40),
    ] {
        assert_eq!((clip.packets.len(), clip.pictures.len()), (packets, pictures), "{name}");
        for packet in &clip.packets {
            assert!(clip.mean(packet.pts).is_some(), "{name}: no picture at {}", packet.pts);
        }
        assert!(clip.packets[0].keyframe, "{name} begins with a key frame");
    }
    assert_eq!(media::damaged().packets.len(), 239);
}

#[test]
fn a_clip_in_a_loop_shows_its_pictures_again_at_later_times() {
    for clip in [media::bframes(), media::hevc(), media::mjpeg()] {
        let records = clip.looped(2 * clip.packets.len() + 1);
        let pts = |record: &Record| record.header("pts").unwrap().parse::<i64>().unwrap();
        let mut times: Vec<i64> = records.iter().map(pts).collect();
        for (record, time) in records.iter().zip(&times) {
            let before = times[..clip.packets.len()].iter().zip(&clip.packets);
            let (_, packet) = before
                .into_iter()
                .find(|(_, packet)| record.value.as_ref() == Some(&packet.data))
                .expect("it is one of the clip's packets");
            assert_eq!(clip.mean(*time), clip.mean(packet.pts), "{}", clip.codec);
        }
        times.sort_unstable();
        let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| *step > 0), "{}: no time comes twice", clip.codec);
    }
}

#[test]
fn a_feed_sends_the_records_of_its_clip_in_a_loop_until_it_is_stopped() {
    let clip = media::mjpeg();
    let topics = ["fixture-feed-a", "fixture-feed-b"];
    for topic in topics {
        create_topic(topic, 1);
    }
    let feed = Feed::start(&topics, clip, 200);
    feed.wait_for_more(60);
    let sent = feed.stop();
    assert!(sent >= 60);
    for topic in topics {
        assert_eq!(record_count(topic), sent);
        assert_eq!(consume(topic, sent), clip.looped(sent));
    }
}

#[test]
fn the_latest_record_of_each_key_is_found_and_a_deleted_key_is_not() {
    create_topic("fixture-latest", 1);
    assert!(latest("fixture-latest").is_empty());
    let keyed = |key: &str, value: &str| Record { key: Some(key.into()), ..Record::of(value) };
    let gone = Record { value: None, ..keyed("b", "") };
    produce("fixture-latest", &[keyed("a", "1"), keyed("b", "1"), keyed("a", "2"), gone]);
    let found = latest("fixture-latest");
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(found["a"].value.as_deref(), Some(&b"2"[..]));
}

/// So that a result on the wrong packet can't pass for the right one.
#[test]
fn the_brightness_of_neighbouring_pictures_differs_by_more_than_rounding() {
    for clip in [media::bframes(), media::hevc(), media::mjpeg(), media::vp8(), media::av1()] {
        let pairs = clip.pictures.windows(2);
        let alike = pairs.filter(|pair| (pair[0].mean - pair[1].mean).abs() < 0.003).count();
        assert!(alike * 10 < clip.pictures.len(), "{}: {alike} alike", clip.codec);
    }
}

#[test]
fn packets_put_one_after_the_other_are_the_elementary_stream() {
    for clip in [media::bframes(), media::hevc()] {
        let from_file: Vec<String> = clip.pictures.iter().map(|it| it.md5.clone()).collect();
        assert_eq!(media::hashes(clip.codec, &clip.stream()), from_file);
    }
}
