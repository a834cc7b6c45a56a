//! Strangers' streams: nothing in them makes the reader panic, or lose a picture.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::write::{FIELDS, FRAMES, Sequence, Slice};
use super::*;

static CLIPS: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(|| {
    vec![
        encoded("bframes=2:slices=2:keyint=10:ref=3", 20),
        encoded("intra-refresh=1:keyint=10:tff=1", 20),
        std::iter::once(FIELDS.sets())
            .chain((0..40).map(|number| Slice::reference(FIELDS, number, 2).unit()))
            .collect(),
    ]
});

fn read_all(records: &[Vec<u8>]) {
    let mut reader = H264::default();
    for record in records {
        let _ = reader.read(record);
    }
}

proptest! {
    #[test]
    fn any_bytes_behind_any_unit_header_are_read(
        units in proptest::collection::vec(
            (0_u8..128, proptest::collection::vec(any::<u8>(), 0..60)),
            0..12,
        ),
        order in 0..3_u32,
        has_fields: bool,
    ) {
        let mut reader = H264::default();
        let _ = reader.read(&Sequence { order, has_fields, ..FRAMES }.sets());
        for (header, data) in &units {
            let _ = reader.read(&[&[0, 0, 1, *header], &data[..]].concat());
        }
        let all = units.iter().map(|(header, data)| [&[0, 0, 1, *header], &data[..]].concat());
        let _ = reader.read(&all.collect::<Vec<_>>().concat());
    }

    /// Few bits make numbers that are as large as can be.
    #[test]
    fn long_runs_of_zeros_and_ones_are_read(
        bits in proptest::collection::vec((any::<bool>(), 1..40_usize), 1..40),
        header in prop::sample::select(vec![0x67_u8, 0x68, 0x41, 0x65, 0x01, 6, 2]),
    ) {
        let bits: Vec<bool> = bits.iter().flat_map(|&(bit, count)| vec![bit; count]).collect();
        let mut unit = vec![0, 0, 1, header];
        for byte in bits.chunks(8) {
            let byte = byte.iter().fold(0, |value, &bit| value << 1 | u8::from(bit));
            // Kept from looking like a start code.
            let is_escaped = unit.ends_with(&[0, 0]) && byte <= 3;
            unit.extend(if is_escaped { vec![3, byte] } else { vec![byte] });
        }
        for of in [FRAMES, FIELDS, Sequence { order: 1, ..FRAMES }] {
            let mut reader = H264::default();
            let _ = reader.read(&of.sets());
            let _ = reader.read(&unit);
            let _ = reader.read(&Slice::reference(of, 1, 2).unit());
        }
    }

    #[test]
    fn cut_and_flipped_streams_are_read(
        clip in 0..3_usize,
        flips in proptest::collection::vec((0..20_usize, any::<u16>(), 0..8_u8), 0..30),
        cuts in proptest::collection::vec((0..20_usize, any::<u16>()), 0..4),
    ) {
        let mut records = CLIPS[clip].clone();
        for (record, at, bit) in flips {
            // Most of them near the headers.
            let length = records[record].len();
            let at = if at % 3 == 0 { at as usize } else { at as usize % 48 } % length;
            records[record][at] ^= 1 << bit;
        }
        for (record, at) in cuts {
            let length = records[record].len();
            records[record].truncate(at as usize % (length + 1));
        }
        read_all(&records);
    }

    /// What is a picture by the types of its units stays one, unless it is of H.265.
    #[test]
    fn a_picture_stays_a_picture(
        data in proptest::collection::vec(any::<u8>(), 0..80),
        header in prop::sample::select(vec![0x41_u8, 0x65, 0x01, 0x21, 0x25]),
    ) {
        let record = [&[0, 0, 1, header], &data[..]].concat();
        let mut reader = H264::default();
        let _ = reader.read(&FRAMES.sets());
        for mut reader in [reader, H264::default()] {
            let found = reader.read(&record).unwrap().content;
            prop_assert!(!matches!(found, Content::NoPicture | Content::Unknown), "{:?}", found);
        }
    }
}
