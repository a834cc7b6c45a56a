//! Looks at one access unit: is it the codec's, does it show a picture, can decoding begin here?

use ffmpeg_next::codec::Id;

use super::annexb::Packaging;
use super::codec::Codec;
use crate::video::packet::annexb;

/// What an access unit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A picture that needs no other; decoding can begin here.
    KeyPicture,
    /// A picture that needs others before it.
    Picture,
    /// Something the decoder must see, but no picture comes of it: parameter sets, a hidden
    /// frame.
    NoPicture,
    /// A picture, as far as can be said of a codec that is not looked into.
    Unknown,
}

/// The result of [`inspect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspection {
    /// What the access unit holds.
    pub content: Content,
    /// The lengths before its NAL units must become start codes for the decoder.
    pub length_prefixed: bool,
    /// It is known that no other picture needs this one.
    pub disposable: bool,
    /// Of H.265: pictures of higher temporal sub-layers than this may need this one, and no others.
    pub needed_above: Option<u8>,
    /// Of H.265: by a sequence parameter set in here, no temporal sub-layer is higher than this.
    pub highest_sub_layer: Option<u8>,
    /// It is known that nothing goes across: no picture from here on needs one before it, and none
    /// before it is shown later. Decoders can change places here.
    pub is_closed: bool,
    /// It holds parameter sets, which pictures after it may need, too; see
    /// [`ParameterSets`](crate::video::packet::parameter_sets::ParameterSets).
    pub has_parameter_sets: bool,
}

impl Inspection {
    /// An access unit of which nothing else is known.
    #[must_use]
    pub fn of(content: Content) -> Self {
        Self {
            content,
            length_prefixed: false,
            disposable: false,
            needed_above: None,
            highest_sub_layer: None,
            is_closed: false,
            has_parameter_sets: false,
        }
    }

    /// What is known of it in a stream whose temporal sub-layers are these.
    #[must_use]
    pub fn among(self, highest_sub_layer: Option<u8>) -> Self {
        let nobody_is_above = self.needed_above.is_some() && self.needed_above == highest_sub_layer;
        Self { disposable: self.disposable || nobody_is_above, ..self }
    }
}

/// Looks at one access unit. `None`: it is not of this codec at all.
#[must_use]
pub fn inspect(codec: Codec, data: &[u8]) -> Option<Inspection> {
    if data.is_empty() {
        return None;
    }
    let content = match codec.id() {
        Id::H264 => return nal_units(data, h264_unit),
        Id::HEVC => return nal_units(data, h265_unit),
        Id::MJPEG => data.starts_with(&[0xff, 0xd8]).then_some(Content::KeyPicture)?,
        Id::VP8 => vp8(data)?,
        Id::VP9 => vp9(data)?,
        Id::AV1 => av1(data)?,
        _ => Content::Unknown,
    };
    // Of the others it is not known what a key frame leaves as it was.
    let is_closed = content == Content::KeyPicture && matches!(codec.id(), Id::VP8 | Id::VP9);
    Some(Inspection { is_closed, ..Inspection::of(content) })
}

fn nal_units(data: &[u8], look: fn(&[u8]) -> Option<NalUnit>) -> Option<Inspection> {
    let packaging = annexb::packaging(data)?;
    let (mut recovery_point, mut has_parameter_sets) = (false, false);
    let (mut content, mut disposable, mut is_closed) = (None, false, false);
    let (mut needed_above, mut highest_sub_layer) = (None, None);
    annexb::for_each_unit(data, packaging, |unit| match look(unit) {
        Some(NalUnit::KeySlice { closed }) => {
            content = Some(Content::KeyPicture);
            is_closed = closed;
            false
        }
        Some(NalUnit::Slice { needed_by }) => {
            let key = recovery_point;
            match needed_by {
                Others::Any => {}
                Others::None => disposable = !key,
                Others::Above(layer) => needed_above = Some(layer),
            }
            content = Some(if key { Content::KeyPicture } else { Content::Picture });
            false
        }
        Some(NalUnit::RecoveryPoint) => {
            recovery_point = true;
            content.get_or_insert(Content::NoPicture);
            true
        }
        Some(NalUnit::ParameterSet { sub_layers }) => {
            has_parameter_sets = true;
            highest_sub_layer = highest_sub_layer.max(sub_layers);
            content.get_or_insert(Content::NoPicture);
            true
        }
        Some(NalUnit::Other) => {
            content.get_or_insert(Content::NoPicture);
            true
        }
        None => true,
    });
    let length_prefixed = packaging == Packaging::LengthPrefixed;
    content.map(|content| Inspection {
        content,
        length_prefixed,
        disposable,
        needed_above,
        highest_sub_layer,
        is_closed,
        has_parameter_sets,
    })
}

/// What a NAL unit is, as far as it matters here.
pub(crate) enum NalUnit {
    /// Of a key picture. `closed`: see [`Inspection::is_closed`].
    KeySlice {
        closed: bool,
    },
    Slice {
        needed_by: Others,
    },
    /// Every picture from here on comes out whole, though it is no IDR picture.
    RecoveryPoint,
    /// `sub_layers`: see [`Inspection::highest_sub_layer`].
    ParameterSet {
        sub_layers: Option<u8>,
    },
    Other,
}

/// Which other pictures may need one.
pub(crate) enum Others {
    Any,
    None,
    /// Those of higher temporal sub-layers than this.
    Above(u8),
}

/// ITU-T H.264, table 7-1 and annex D.
pub(crate) fn h264_unit(unit: &[u8]) -> Option<NalUnit> {
    let header = *unit.first()?;
    if header & 0x80 != 0 {
        return None;
    }
    match header & 0x1f {
        5 => Some(NalUnit::KeySlice { closed: true }),
        // `nal_ref_idc` is 0 in all slices of a picture, or in none.
        1 | 2 => {
            let needed_by = if header & 0x60 != 0 { Others::Any } else { Others::None };
            Some(NalUnit::Slice { needed_by })
        }
        6 => Some(match unit.get(1..4) {
            // payloadType 6, and `recovery_frame_cnt` 0: its Exp-Golomb code is a single one bit.
            Some([6, _, payload]) if payload & 0x80 != 0 => NalUnit::RecoveryPoint,
            _ => NalUnit::Other,
        }),
        7 | 8 | 13 | 15 => Some(NalUnit::ParameterSet { sub_layers: None }),
        // Partitions B and C follow their A; the rest is not specified.
        3 | 4 | 9..=21 => Some(NalUnit::Other),
        _ => None,
    }
}

/// ITU-T H.265, table 7-1 and, for the third byte of a sequence parameter set, section 7.3.2.2.
pub(crate) fn h265_unit(unit: &[u8]) -> Option<NalUnit> {
    let [header, layer] = *unit.first_chunk::<2>()?;
    // `nuh_temporal_id_plus1` is never 0.
    if header & 0x80 != 0 || layer & 7 == 0 {
        return None;
    }
    let is_base_layer = header & 1 == 0 && layer >> 3 == 0;
    match (header >> 1) & 0x3f {
        // Behind a clean random access picture may come some that are shown before it and need what
        // was before; behind one that breaks the link, such can't be decoded anyway.
        21 => Some(NalUnit::KeySlice { closed: false }),
        16..=20 => Some(NalUnit::KeySlice { closed: true }),
        // Pictures that their own temporal sub-layer does not need, those above it may. Of another
        // layer than the base layer it is not known what it is for.
        kind @ 0..=9 => {
            let is_of_sub_layer = kind % 2 == 0 && is_base_layer;
            let needed_by =
                if is_of_sub_layer { Others::Above((layer & 7) - 1) } else { Others::Any };
            Some(NalUnit::Slice { needed_by })
        }
        33 if is_base_layer => {
            let sub_layers = unit.get(2).map(|&byte| (byte >> 1) & 7);
            Some(NalUnit::ParameterSet { sub_layers })
        }
        32..=34 => Some(NalUnit::ParameterSet { sub_layers: None }),
        35..=40 => Some(NalUnit::Other),
        _ => None,
    }
}

/// RFC 6386, section 9.1.
fn vp8(data: &[u8]) -> Option<Content> {
    let tag = *data.first()?;
    let (key, version, shown) = (tag & 1 == 0, (tag >> 1) & 7, tag & 0x10 != 0);
    if version > 3 || data.len() < 4 || (key && data.get(3..6) != Some(&[0x9d, 0x01, 0x2a])) {
        return None;
    }
    Some(match (shown, key) {
        (true, true) => Content::KeyPicture,
        (true, false) => Content::Picture,
        (false, _) => Content::NoPicture,
    })
}

/// VP9 bitstream specification, section 6.2 and annex B.
fn vp9(data: &[u8]) -> Option<Content> {
    let first = *data.first()?;
    if first >> 6 != 0b10 {
        return None;
    }
    let profile = (first >> 5 & 1) | (first >> 4 & 1) << 1;
    // Profile 3 has one more reserved bit before `show_existing_frame`.
    let bits = if profile == 3 { first << 5 } else { first << 4 };
    let (show_existing, inter, shown) = (bits & 0x80 != 0, bits & 0x40 != 0, bits & 0x20 != 0);
    let superframe = data.last().is_some_and(|last| last & 0xe0 == 0xc0);
    Some(if show_existing {
        Content::Picture
    } else if !shown && !superframe {
        Content::NoPicture
    } else if inter {
        Content::Picture
    } else {
        Content::KeyPicture
    })
}

/// AV1 bitstream specification, section 5.3: a temporal unit in which decoding can begin carries a
/// sequence header.
fn av1(data: &[u8]) -> Option<Content> {
    let mut rest = data;
    let (mut sequence_header, mut frame) = (false, false);
    while let Some((&header, tail)) = rest.split_first() {
        let (forbidden, kind) = (header & 0x80 != 0, (header >> 3) & 0xf);
        let (has_extension, has_size) = (header & 4 != 0, header & 2 != 0);
        if forbidden || header & 1 != 0 {
            return None;
        }
        match kind {
            1 => sequence_header = true,
            3 | 6 => frame = true,
            2 | 4 | 5 | 7 | 8 | 15 => {}
            _ => return None,
        }
        let body = tail.get(usize::from(has_extension)..)?;
        rest = if has_size {
            let (size, length) = leb128(body)?;
            body.get(length.checked_add(size)?..)?
        } else {
            &[]
        };
    }
    Some(match (frame, sequence_header) {
        (true, true) => Content::KeyPicture,
        (true, false) => Content::Picture,
        (false, _) => Content::NoPicture,
    })
}

/// A number in AV1's little-endian base 128, and how many bytes it takes.
fn leb128(data: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (index * 7);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(codec: &str, data: &[u8]) -> Option<Content> {
        inspect(Codec::from_name(codec).expect("codec"), data).map(|found| found.content)
    }

    #[test]
    fn h264_key_frames_are_idr_pictures_and_recovery_points() {
        assert_eq!(content("h264", &[0, 0, 1, 0x65, 1]), Some(Content::KeyPicture));
        assert_eq!(content("h264", &[0, 0, 1, 0x41, 1]), Some(Content::Picture));
        assert_eq!(
            content("h264", &[0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 1]),
            Some(Content::NoPicture)
        );
        let recovery = [0, 0, 1, 6, 6, 1, 0xc4, 0x80, 0, 0, 1, 0x41, 1];
        assert_eq!(content("h264", &recovery), Some(Content::KeyPicture));
    }

    #[test]
    fn h264_says_which_pictures_no_other_needs() {
        let h264 = Codec::from_name("h264").unwrap();
        let disposable = |data: &[u8]| inspect(h264, data).unwrap().disposable;
        assert!(disposable(&[0, 0, 1, 0x01, 1]));
        assert!(!disposable(&[0, 0, 1, 0x41, 1]));
        assert!(!disposable(&[0, 0, 1, 0x65, 1]));
        let recovery = [0, 0, 1, 6, 6, 1, 0xc4, 0x80, 0, 0, 1, 0x01, 1];
        assert!(!disposable(&recovery));
    }

    #[test]
    fn h265_says_which_pictures_their_own_temporal_sub_layer_does_not_need() {
        let h265 = Codec::from_name("h265").unwrap();
        let picture = |kind: u8, sub_layer: u8, other_layer: u8| {
            let data = [0, 0, 1, kind << 1, other_layer << 3 | (sub_layer + 1), 9];
            inspect(h265, &data).unwrap()
        };
        for kind in [0, 2, 4, 6, 8] {
            let found = picture(kind, 1, 0);
            assert!(!found.disposable && !found.among(None).disposable, "no sub-layers are known");
            assert!(!found.among(Some(2)).disposable, "those above may need it");
            assert!(found.among(Some(1)).disposable, "type {kind}");
            assert!(!found.among(Some(0)).disposable, "of a sub-layer that should not be");
            assert!(!picture(kind, 1, 1).among(Some(1)).disposable, "not of the base layer");
            assert!(!picture(kind + 1, 1, 0).among(Some(1)).disposable, "type {}", kind + 1);
        }
        let highest = |data: &[u8]| inspect(h265, data).unwrap().highest_sub_layer;
        let (sps, of_other_layer) = ([33 << 1, 1, 0b0000_0101, 1], [33 << 1, 9, 0b0000_1001, 1]);
        assert_eq!(highest(&[&[0, 0, 1][..], &sps].concat()), Some(2));
        assert_eq!(highest(&[&[0, 0, 1][..], &of_other_layer].concat()), None);
        let two = [&[0, 0, 1, 33 << 1, 1, 1, 1, 0, 0, 1][..], &sps, &[0, 0, 1, 2, 1, 9]].concat();
        assert_eq!(highest(&two), Some(2), "the most of several");
    }

    #[test]
    fn nothing_goes_across_a_key_frame_that_empties_the_decoder() {
        let closed = |codec: &str, data: &[u8]| {
            inspect(Codec::from_name(codec).unwrap(), data).unwrap().is_closed
        };
        assert!(closed("h264", &[0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 1]));
        let recovery = [0, 0, 1, 6, 6, 1, 0xc4, 0x80, 0, 0, 1, 0x41, 1];
        assert!(!closed("h264", &recovery), "B-frames before it may be to come");
        assert!(!closed("h264", &[0, 0, 1, 0x41, 1]));
        for (kind, expected) in [(16, true), (19, true), (20, true), (21, false), (1, false)] {
            assert_eq!(closed("h265", &[0, 0, 1, kind << 1, 1, 9]), expected, "type {kind}");
        }
        assert!(closed("vp8", &[0x10, 0, 0, 0x9d, 0x01, 0x2a]));
        assert!(!closed("vp8", &[0x11, 0, 0, 0]));
        assert!(!closed("mjpeg", &[0xff, 0xd8]), "its tables may be those of another");
    }

    #[test]
    fn parameter_sets_are_noticed_alone_and_before_a_picture() {
        let has = |codec: &str, data: &[u8]| {
            inspect(Codec::from_name(codec).unwrap(), data).unwrap().has_parameter_sets
        };
        assert!(has("h264", &[0, 0, 1, 0x67, 1]));
        assert!(has("h264", &[0, 0, 1, 9, 1, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x41, 1]));
        assert!(!has("h264", &[0, 0, 1, 9, 1, 0, 0, 1, 0x65, 1]));
        assert!(has("h265", &[0, 0, 1, 34 << 1, 1, 9, 0, 0, 1, 1 << 1, 1, 9]));
        assert!(!has("h265", &[0, 0, 1, 35 << 1, 1, 9, 0, 0, 1, 1 << 1, 1, 9]));
    }

    #[test]
    fn h265_key_frames_are_random_access_pictures() {
        assert_eq!(content("h265", &[0, 0, 1, 19 << 1, 1, 9]), Some(Content::KeyPicture));
        assert_eq!(content("h265", &[0, 0, 1, 21 << 1, 1, 9]), Some(Content::KeyPicture));
        assert_eq!(content("h265", &[0, 0, 1, 1 << 1, 1, 9]), Some(Content::Picture));
        assert_eq!(content("h265", &[0, 0, 1, 33 << 1, 1, 9]), Some(Content::NoPicture));
    }

    #[test]
    fn a_record_of_another_kind_is_not_video() {
        let jpeg = [0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F'];
        for codec in ["h264", "h265", "vp8", "av1"] {
            assert_eq!(content(codec, &jpeg), None, "{codec}");
        }
        assert_eq!(content("mjpeg", &jpeg), Some(Content::KeyPicture));
        assert_eq!(content("mjpeg", b"text"), None);
        for codec in ["h264", "h265", "mjpeg", "vp8", "vp9", "av1"] {
            assert_eq!(content(codec, &[]), None, "{codec}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            for codec in ["h264", "h265", "mjpeg", "vp8", "vp9", "av1"] {
                let _ = content(codec, &data);
                let mut prefixed = data.clone();
                annexb::lengths_to_start_codes(&mut prefixed);
                prop_assert_eq!(prefixed.len(), data.len());
            }
        }
    }
}
