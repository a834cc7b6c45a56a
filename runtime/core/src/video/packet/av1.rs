//! AV1: what a temporal unit is.

use super::inspect::{Content, Inspection};

/// Reads a stream of AV1, one temporal unit after the other.
#[derive(Debug, Default)]
pub(super) struct Av1 {}

impl Av1 {
    pub fn read(&mut self, data: &[u8]) -> Option<Inspection> {
        content(data).map(Inspection::of)
    }

    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {}
}

/// AV1 bitstream specification, section 5.3: a temporal unit in which decoding can begin carries a
/// sequence header.
fn content(data: &[u8]) -> Option<Content> {
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
