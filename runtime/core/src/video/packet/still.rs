//! Codecs whose every packet is a whole picture of its own.

use super::inspect::{Content, Inspection};

/// Any of them that is not looked into.
pub(super) fn any(_: &[u8]) -> Option<Inspection> {
    Some(Inspection::of(Content::KeyPicture))
}

/// Motion JPEG. Its tables may be those of another picture.
pub(super) fn mjpeg(data: &[u8]) -> Option<Inspection> {
    data.starts_with(&[0xff, 0xd8]).then(|| Inspection::of(Content::KeyPicture))
}
