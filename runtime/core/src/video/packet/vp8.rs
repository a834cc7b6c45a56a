//! VP8: what a frame is.

use super::inspect::{Content, Inspection};

pub(super) fn read(data: &[u8]) -> Option<Inspection> {
    let content = content(data)?;
    let is_closed = content == Content::KeyPicture;
    Some(Inspection { is_closed, ..Inspection::of(content) })
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
