//! VP9: what a frame or a superframe is.

use super::inspect::{Content, Inspection};

/// Reads a stream of VP9, one superframe after the other.
#[derive(Debug, Default)]
pub(super) struct Vp9 {}

impl Vp9 {
    pub fn read(&mut self, data: &[u8]) -> Option<Inspection> {
        let content = content(data)?;
        let is_closed = content == Content::KeyPicture;
        Some(Inspection { is_closed, ..Inspection::of(content) })
    }

    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {}
}

/// VP9 bitstream specification, section 6.2 and annex B.
fn content(data: &[u8]) -> Option<Content> {
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
