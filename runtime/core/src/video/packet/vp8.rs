//! VP8: what a frame is.

use super::inspect::{Content, Inspection};

pub(super) fn read(data: &[u8]) -> Option<Inspection> {
    let content = content(data)?;
    let is_closed = content == Content::KeyPicture;
    Some(Inspection { is_closed, pixels: pixels(data), ..Inspection::of(content) })
}

/// Section 9.1, too: a key frame's width and height, of 14 bits each.
fn pixels(data: &[u8]) -> Option<u64> {
    let [.., 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *data.first_chunk::<10>()? else { return None };
    let side = |bytes| u64::from(u16::from_le_bytes(bytes) & 0x3fff);
    (data.first()? & 1 == 0).then(|| side([w0, w1]) * side([h0, h1]))
}

/// RFC 6386, section 9.1.
fn content(data: &[u8]) -> Option<Content> {
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
