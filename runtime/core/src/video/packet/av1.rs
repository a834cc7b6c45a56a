//! AV1: what a temporal unit is. Sections are those of the AV1 bitstream specification.

use bitstream_io::{BigEndian, BitRead, BitReader};

use super::inspect::{Content, Inspection};

/// Reads a stream of AV1, one temporal unit after the other.
#[derive(Debug, Default)]
pub(super) struct Av1 {
    /// By the latest sequence header: frames are stills whose header says nothing of their kind.
    has_short_headers: bool,
    /// That frames have at most, likewise.
    pixels: Option<u64>,
}

impl Av1 {
    pub fn read(&mut self, data: &[u8]) -> Option<Inspection> {
        let (mut is_known, mut has_parameter_sets, mut content) = (false, false, None);
        for obu in Obus(data) {
            let obu = obu?;
            match obu.kind {
                SEQUENCE_HEADER => {
                    (is_known, has_parameter_sets) = (true, true);
                    // Section 5.5.1: `seq_profile`, `still_picture`,
                    // `reduced_still_picture_header`.
                    self.has_short_headers = obu.body.first()? & 0x08 != 0;
                    self.pixels = max_frame_pixels(obu.body);
                }
                // Section 5.9.2. Of several frames of a temporal unit one is shown, the last of the
                // highest layer; decoding can begin where the first one is a key frame.
                3 | 6 => {
                    is_known = true;
                    let found = self.frame(*obu.body.first()?);
                    content = match content {
                        Some(Content::KeyPicture) => content,
                        Some(Content::Picture) => content,
                        _ => Some(found),
                    };
                }
                2 | 4 | 5 | 7 | 8 | 15 => is_known = true,
                // Section 6.2.2: reserved ones are left alone.
                _ => {}
            }
        }
        let content = content.unwrap_or(Content::NoPicture);
        let pixels = self.pixels;
        is_known.then(|| Inspection { has_parameter_sets, pixels, ..Inspection::of(content) })
    }

    fn frame(&self, header: u8) -> Content {
        let (shows_existing, kind, is_shown) =
            (header & 0x80 != 0, header >> 5 & 3, header & 0x10 != 0);
        if self.has_short_headers || (!shows_existing && kind == 0 && is_shown) {
            Content::KeyPicture
        } else if shows_existing || is_shown {
            Content::Picture
        } else {
            Content::NoPicture
        }
    }

    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {}
}

/// The sequence headers in a temporal unit, each a whole OBU.
pub(super) fn sequence_headers(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    Obus(data).map_while(|obu| obu).filter(|obu| obu.kind == SEQUENCE_HEADER).map(|obu| obu.whole)
}

const SEQUENCE_HEADER: u8 = 1;

/// `max_frame_width_minus_1` and `max_frame_height_minus_1` of a sequence header, and what stands
/// before them (section 5.5.1).
fn max_frame_pixels(header: &[u8]) -> Option<u64> {
    let mut bits = BitReader::endian(header, BigEndian);
    bits.skip(3 + 1).ok()?;
    if bits.read_bit().ok()? {
        bits.skip(5).ok()?;
    } else {
        let mut delay_bits = None;
        if bits.read_bit().ok()? {
            bits.skip(32 + 32).ok()?;
            if bits.read_bit().ok()? {
                skip_uvlc(&mut bits)?;
            }
            if bits.read_bit().ok()? {
                delay_bits = Some(bits.read::<5, u32>().ok()? + 1);
                bits.skip(32 + 5 + 5).ok()?;
            }
        }
        let has_display_delay = bits.read_bit().ok()?;
        for _ in 0..=bits.read::<5, u32>().ok()? {
            bits.skip(12).ok()?;
            if bits.read::<5, u32>().ok()? > 7 {
                bits.skip(1).ok()?;
            }
            if let Some(delay_bits) = delay_bits
                && bits.read_bit().ok()?
            {
                bits.skip(2 * delay_bits + 1).ok()?;
            }
            if has_display_delay && bits.read_bit().ok()? {
                bits.skip(4).ok()?;
            }
        }
    }
    let (across, down) = (bits.read::<4, u32>().ok()? + 1, bits.read::<4, u32>().ok()? + 1);
    let (width, height): (u64, u64) = (bits.read_var(across).ok()?, bits.read_var(down).ok()?);
    Some((width + 1) * (height + 1))
}

/// Section 4.10.3.
fn skip_uvlc(bits: &mut impl BitRead) -> Option<()> {
    let zeros = bits.read_unary::<1>().ok()?;
    bits.skip(if zeros < 32 { zeros } else { 0 }).ok()
}

/// Section 5.3.
struct Obu<'d> {
    kind: u8,
    body: &'d [u8],
    whole: &'d [u8],
}

/// The OBUs of a temporal unit; `None` where it goes on with something else.
struct Obus<'d>(&'d [u8]);

impl<'d> Iterator for Obus<'d> {
    type Item = Option<Obu<'d>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let obu = self.split();
        if obu.is_none() {
            self.0 = &[];
        }
        Some(obu)
    }
}

impl<'d> Obus<'d> {
    fn split(&mut self) -> Option<Obu<'d>> {
        let all = self.0;
        let (&header, tail) = all.split_first()?;
        let (is_forbidden, kind) = (header & 0x80 != 0, (header >> 3) & 0xf);
        let (has_extension, has_size) = (header & 4 != 0, header & 2 != 0);
        if is_forbidden {
            return None;
        }
        let body = tail.get(usize::from(has_extension)..)?;
        let (body, rest) = if has_size {
            let (size, length) = leb128(body)?;
            body.get(length..)?.split_at_checked(size)?
        } else {
            (body, &[][..])
        };
        self.0 = rest;
        let whole = all.get(..all.len() - rest.len())?;
        Some(Obu { kind, body, whole })
    }
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
    use bitstream_io::{BitWrite, BitWriter};

    use super::*;

    const DELIMITER: [u8; 2] = [0x12, 0];
    const SEQUENCE: [u8; 5] = [0x0a, 3, 0, 0, 0];
    const KEY: [u8; 4] = [0x32, 2, 0x10, 9];
    const INTER: [u8; 4] = [0x32, 2, 0x30, 9];
    const HIDDEN: [u8; 4] = [0x32, 2, 0x20, 9];
    const SHOW_EXISTING: [u8; 3] = [0x1a, 1, 0x80];

    fn read(units: &[&[u8]]) -> Option<Inspection> {
        Av1::default().read(&units.concat())
    }

    fn content(units: &[&[u8]]) -> Option<Content> {
        read(units).map(|found| found.content)
    }

    #[test]
    fn a_key_frame_is_where_the_frame_header_says_so() {
        assert_eq!(content(&[&DELIMITER, &SEQUENCE, &KEY]), Some(Content::KeyPicture));
        assert_eq!(
            content(&[&DELIMITER, &KEY]),
            Some(Content::KeyPicture),
            "the header came apart"
        );
        assert_eq!(content(&[&DELIMITER, &SEQUENCE, &INTER]), Some(Content::Picture));
        assert_eq!(content(&[&DELIMITER, &SEQUENCE]), Some(Content::NoPicture));
        assert_eq!(content(&[&DELIMITER, &HIDDEN]), Some(Content::NoPicture));
        assert_eq!(content(&[&DELIMITER, &HIDDEN, &INTER]), Some(Content::Picture));
        assert_eq!(content(&[&DELIMITER, &SHOW_EXISTING]), Some(Content::Picture));
        let still = [0x0a, 1, 0x18];
        assert_eq!(content(&[&still, &[0x32, 1, 0xff]]), Some(Content::KeyPicture));
    }

    #[test]
    fn sequence_headers_are_noticed_wherever_they_stand() {
        let has = |units: &[&[u8]]| read(units).unwrap().has_parameter_sets;
        assert!(has(&[&SEQUENCE]) && has(&[&DELIMITER, &SEQUENCE, &INTER]) && !has(&[&KEY]));
        let data = [&DELIMITER[..], &SEQUENCE, &KEY].concat();
        assert_eq!(sequence_headers(&data).collect::<Vec<_>>(), [&SEQUENCE[..]]);
    }

    /// Writes bits, the highest first: so many, and their value.
    fn bits(fields: &[(u32, u64)]) -> Vec<u8> {
        let mut writer = BitWriter::endian(Vec::new(), BigEndian);
        for &(count, value) in fields {
            writer.write_var(count, value).unwrap();
        }
        writer.byte_align().unwrap();
        writer.into_writer()
    }

    #[test]
    fn the_largest_frame_is_read_from_the_sequence_header_whatever_stands_before_it() {
        // Bits of width and height less one, and width and height less one.
        let size = [(4, 9), (4, 9), (10, 767), (10, 575)];
        let pixels = |fields: &[&[(u32, u64)]]| max_frame_pixels(&bits(&fields.concat()));
        let plain = [(5, 0), (1, 0), (1, 0), (5, 0), (12, 0), (5, 7)];
        assert_eq!(pixels(&[&plain, &size]), Some(768 * 576));
        assert_eq!(pixels(&[&[(3, 0), (2, 3), (5, 31)], &size]), Some(768 * 576), "a still");
        // Times with a number of 5 bits behind 2 zeros, delays of 10 bits, two points of which one
        // has a tier, the other delays of both kinds.
        let timed = [(5, 0), (1, 1), (32, 9), (32, 9), (1, 1), (3, 1), (2, 3), (1, 1), (5, 9)];
        let delays = [(32, 9), (5, 9), (5, 9), (1, 1), (5, 1)];
        let points = [(12, 0), (5, 8), (1, 1), (1, 0), (1, 0), (12, 0), (5, 7), (1, 1)];
        let last = [(10, 9), (10, 9), (1, 1), (1, 1), (4, 9)];
        assert_eq!(pixels(&[&timed, &delays, &points, &last, &size]), Some(768 * 576));
        assert_eq!(pixels(&[&plain]), None);
        let largest = [(4, 15), (4, 15), (16, 0xffff), (16, 0xffff)];
        assert_eq!(pixels(&[&plain, &largest]), Some(1 << 32));
    }

    #[test]
    fn reserved_obus_are_left_alone_and_other_data_is_no_video() {
        let reserved = [0x5a, 2, 1, 2];
        assert_eq!(content(&[&DELIMITER, &reserved, &KEY]), Some(Content::KeyPicture));
        assert_eq!(content(&[&[0x13, 0], &KEY]), Some(Content::KeyPicture), "a reserved bit");
        assert_eq!(content(&[&reserved]), None, "nothing else");
        assert_eq!(content(&[&[0, 0, 0, 1, 0x65, 1, 2, 3]]), None, "H.264");
        assert_eq!(content(&[&[0x32, 5, 0]]), None, "longer than the record");
    }
}
