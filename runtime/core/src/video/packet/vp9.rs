//! VP9: what a frame or a superframe is. Sections are those of the VP9 bitstream specification.

use super::inspect::{Content, Inspection};

/// A frame, as its uncompressed header begins (section 6.2).
struct Frame {
    shows_existing: bool,
    is_inter: bool,
    is_shown: bool,
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
    let (mut shown, mut is_key) = (0_u32, false);
    for (index, frame) in std::iter::once(first).chain(others).enumerate() {
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
    Some(Inspection { is_closed, superseded, ..Inspection::of(content) })
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
        })
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
