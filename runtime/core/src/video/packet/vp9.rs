//! VP9: what a frame or a superframe is. Sections are those of the VP9 bitstream specification.

use bitstream_io::{BigEndian, BitRead, BitReader};

use super::inspect::{Content, Inspection};

/// A frame, as its uncompressed header begins (section 6.2).
struct Frame {
    shows_existing: bool,
    is_inter: bool,
    is_shown: bool,
    /// Where it says so itself, and does not take the size of another.
    pixels: Option<u64>,
}

/// As [`read_each_layer`], for decoders that give the picture of the largest layer alone.
pub(super) fn read(data: &[u8]) -> Option<Inspection> {
    Some(Inspection { superseded: 0, ..read_each_layer(data)? })
}

/// Looks at a frame or a superframe.
pub(super) fn read_each_layer(data: &[u8]) -> Option<Inspection> {
    let frames = frames(data);
    let first = Frame::read(frames.first()?)?;
    let others = frames.iter().skip(1).filter_map(|data| Frame::read(data));
    let (mut shown, mut is_key, mut pixels) = (0_u32, false, None);
    for (index, frame) in std::iter::once(first).chain(others).enumerate() {
        pixels = pixels.max(frame.pixels);
        shown += u32::from(frame.shows_existing || frame.is_shown);
        is_key |= index == 0 && !frame.shows_existing && !frame.is_inter;
    }
    let content = match (shown, is_key) {
        (0, _) => Content::NoPicture,
        (_, true) => Content::KeyPicture,
        (_, false) => Content::Picture,
    };
    // Of spatial layers each gives a picture, and the last one is the largest.
    let superseded = shown.saturating_sub(1);
    let is_closed = content == Content::KeyPicture;
    Some(Inspection { is_closed, superseded, pixels, ..Inspection::of(content) })
}

impl Frame {
    fn read(data: &[u8]) -> Option<Self> {
        let first = *data.first()?;
        if first >> 6 != 0b10 {
            return None;
        }
        let profile = (first >> 5 & 1) | (first >> 4 & 1) << 1;
        // Profile 3 has one more reserved bit before `show_existing_frame`.
        let bits = if profile == 3 { first << 5 } else { first << 4 };
        Some(Self {
            shows_existing: bits & 0x80 != 0,
            is_inter: bits & 0x40 != 0,
            is_shown: bits & 0x20 != 0,
            pixels: pixels(data, profile),
        })
    }
}

/// The uncompressed header up to the size of the frame.
fn pixels(data: &[u8], profile: u8) -> Option<u64> {
    let mut bits = BitReader::endian(data, BigEndian);
    bits.skip(if profile == 3 { 5 } else { 4 }).ok()?;
    if bits.read_bit().ok()? {
        return None;
    }
    let (is_inter, is_shown) = (bits.read_bit().ok()?, bits.read_bit().ok()?);
    let is_resilient = bits.read_bit().ok()?;
    if !is_inter {
        bits.skip(24).ok()?;
        skip_colours(&mut bits, profile)?;
    } else {
        let is_intra = !is_shown && bits.read_bit().ok()?;
        bits.skip(if is_resilient { 0 } else { 2 }).ok()?;
        if is_intra {
            bits.skip(24).ok()?;
            if profile > 0 {
                skip_colours(&mut bits, profile)?;
            }
        }
        // `refresh_frame_flags`.
        bits.skip(8).ok()?;
        if !is_intra {
            bits.skip(3 * 4).ok()?;
            for _ in 0..3 {
                if bits.read_bit().ok()? {
                    return None;
                }
            }
        }
    }
    let (width, height) = (bits.read::<16, u64>().ok()?, bits.read::<16, u64>().ok()?);
    Some((width + 1) * (height + 1))
}

/// `color_config` (section 6.2.2).
fn skip_colours(bits: &mut impl BitRead, profile: u8) -> Option<()> {
    const RGB: u8 = 7;
    bits.skip(if profile >= 2 { 1 } else { 0 }).ok()?;
    let is_rgb = bits.read::<3, u8>().ok()? == RGB;
    let has_subsampling = profile & 1 == 1;
    match (is_rgb, has_subsampling) {
        (false, true) => bits.skip(1 + 3).ok(),
        (false, false) => bits.skip(1).ok(),
        (true, true) => bits.skip(1).ok(),
        (true, false) => Some(()),
    }
}

/// The frames of a superframe (annex B), or the only one.
fn frames(data: &[u8]) -> Vec<&[u8]> {
    split(data).unwrap_or_else(|| vec![data])
}

fn split(data: &[u8]) -> Option<Vec<&[u8]>> {
    let marker = *data.last()?;
    if marker & 0xe0 != 0xc0 {
        return None;
    }
    let (count, size_bytes) = (usize::from(marker & 7) + 1, usize::from(marker >> 3 & 3) + 1);
    let index = data.len().checked_sub(2 + count * size_bytes)?;
    if data.get(index) != Some(&marker) {
        return None;
    }
    let mut rest = data.get(..index)?;
    let mut frames = Vec::with_capacity(count);
    for size in data.get(index + 1..)?.chunks_exact(size_bytes).take(count) {
        let size = size.iter().rev().fold(0, |size, &byte| size << 8 | usize::from(byte));
        let (frame, behind) = rest.split_at_checked(size)?;
        if !frame.is_empty() {
            frames.push(frame);
        }
        rest = behind;
    }
    Some(frames)
}

#[cfg(test)]
mod tests {
    use bitstream_io::{BitWrite, BitWriter};

    use super::*;

    const KEY: &[u8] = &[0b1000_0010, 1, 2];
    const INTER: &[u8] = &[0b1000_0110, 1, 2];
    const HIDDEN: &[u8] = &[0b1000_0100, 1, 2, 3];

    fn superframe(frames: &[&[u8]]) -> Vec<u8> {
        let marker = 0xc0 | (frames.len() as u8 - 1);
        let sizes: Vec<u8> = frames.iter().map(|frame| frame.len() as u8).collect();
        [&frames.concat()[..], &[marker], &sizes, &[marker]].concat()
    }

    fn content(data: &[u8]) -> Option<Content> {
        read(data).map(|found| found.content)
    }

    #[test]
    fn the_first_frame_says_whether_decoding_can_begin() {
        assert_eq!(content(KEY), Some(Content::KeyPicture));
        assert_eq!(content(INTER), Some(Content::Picture));
        assert_eq!(content(HIDDEN), Some(Content::NoPicture));
        assert_eq!(content(&[0b1000_1000]), Some(Content::Picture), "one of before is shown");
        assert_eq!(content(&[0xff, 0xd8, 0xff]), None);
        assert_eq!(content(&superframe(&[HIDDEN, INTER])), Some(Content::Picture));
        assert_eq!(content(&superframe(&[KEY, INTER])), Some(Content::KeyPicture));
        assert_eq!(content(&superframe(&[INTER, KEY])), Some(Content::Picture));
        assert_eq!(content(&superframe(&[HIDDEN, HIDDEN])), Some(Content::NoPicture));
    }

    #[test]
    fn a_frame_says_how_large_it_is_or_takes_the_size_of_another() {
        const SYNC: (u32, u64) = (24, 0x49_8342);
        let pixels = |fields: &[&[(u32, u64)]]| {
            let mut writer = BitWriter::endian(Vec::new(), BigEndian);
            for (count, value) in fields.concat() {
                writer.write_var(count, value).unwrap();
            }
            writer.byte_align().unwrap();
            read(&writer.into_writer()).unwrap().pixels
        };
        let size = [(16, 767), (16, 575)];
        let key = [(4, 0b1000), (1, 0), (1, 0), (1, 1), (1, 0), SYNC, (3, 1), (1, 0)];
        assert_eq!(pixels(&[&key, &size]), Some(768 * 576));
        let rgb = [(4, 0b1010), (1, 0), (1, 0), (1, 1), (1, 0), SYNC, (3, 7), (1, 0)];
        assert_eq!(pixels(&[&rgb, &size]), Some(768 * 576), "profile 1");
        let deep = [(5, 0b10110), (1, 0), (1, 0), (1, 1), (1, 0), SYNC, (1, 1), (3, 1), (4, 0)];
        assert_eq!(pixels(&[&deep, &size]), Some(768 * 576), "profile 3");
        let intra = [(4, 0b1000), (1, 0), (1, 1), (1, 0), (1, 1), (1, 1), SYNC, (8, 1)];
        assert_eq!(pixels(&[&intra, &size]), Some(768 * 576), "all of its own, not shown");
        let inter = [(4, 0b1000), (1, 0), (1, 1), (1, 1), (1, 0), (2, 0), (8, 1), (12, 0)];
        assert_eq!(pixels(&[&inter, &[(3, 0)], &size]), Some(768 * 576));
        assert_eq!(pixels(&[&inter, &[(3, 0b010)], &size]), None, "that of the second");
        assert_eq!(pixels(&[&key, &size[..1]]), None, "cut short");
    }

    #[test]
    fn of_spatial_layers_the_last_gives_the_picture() {
        let superseded =
            |frames: &[&[u8]]| read_each_layer(&superframe(frames)).unwrap().superseded;
        assert_eq!(superseded(&[HIDDEN, INTER]), 0);
        assert_eq!(superseded(&[KEY, INTER, INTER]), 2);
        assert_eq!(superseded(&[HIDDEN, HIDDEN]), 0);
    }

    #[test]
    fn an_index_that_does_not_add_up_is_part_of_a_frame() {
        let whole = superframe(&[HIDDEN, INTER]);
        assert_eq!(content(&whole[1..]), None);
        let mut longer = whole;
        let size = longer.len() - 3;
        longer[size] = 200;
        assert_eq!(content(&longer), Some(Content::NoPicture), "that of its first frame");
    }
}
