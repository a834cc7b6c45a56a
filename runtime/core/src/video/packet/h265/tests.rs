//! What is said of streams that x265 made, held against what libavcodec makes of them.

use std::collections::BTreeMap;

use ffmpeg_next as ffmpeg;
use proptest::prelude::*;

use super::*;
use crate::video::clips::{self, Clip, annexb_of};
use crate::video::demux::MediaReader;

fn clip(encoder: &str) -> (Vec<Vec<u8>>, Vec<i64>) {
    let encoder = &format!("scenecut=0:{encoder}");
    clips::h265(&Clip { size: "192:144", pixels: "yuv420p", frames: 45, encoder })
}

/// What libavcodec makes of the access units that are there: a hash of each picture.
fn decoded(units: &[Option<Vec<u8>>]) -> BTreeMap<usize, u64> {
    let numbered = units.iter().enumerate();
    let there = numbered.filter_map(|(number, unit)| Some((number, unit.as_deref()?)));
    clips::decoded(ffmpeg::codec::Id::HEVC, ffmpeg::codec::Flags::empty(), there)
}

fn inspected(units: &[Option<Vec<u8>>]) -> Vec<Option<Inspection>> {
    let mut reader = H265::default();
    units.iter().map(|unit| unit.as_ref().and_then(|unit| reader.read(unit))).collect()
}

fn all(units: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    units.iter().cloned().map(Some).collect()
}

/// The number of the first that is not as it is in the undamaged stream.
fn first_harmed(whole: &BTreeMap<usize, u64>, units: &[Option<Vec<u8>>]) -> Option<usize> {
    let made = decoded(units);
    (0..units.len()).find(|&it| units[it].is_some() && made.get(&it) != whole.get(&it))
}

fn first_lacking(found: &[Option<Inspection>]) -> Option<usize> {
    found.iter().position(|found| found.is_some_and(|found| found.lacks.is_some()))
}

const STRUCTURES: [&str; 7] = [
    "keyint=15:bframes=4:b-adapt=0:b-pyramid=1:ref=3:open-gop=1",
    "keyint=12:bframes=3:b-adapt=0:b-pyramid=0:ref=4:open-gop=0",
    "keyint=20:bframes=0:ref=4",
    "keyint=16:bframes=3:b-adapt=0:b-pyramid=1:ref=3:temporal-layers=3:open-gop=1",
    "keyint=16:bframes=2:b-adapt=0:ref=2:slices=2:open-gop=1:repeat-headers=1:aud=1",
    "keyint=15:min-keyint=15:radl=2:bframes=3:b-adapt=0:open-gop=0:ref=3",
    "keyint=4:bframes=0:ref=2:open-gop=0",
];

#[test]
fn whole_streams_lack_nothing_and_their_positions_are_in_output_order() {
    for structure in STRUCTURES {
        let (units, times) = clip(structure);
        let found = inspected(&all(&units));
        assert_eq!(first_lacking(&found), None, "{structure}");
        let mut positions: Vec<(i64, i64)> = found
            .iter()
            .zip(&times)
            .map(|(it, &time)| (time, it.unwrap().position.unwrap()))
            .collect();
        positions.sort_unstable();
        assert!(positions.windows(2).all(|pair| pair[0].1 < pair[1].1), "{structure}");
        assert!(found.iter().all(|it| !it.unwrap().is_repeated), "{structure}");
    }
}

#[test]
fn the_first_picture_that_a_lost_one_harms_is_the_first_that_lacks_something() {
    for structure in STRUCTURES {
        let (units, _) = clip(structure);
        let whole = decoded(&all(&units));
        assert_eq!(whole.len(), units.len());
        let mut harmless = 0;
        for lost in 1..units.len() {
            let mut damaged = all(&units);
            damaged[lost] = None;
            let harmed = first_harmed(&whole, &damaged);
            let lacking = first_lacking(&inspected(&damaged));
            assert_eq!(lacking, harmed, "{structure}: without {lost}");
            harmless += usize::from(harmed.is_none());
        }
        assert!(harmless > 0, "{structure}");
    }
}

/// A unit with a recovery point of so many pictures, more than 0.
fn recovery(count: u32) -> Vec<u8> {
    let code = format!("{:b}", 2 * count);
    let zeros = "0".repeat(code.len() - 1);
    let message = bits::of_text(&format!("{zeros}{code} 1 0 1"));
    [&[39 << 1, 1, 6, message.len() as u8 - 2], &message[2..], &[0x80]].concat()
}

fn content(found: Option<Inspection>) -> Content {
    found.unwrap().content
}

#[test]
fn gradual_refresh_is_right_from_its_recovery_point_on() {
    let (mut units, _) = clip("intra-refresh=1:bframes=0:ref=3:keyint=12");
    // As many as x265 takes for all columns; its filters go across the line, so that what
    // libavcodec makes is not the same to the last bit.
    let (begin, right) = (13, 38);
    let told = recovery((right - begin) as u32);
    units[begin] = [annexb_of(std::slice::from_ref(&told)), units[begin].clone()].concat();

    // Joined there, all that comes before is no loss.
    let mut reader = H265::default();
    reader.read(&units[0]);
    reader.begin_anew();
    let found: Vec<_> = units[begin..].iter().map(|unit| reader.read(unit).unwrap()).collect();
    let right_from = found[right - begin].position.unwrap();
    assert_eq!(found[0].content, Content::RefreshPoint { right_from });
    assert!(found[1..].iter().all(|it| it.content == Content::Picture && it.lacks.is_none()));
    // The message may be a record of its own.
    let mut reader = H265::default();
    reader.read(&units[0]);
    assert_eq!(content(reader.read(&annexb_of(&[told]))), Content::NoPicture);
    assert!(matches!(content(reader.read(&units[1])), Content::RefreshPoint { .. }));
    assert_eq!(content(reader.read(&units[2])), Content::Picture);

    for (lost, lacking) in [
        (vec![begin - 2], vec![begin - 1, begin]),
        (vec![begin - 1], vec![begin]),
        (vec![begin + 3], vec![begin + 4, begin + 5]),
        (vec![begin - 1, begin + 1], vec![begin, begin + 2, begin + 3]),
    ] {
        let mut damaged = all(&units);
        lost.iter().for_each(|&lost| damaged[lost] = None);
        let found = inspected(&damaged);
        let flagged = |&it: &usize| found[it].is_some_and(|found| found.lacks.is_some());
        assert_eq!((0..units.len()).filter(flagged).collect::<Vec<_>>(), lacking, "{lost:?}");
    }
}

#[test]
fn leading_pictures_lack_what_was_before_their_key_picture_only_if_it_did_not_come() {
    for (structure, kinds) in [(STRUCTURES[0], [8, 9]), (STRUCTURES[5], [6, 7])] {
        let (mut units, _) = clip(structure);
        let kinds_of: Vec<u8> = units
            .iter()
            .map(|unit| {
                clips::kind(clips::nal_units(unit).iter().find(|it| clips::is_slice(it)).unwrap())
            })
            .collect();
        let is_leading = |number: usize| kinds.contains(&kinds_of[number]);
        let needs_before = |number: usize| matches!(kinds_of[number], 8 | 9);
        let key = (1..units.len()).find(|&it| kinds_of[it] >= 16).unwrap();
        assert!(is_leading(key + 1), "{structure}");
        for (number, found) in inspected(&all(&units)).into_iter().enumerate() {
            assert_eq!(found.unwrap().is_leading, needs_before(number), "{structure}: {number}");
        }
        let mut reader = H265::default();
        units[..key].iter().for_each(|unit| assert!(reader.read(unit).is_some()));
        reader.begin_anew();
        for (number, unit) in units.iter().enumerate().skip(key) {
            let lacks = (is_leading(number) && needs_before(number) && number < key + 8)
                .then_some(Lack::Reference);
            assert_eq!(reader.read(unit).unwrap().lacks, lacks, "{structure}: {number}");
        }
        // As behind the end of a sequence.
        units[key - 1].extend([0, 0, 1, 36 << 1, 1]);
        let found = inspected(&all(&units));
        assert_eq!(found[key + 1].unwrap().lacks.is_some(), needs_before(key + 1), "{structure}");
    }
}

#[test]
fn what_is_odd_about_an_access_unit_is_told() {
    let (units, _) = clip(STRUCTURES[4]);
    let mut reader = H265::default();
    let mut read = |unit: &[u8]| reader.read(unit).unwrap();
    let sets: Vec<_> = clips::nal_units(&units[0])
        .into_iter()
        .filter(|unit| (32..=34).contains(&clips::kind(unit)))
        .collect();
    assert!(sets.len() >= 3);
    let first = read(&units[0]);
    assert!(!first.has_several_pictures && first.has_parameter_sets && !first.is_repeated);
    assert!(!read(&units[0]).is_repeated, "a key picture that looks alike is one");
    let second = read(&units[1]);
    assert_eq!(read(&units[1]), Inspection { is_repeated: true, ..second });

    // A second layer of it changes nothing.
    let mut other_layer = clips::nal_units(&units[1]);
    other_layer.retain(|unit| clips::is_slice(unit));
    other_layer.iter_mut().for_each(|unit| unit[1] |= 1 << 3);
    assert_eq!(read(&annexb_of(&other_layer)).content, Content::Continuation);

    let with_sets = [&units[2][..], &annexb_of(&sets)].concat();
    assert!(!second.has_parameter_sets && read(&with_sets).has_parameter_sets);
    let two = read(&[&units[3][..], &units[4]].concat());
    assert!(two.has_several_pictures && two.lacks.is_none());
    let mut parts = clips::nal_units(&units[5]);
    parts.remove(parts.iter().position(|unit| clips::is_slice(unit)).unwrap());
    assert_eq!(read(&annexb_of(&parts)).lacks, Some(Lack::Slice));
}

#[test]
fn without_its_parameter_sets_a_stream_is_judged_by_the_headers_of_its_units() {
    let (units, _) = clip(STRUCTURES[0]);
    let mut reader = H265::default();
    for unit in &units[1..8] {
        let found = reader.read(unit).unwrap();
        let by_headers = nal::inspect(unit, h265_unit).unwrap();
        assert_eq!(found, Inspection { is_leading: found.is_leading, ..by_headers });
    }
}

#[test]
fn a_stream_of_h264_is_none_of_h265() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/media/pedestrians-bframes.mp4");
    let mut h264 = MediaReader::open(path).unwrap();
    let mut reader = H265::default();
    for _ in 0..50 {
        assert_eq!(reader.read(&h264.next_packet().unwrap().unwrap().data), None);
    }
    let (units, _) = clip("keyint=20:bframes=0");
    assert!(reader.read(&units[0]).is_some() && reader.read(&units[1]).is_some());
}

fn short_clip() -> &'static Vec<Vec<u8>> {
    static CLIP: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    CLIP.get_or_init(|| clip(STRUCTURES[4]).0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Nor is what was a picture by the headers of its units taken for none at all.
    #[test]
    fn no_damage_makes_it_panic(
        flips in proptest::collection::vec((0..20_usize, 0..400_usize, any::<u8>()), 0..30),
        cuts in proptest::collection::vec((0..20_usize, 0..400_usize), 0..5),
        order in proptest::collection::vec(0..20_usize, 0..30),
    ) {
        let mut units = short_clip().clone();
        for (unit, at, byte) in flips {
            let at = at % units[unit].len();
            units[unit][at] ^= byte;
        }
        for (unit, length) in cuts {
            units[unit].truncate(length);
        }
        let mut reader = H265::default();
        for number in order {
            let found = reader.read(&units[number]);
            let by_headers = nal::inspect(&units[number], h265_unit);
            prop_assert_eq!(found.is_some(), by_headers.is_some());
            if number == 7 {
                reader.begin_anew();
            }
        }
    }

    #[test]
    fn no_units_make_it_panic(
        units in proptest::collection::vec(
            (0..42_u8, 0..5_u8, proptest::collection::vec(any::<u8>(), 0..80)), 0..40
        ),
    ) {
        let mut reader = H265::default();
        for (kind, layer, payload) in units {
            reader.read(&[&[0, 0, 1, kind << 1, layer], &payload[..]].concat());
        }
    }

    /// Parameter sets of which only the end is made up, so that more of it is read.
    #[test]
    fn no_parameter_sets_make_it_panic(
        from in 0..90_usize,
        bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(0xff), any::<u8>()], 90),
    ) {
        let units = short_clip();
        let mut parts = clips::nal_units(&units[0]);
        for part in &mut parts {
            for (place, byte) in part.iter_mut().zip(&bytes).skip(from) {
                *place = *byte;
            }
        }
        let mut reader = H265::default();
        reader.read(&annexb_of(&parts));
        for unit in &units[1..6] {
            reader.read(unit);
        }
    }
}
