//! Where decoding can begin.

use super::*;

#[test]
fn behind_a_refresh_pictures_are_right_from_where_libavcodec_shows_them() {
    // Where B-pictures are for reference, the first that is right may come behind one that is
    // output after it: that one is right as well, which could not be known yet.
    let structures = [
        ("intra-refresh=1:keyint=20:bframes=0", true),
        ("intra-refresh=1:keyint=16:bframes=2:b-pyramid=none", true),
        ("intra-refresh=1:keyint=16:bframes=2:b-pyramid=normal", false),
    ];
    for (structure, are_all_known) in structures {
        let units = encoded(structure, 70);
        let whole = decoded(without(&units, |_| false), true);
        let all = inspected(without(&units, |_| false));
        let points = all.iter().filter_map(|(&number, it)| match it.content {
            Content::RefreshPoint { right_from } => Some((number, right_from)),
            _ => None,
        });
        let points: Vec<(usize, i64)> = points.collect();
        assert!(points.len() >= 2, "{structure}: {points:?}");
        for (point, _) in points {
            // The first access unit for its sets alone.
            let mut reader = H264::default();
            reader.read(&units[0]);
            reader.begin_anew();
            let joined: Vec<(usize, &[u8])> = without(&units, |it| it < point).collect();
            let found = joined.iter().map(|&(number, unit)| (number, reader.read(unit).unwrap()));
            let found: Vec<(usize, Inspection)> = found.collect();
            let Content::RefreshPoint { right_from } = found[0].1.content else {
                panic!("{structure}: {point}")
            };
            let shown = decoded(sets_of(&units[0]).chain(joined.iter().copied()), false);
            for (number, picture) in found {
                let is_right = picture.position.unwrap() >= right_from;
                assert_eq!(picture.lacks, None);
                let is_shown = shown.contains_key(&number);
                assert!(is_shown || !is_right, "{structure}: {number} behind {point}");
                assert!(is_right || !is_shown || !are_all_known, "{structure}: {number}");
                if is_right {
                    assert_eq!(shown[&number], whole[&number], "{structure}: {number}");
                }
            }
        }
    }
}

#[test]
fn an_intra_picture_is_a_key_picture_where_there_is_one_reference() {
    for (references, expected) in [(1, Content::KeyPicture), (3, Content::Picture)] {
        // Another scene so soon behind a key frame gets no IDR picture.
        let picture = "testsrc2=size=96x64:rate=25,negate=enable='gte(n,10)'";
        let parameters = format!("bframes=0:ref={references}:keyint=60:min-keyint=30");
        let units = clips::h264(picture, &parameters, 20);
        let found = inspected(without(&units, |_| false));
        assert_eq!(found[&10].content, expected, "{references}");
        assert_eq!(found[&9].content, Content::Picture);
        assert_eq!(found[&11].content, Content::Picture);
        assert!(!found[&10].disposable);
    }
}

/// Messages come packed into one unit, and in a record of their own.
#[test]
fn a_recovery_point_is_found_wherever_it_stands() {
    let picture = [0, 0, 1, 0x41, 0x9a, 1];
    let read = |records: &[&[u8]]| {
        let mut reader = H264::default();
        records.iter().map(|it| reader.read(it).unwrap().content).collect::<Vec<_>>()
    };
    let key = Content::KeyPicture;
    let alone = [0, 0, 1, 6, 6, 1, 0xc4, 0x80];
    assert_eq!(read(&[&[&alone[..], &picture].concat()]), [key]);
    let second = [0, 0, 1, 6, 1, 2, 9, 9, 6, 1, 0xc4, 0x80];
    assert_eq!(read(&[&[&second[..], &picture].concat()]), [key]);
    let in_another = [&[0, 0, 1, 6, 1, 2, 9, 9, 0x80][..], &alone, &picture].concat();
    assert_eq!(read(&[&in_another]), [key]);
    let apart = [&alone[..], &picture, &picture];
    assert_eq!(read(&apart), [Content::NoPicture, key, Content::Picture]);
    let behind = [&picture[..], &alone].concat();
    assert_eq!(read(&[&behind, &picture]), [Content::Picture, key]);
    let gradual = [0, 0, 1, 6, 6, 1, 0b0110_0010, 0x80];
    assert_eq!(read(&[&[&gradual[..], &picture].concat()]), [Content::Picture], "by types alone");
}
