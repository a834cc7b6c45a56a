//! Looks at one access unit after the other: is it the codec's, does it show a picture, can
//! decoding begin here, is all there that it needs?

use ffmpeg_next::codec::Id;

use super::av1::Av1;
use super::codec::Codec;
use super::h264::H264;
use super::h265::H265;
use super::inspect::{Content, Inspection};
use super::mpeg::{Generation, Mpeg};
use super::{still, vp8, vp9};

/// Looks at the access units of one stream. It remembers what came before, so each is to be shown
/// to it once, in the order in which they came, whether it is decoded or not.
#[derive(Debug)]
pub struct Inspector {
    codec: Codec,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    H264(Box<H264>),
    H265(Box<H265>),
    Av1(Av1),
    Mpeg(Mpeg),
    /// What needs no memory.
    Single(fn(&[u8]) -> Option<Inspection>),
}

impl Inspector {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        let reader = match codec.id() {
            Id::H264 => Reader::H264(Box::default()),
            Id::HEVC => Reader::H265(Box::default()),
            Id::VP9 if codec.gives_each_layer() => Reader::Single(vp9::read_each_layer),
            Id::VP9 => Reader::Single(vp9::read),
            Id::AV1 => Reader::Av1(Av1::default()),
            Id::MPEG1VIDEO | Id::MPEG2VIDEO => Reader::Mpeg(Mpeg::new(Generation::OneOrTwo)),
            Id::MPEG4 => Reader::Mpeg(Mpeg::new(Generation::Four)),
            Id::VP8 => Reader::Single(vp8::read),
            Id::MJPEG => Reader::Single(still::mjpeg),
            Id::PNG => Reader::Single(still::png),
            _ if codec.is_still() => Reader::Single(still::any),
            _ => Reader::Single(|_| Some(Inspection::of(Content::Unknown))),
        };
        Self { codec, reader }
    }

    /// The codec whose access units it looks at.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Looks at the next access unit. `None`: it is not of this codec at all.
    pub fn inspect(&mut self, data: &[u8]) -> Option<Inspection> {
        if data.is_empty() {
            return None;
        }
        let found = match &mut self.reader {
            Reader::H264(reader) => reader.read(data),
            Reader::H265(reader) => reader.read(data),
            Reader::Av1(reader) => reader.read(data),
            Reader::Mpeg(reader) => reader.read(data),
            Reader::Single(read) => read(data),
        }?;
        // A stranger's record may say both: the types of its units one thing, headers another.
        let is_closed = found.is_closed && found.content == Content::KeyPicture;
        Some(Inspection { is_closed, ..found })
    }

    /// What comes next does not follow what came last: nothing is missed, and parameter sets stay.
    pub fn begin_anew(&mut self) {
        match &mut self.reader {
            Reader::H264(reader) => reader.begin_anew(),
            Reader::H265(reader) => reader.begin_anew(),
            Reader::Av1(reader) => reader.begin_anew(),
            Reader::Mpeg(reader) => reader.begin_anew(),
            Reader::Single(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::video::packet::annexb;

    fn inspect(codec: Codec, data: &[u8]) -> Option<Inspection> {
        Inspector::new(codec).inspect(data)
    }

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
