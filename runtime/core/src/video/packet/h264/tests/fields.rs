//! Frame numbers, output order and fields, of streams written by hand.

use super::write::{FIELDS, FRAMES, Sequence, Slice, recovery_point};
use super::*;
use crate::video::packet::h264::headers::Parity::{Bottom, Top};

/// Reads records, of which the first has the sets before it.
fn read(of: Sequence, records: &[Vec<u8>]) -> Vec<Inspection> {
    let mut reader = H264::default();
    let sets = of.sets();
    let with_sets = records.iter().enumerate().map(|(number, record)| {
        let sets = if number == 0 { &sets[..] } else { &[] };
        [sets, record].concat()
    });
    with_sets.map(|record| reader.read(&record).expect("H.264")).collect()
}

const REFERENCE: Option<Lack> = Some(Lack::Reference);

#[test]
fn the_second_field_of_a_frame_goes_on_with_it() {
    use Content::{Continuation, KeyPicture, Picture};
    let field = |number, order| Slice::reference(FIELDS, number, order);
    let disposable = |number, order| Slice::disposable(FIELDS, number, order);
    let records = [
        Slice::idr(FIELDS, 0).field(Top).unit(),
        field(0, 1).field(Bottom).unit(),
        field(1, 4).field(Top).unit(),
        field(1, 5).field(Bottom).unit(),
        disposable(2, 2).field(Top).unit(),
        disposable(2, 3).field(Bottom).unit(),
        // Both in one record.
        [field(2, 6).field(Top).unit(), field(2, 7).field(Bottom).unit()].concat(),
        field(3, 8).unit(),
        [disposable(4, 10).field(Top).unit(), disposable(4, 11).field(Bottom).unit()].concat(),
    ];
    let found = read(FIELDS, &records);
    let expected = [
        KeyPicture,
        Continuation,
        Picture,
        Continuation,
        Picture,
        Continuation,
        Picture,
        Picture,
        Picture,
    ];
    assert_eq!(contents(&found), expected);
    assert_eq!(lacks(&found), [None; 9]);
    assert!(found.iter().all(|it| !it.has_several_pictures));
    let first_fields: Vec<usize> = (0..9).filter(|&at| found[at].is_first_field).collect();
    assert_eq!(first_fields, [0, 2, 4]);
    let positions: Vec<i64> = found.iter().filter_map(|it| it.position).collect();
    assert_eq!(positions, [0, 0, 1, 1, 2, 2, 2, 3, 4]);
    let disposable: Vec<bool> = found.iter().map(|it| it.disposable).collect();
    let only_whole = [false, false, false, false, false, false, false, false, true];
    assert_eq!(disposable, only_whole, "a frame is left out as a whole, or not at all");
}

#[test]
fn a_field_that_is_lost_is_missed() {
    let fields = |number: u32| {
        let order = 2 * number as i32;
        let top = Slice::reference(FIELDS, number, order).field(Top).unit();
        [top, Slice::reference(FIELDS, number, order + 1).field(Bottom).unit()]
    };
    let idr = [
        Slice::idr(FIELDS, 0).field(Top).unit(),
        Slice::reference(FIELDS, 0, 1).field(Bottom).unit(),
    ];
    let whole: Vec<Vec<u8>> = idr.into_iter().chain((1..5).flat_map(fields)).collect();
    for lost in 1..whole.len() {
        let mut records = whole.clone();
        records.remove(lost);
        let found = read(FIELDS, &records);
        let flagged: Vec<usize> =
            (0..found.len()).filter(|&it| found[it].lacks.is_some()).collect();
        let expected = if lost == 9 { vec![] } else { vec![lost] };
        assert_eq!(flagged, expected, "without {lost}");
        let half = if lost % 2 == 0 { Some(Lack::Slice) } else { REFERENCE };
        assert!(flagged.iter().all(|&it| found[it].lacks == half), "without {lost}");
    }
}

#[test]
fn a_gap_is_told_once_and_only_where_frame_numbers_have_none() {
    for may_have_gaps in [false, true] {
        let of = Sequence { may_have_gaps, ..FRAMES };
        let records = [
            Slice::idr(of, 0).unit(),
            Slice::reference(of, 1, 2).unit(),
            Slice::reference(of, 5, 10).unit(),
            Slice::reference(of, 6, 12).unit(),
            Slice::disposable(of, 9, 16).unit(),
            Slice::disposable(of, 9, 18).unit(),
            Slice::reference(of, 9, 20).unit(),
        ];
        let gap = if may_have_gaps { None } else { REFERENCE };
        let found = read(of, &records);
        assert_eq!(lacks(&found), [None, None, gap, None, gap, None, None]);
        let positions: Vec<i64> = found.iter().filter_map(|it| it.position).collect();
        assert_eq!(positions, [0, 1, 5, 6, 9, 9, 9]);
    }
}

#[test]
fn frame_numbers_that_begin_again_go_on_counting() {
    let up_to_40: Vec<Vec<u8>> = std::iter::once(Slice::idr(FRAMES, 0).unit())
        .chain((1..40).map(|number| Slice::reference(FRAMES, number, 2 * number as i32).unit()))
        .chain([Slice::idr(FRAMES, 1).unit(), Slice::reference(FRAMES, 1, 2).unit()])
        .collect();
    let found = read(FRAMES, &up_to_40);
    let positions: Vec<i64> = found.iter().filter_map(|it| it.position).collect();
    assert_eq!(positions, (0..42).collect::<Vec<i64>>());
    assert!(found.iter().all(|it| it.lacks.is_none()));
}

#[test]
fn an_idr_picture_that_is_lost_is_missed() {
    // Groups of two: the numbers are 0 and 1, and again.
    let group = |id| [Slice::idr(FRAMES, id).unit(), Slice::reference(FRAMES, 1, 2).unit()];
    let mut records = [group(0), group(1)].concat();
    records.remove(2);
    // Other macroblocks than those of the picture before, which has the same number.
    records[2].push(0x55);
    assert_eq!(lacks(&read(FRAMES, &records)), [None, None, REFERENCE]);
    // An encoder that never counts is let be.
    let still = [
        Slice::idr(FRAMES, 0).unit(),
        Slice::reference(FRAMES, 0, 2).unit(),
        Slice::reference(FRAMES, 0, 4).unit(),
    ];
    assert_eq!(lacks(&read(FRAMES, &still)), [None; 3]);
}

#[test]
fn a_picture_that_forgets_all_before_it_begins_counting_again() {
    let forgets = Slice { forgets: true, ..Slice::reference(FRAMES, 3, 6) };
    let records = [
        Slice::idr(FRAMES, 0).unit(),
        Slice::reference(FRAMES, 1, 2).unit(),
        Slice::reference(FRAMES, 2, 4).unit(),
        [recovery_point(0), Slice { is_intra: true, ..forgets }.unit()].concat(),
        Slice::reference(FRAMES, 1, 2).unit(),
        Slice::reference(FRAMES, 2, 4).unit(),
    ];
    let found = read(FRAMES, &records);
    assert_eq!(lacks(&found), [None; 6]);
    assert!(found.iter().all(|it| !it.is_leading), "their order begins again, too");
    assert_eq!(found[5].position, Some(5));
}

/// Whatever tells the order: B-pictures before and behind a key picture that is shown between.
#[test]
fn leading_pictures_are_known_by_any_kind_of_output_order() {
    let types = [
        (0, [10, 6, 8, 14, 12]),
        // By type 1 reference pictures are expected at 2, 6, 8 and 12, others one before those.
        (1, [0, -3, -1, 0, 0]),
    ];
    for (order, at) in types {
        let of = Sequence { order, ..FRAMES };
        let key = Slice { is_intra: true, ..Slice::reference(of, 2, at[0]) };
        let records = [
            Slice::idr(of, 0).unit(),
            Slice::reference(of, 1, if order == 0 { 4 } else { 0 }).unit(),
            [recovery_point(0), key.unit()].concat(),
            Slice::disposable(of, 3, at[1]).unit(),
            Slice::disposable(of, 3, at[2]).unit(),
            Slice::reference(of, 3, at[3]).unit(),
            Slice::disposable(of, 4, at[4]).unit(),
        ];
        let found = read(of, &records);
        let leading: Vec<bool> = found.iter().map(|it| it.is_leading).collect();
        let expected = [false, false, false, true, true, false, false];
        assert_eq!(leading, expected, "type {order}");
    }
}

#[test]
fn behind_a_key_picture_that_came_without_those_before_leading_pictures_lack_them() {
    let key = Slice { is_intra: true, ..Slice::reference(FRAMES, 5, 20) };
    let records = [
        Slice::idr(FRAMES, 0).unit(),
        Slice::reference(FRAMES, 1, 2).unit(),
        [recovery_point(0), key.unit()].concat(),
        Slice::disposable(FRAMES, 6, 16).unit(),
        Slice::disposable(FRAMES, 6, 18).unit(),
        Slice::reference(FRAMES, 6, 24).unit(),
    ];
    let found = read(FRAMES, &records);
    assert_eq!(lacks(&found), [None, None, None, REFERENCE, REFERENCE, None]);
}
