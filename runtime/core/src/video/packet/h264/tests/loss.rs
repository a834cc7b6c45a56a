//! What is lost before it comes, over all records of streams of several structures.

use super::*;
use crate::video::packet::annexb;

const STRUCTURES: [&str; 9] = [
    "bframes=0:ref=1:keyint=12",
    "bframes=0:ref=4:keyint=60",
    "bframes=0:ref=2:keyint=1",
    "bframes=3:b-adapt=0:b-pyramid=none:ref=2:keyint=20",
    "bframes=3:b-adapt=0:b-pyramid=normal:ref=4:keyint=20",
    "bframes=2:b-adapt=0:open-gop=1:b-pyramid=none:ref=3:keyint=12:min-keyint=2",
    "bframes=3:b-adapt=0:open-gop=1:b-pyramid=normal:ref=2:keyint=12:min-keyint=2",
    "bframes=0:ref=3:slices=4:keyint=15",
    "bframes=2:b-adapt=0:tff=1:ref=2:keyint=15",
];

#[test]
fn the_first_picture_that_lacks_one_is_the_first_that_decodes_otherwise() {
    for structure in STRUCTURES {
        let units = encoded(structure, 50);
        let whole = decoded(without(&units, |_| false), true);
        assert_eq!(whole.len(), units.len(), "{structure}");
        let disposable = inspected(without(&units, |_| false));
        for lost in 1..units.len() {
            let damaged = decoded(without(&units, |it| it == lost), true);
            let differs = (lost + 1..units.len()).find(|it| damaged.get(it) != whole.get(it));
            let found = inspected(without(&units, |it| it == lost));
            let lacks = found.iter().find(|(_, it)| it.lacks.is_some()).map(|(&number, _)| number);
            assert_eq!(lacks, differs, "{structure}, without {lost}");
            assert!(lacks.is_none() || !disposable[&lost].disposable, "{structure}, {lost}");
        }
    }
}

#[test]
fn nothing_lacks_where_nothing_is_lost() {
    for structure in STRUCTURES.into_iter().chain(["intra-refresh=1:keyint=20:bframes=0"]) {
        let units = encoded(structure, 50);
        for (number, found) in inspected(without(&units, |_| false)) {
            let flags = (found.lacks, found.is_repeated, found.has_several_pictures);
            assert_eq!(flags, (None, false, false), "{structure}, {number}");
            assert!(found.position.is_some(), "{structure}, {number}");
        }
        // A seek: what comes next does not follow, and still all is there.
        let mut reader = H264::default();
        for (number, unit) in units.iter().enumerate() {
            if number == 20 {
                reader.begin_anew();
            }
            if !(10..20).contains(&number) {
                assert_eq!(reader.read(unit).unwrap().lacks, None, "{structure}, {number}");
            }
        }
    }
}

#[test]
fn the_first_picture_of_a_joined_stream_lacks_nothing() {
    let units = encoded("bframes=0:keyint=60", 30);
    let mut reader = H264::default();
    for unit in &units[10..] {
        let found = reader.read(unit).unwrap();
        assert_eq!((found.content, found.lacks), (Content::Picture, None));
        assert_eq!(found.position, None, "its sets are not known");
    }
}

/// Each of the slices is missing, one after the other.
#[test]
fn the_first_slice_of_a_picture_is_missed_and_of_others_the_decoder_says_so() {
    let units = encoded("bframes=0:ref=1:slices=4:keyint=60", 8);
    let whole = decoded(without(&units, |_| false), true);
    for lost in 0..4 {
        let mut damaged = units.clone();
        damaged[5] = without_slice(&units[5], lost);
        let found = inspected(without(&damaged, |_| false));
        let expected = (lost == 0).then_some(Lack::Slice);
        assert_eq!(found[&5].lacks, expected, "slice {lost}");
        assert_eq!(found[&6].lacks, None, "it is told once");
        assert_ne!(decoded(without(&damaged, |_| false), true)[&5], whole[&5]);
    }
}

fn without_slice(unit: &[u8], lost: usize) -> Vec<u8> {
    let packaging = annexb::packaging(unit).unwrap();
    let (mut kept, mut slices) = (Vec::new(), 0);
    annexb::for_each_unit(unit, packaging, |unit| {
        let is_slice = unit[0] & 0x1f == 1;
        if !is_slice || slices != lost {
            kept.extend([&[0, 0, 0, 1], annexb::alone(unit)].concat());
        }
        slices += usize::from(is_slice);
        true
    });
    assert_eq!(slices, 4);
    kept
}

/// Behind a key picture that is no IDR picture.
#[test]
fn pictures_that_are_shown_before_the_key_picture_are_leading() {
    for structure in [STRUCTURES[5], STRUCTURES[6]] {
        let units = encoded(structure, 50);
        let whole = decoded(without(&units, |_| false), true);
        let found = inspected(without(&units, |_| false));
        let keys = found.iter().filter(|(_, it)| it.content == Content::KeyPicture);
        let keys: Vec<usize> = keys.map(|(&number, _)| number).filter(|&it| it > 0).collect();
        assert!(keys.len() >= 3, "{structure}: {keys:?}");
        for key in keys {
            let joined = sets_of(&units[0]).chain(without(&units, |it| it < key));
            let joined = decoded(joined, true);
            for (&number, picture) in found.range(key..) {
                let is_right = joined.get(&number) == whole.get(&number);
                assert!(is_right || picture.is_leading, "{structure}: {number} behind {key}");
                let next_key = picture.content == Content::KeyPicture && number > key;
                if next_key {
                    break;
                }
                assert_eq!(picture.is_leading, !is_right, "{structure}: {number} behind {key}");
            }
        }
    }
}
