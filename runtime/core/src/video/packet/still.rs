//! Codecs whose every packet is a whole picture of its own.

use super::inspect::{Content, Inspection};

/// Motion JPEG. Its tables may be those of another picture.
pub(super) fn mjpeg(data: &[u8]) -> Option<Inspection> {
    data.starts_with(&[0xff, 0xd8]).then(|| Inspection::of(Content::KeyPicture))
}
