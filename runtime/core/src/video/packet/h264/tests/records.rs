//! Records that are not one access unit each, or none of H.264.

use std::process::Command;

use super::write::{FIELDS, FRAMES, Slice};
use super::*;
use crate::video::demux::MediaReader;
use crate::video::packet::h264::headers::Parity::{Bottom, Top};

fn with_sets(slices: &[Slice]) -> Vec<u8> {
    slices.iter().fold(slices[0].of.sets(), |record, slice| [record, slice.unit()].concat())
}

#[test]
fn a_record_that_comes_again_is_known_and_one_that_is_alike_is_not() {
    let units = encoded("bframes=2:b-adapt=0:keyint=20", 30);
    let twice = units.iter().flat_map(|unit| [unit, unit]);
    let mut reader = H264::default();
    for (number, unit) in twice.enumerate() {
        let found = reader.read(unit).unwrap();
        assert_eq!(found.is_repeated, number % 2 == 1, "{number}");
        assert_eq!(found.lacks, None, "{number}");
    }
    let alike = [
        with_sets(&[Slice::idr(FRAMES, 0)]),
        with_sets(&[Slice::idr(FRAMES, 1)]),
        Slice::disposable(FRAMES, 1, 4).unit(),
        Slice::disposable(FRAMES, 1, 6).unit(),
        Slice::disposable(FRAMES, 1, 6).unit(),
    ];
    let mut reader = H264::default();
    let repeated = alike.iter().map(|unit| reader.read(unit).unwrap().is_repeated);
    assert_eq!(repeated.collect::<Vec<bool>>(), [false, false, false, false, true]);
    // The same IDR picture with other bytes behind its header.
    let mut other = with_sets(&[Slice::idr(FRAMES, 0)]);
    other.push(0x55);
    let mut reader = H264::default();
    assert!(!reader.read(&with_sets(&[Slice::idr(FRAMES, 0)])).unwrap().is_repeated);
    assert!(!reader.read(&other).unwrap().is_repeated);
}

#[test]
fn several_pictures_in_a_record_are_noticed() {
    let several = |record: &[u8]| H264::default().read(record).unwrap().has_several_pictures;
    let frame = |number, order| Slice::reference(FRAMES, number, order);
    let next_slice = Slice { first_mb: 8, ..Slice::idr(FRAMES, 0) };
    assert!(!several(&with_sets(&[Slice::idr(FRAMES, 0), next_slice])));
    assert!(several(&with_sets(&[Slice::idr(FRAMES, 0), next_slice, frame(1, 2)])));
    assert!(several(&with_sets(&[Slice::idr(FRAMES, 0), Slice::idr(FRAMES, 1)])));
    let bs = [Slice::disposable(FRAMES, 1, 4), Slice::disposable(FRAMES, 1, 6)];
    assert!(several(&with_sets(&bs)));
    let first = Slice::idr(FIELDS, 0).field(Top);
    let second = Slice::reference(FIELDS, 0, 1).field(Bottom);
    let third = Slice::reference(FIELDS, 1, 2).field(Top);
    assert!(!several(&with_sets(&[first, second])));
    assert!(several(&with_sets(&[first, second, third])));
    // As an encoder makes them.
    let units = encoded("bframes=0:ref=1:slices=4:keyint=20", 4);
    assert!(units.iter().all(|unit| !several(unit)));
    let mut reader = H264::default();
    assert!(reader.read(&units[..2].concat()).unwrap().has_several_pictures);
    assert_eq!(reader.read(&units[2]).unwrap().lacks, None, "all of them have come");
}

#[test]
fn slices_may_come_in_any_order() {
    let slice = |number, first_mb| Slice { first_mb, ..Slice::reference(FRAMES, number, 2) };
    let mut reader = H264::default();
    reader.read(&with_sets(&[Slice::idr(FRAMES, 0)])).unwrap();
    let found = reader.read(&[slice(1, 8).unit(), slice(1, 0).unit()].concat()).unwrap();
    assert_eq!((found.lacks, found.has_several_pictures), (None, false));
    let found = reader.read(&[slice(2, 16).unit(), slice(2, 8).unit()].concat());
    assert_eq!(found.unwrap().lacks, Some(Lack::Slice));
}

#[test]
fn parameter_sets_are_noticed_and_read_behind_a_picture() {
    let mut reader = H264::default();
    let picture = Slice::reference(FRAMES, 1, 2).unit();
    let found = reader.read(&[&picture[..], &FRAMES.sets()].concat()).unwrap();
    assert!(found.has_parameter_sets);
    assert_eq!((found.content, found.position), (Content::Picture, None));
    let found = reader.read(&Slice::reference(FRAMES, 2, 4).unit()).unwrap();
    assert_eq!((found.has_parameter_sets, found.position), (false, Some(2)));
    assert_eq!(found.lacks, None);
}

/// Cameras claim levels too low for their pictures, and more frames than their level has.
#[test]
fn sets_are_read_whatever_level_they_claim() {
    let units = encoded("bframes=0:ref=4:keyint=60", 4);
    let mut first = units[0].clone();
    let sps = first.windows(4).position(|it| it == [0, 0, 1, 0x67]).unwrap();
    first[sps + 6] = 9;
    let mut reader = H264::default();
    assert_eq!(reader.read(&first).unwrap().position, Some(0));
    assert_eq!(reader.read(&units[2]).unwrap().lacks, Some(Lack::Reference));
}

#[test]
fn h265_is_not_video_of_h264() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.h265");
    let parameters = "log-level=error:keyint=10:bframes=2:pools=1";
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", MOVING, "-frames:v", "30"])
        .args(["-pix_fmt", "yuv420p", "-c:v", "libx265", "-x265-params", parameters])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    let mut file = MediaReader::open(path.to_str().unwrap()).unwrap();
    let mut reader = H264::default();
    let mut packets = 0;
    while let Some(packet) = file.next_packet().unwrap() {
        assert_eq!(reader.read(&packet.data), None, "{packets}");
        packets += 1;
    }
    assert_eq!(packets, 30);
    // The camera is set right.
    let units = encoded("bframes=2:keyint=60", 10);
    let found = inspected(without(&units, |_| false));
    assert!(found.values().all(|it| it.lacks.is_none()));
    for unit in &units {
        assert!(reader.read(unit).is_some());
    }
}

#[test]
fn units_of_h264_by_themselves_are_not_taken_for_h265() {
    let records: [&[u8]; 8] = [
        &[0, 0, 1, 6, 1, 2, 9, 9, 0x80],
        &[0, 0, 1, 6, 5, 1, 9, 0x80],
        &[0, 0, 1, 0x68, 0xce, 0x3c, 0x80],
        &[0, 0, 1, 9, 0x10],
        &[0, 0, 1, 10],
        &[0, 0, 1, 12, 0xff, 0x80],
        &[0, 0, 1, 0x41, 1],
        &[0, 0, 1, 2, 0x80],
    ];
    for record in records {
        assert!(H264::default().read(record).is_some(), "{record:x?}");
    }
}
