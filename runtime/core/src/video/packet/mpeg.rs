//! MPEG-1, MPEG-2 and MPEG-4 part 2: what an access unit is, by its headers up to the first slice.

use memchr::memmem::Finder;

use super::inspect::{Content, Inspection};

/// Reads a stream, one access unit after the other.
#[derive(Debug)]
pub(super) struct Mpeg {
    generation: Generation,
    /// The header has come without which no picture can be decoded.
    is_described: bool,
    /// Bidirectional pictures that come next need what was before the latest key picture.
    may_lead: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// ISO/IEC 11172-2 and 13818-2, whose pictures begin alike.
    OneOrTwo,
    /// ISO/IEC 14496-2.
    Four,
}

/// What is behind a start code.
enum Section {
    /// A sequence header, or a video object layer.
    Description,
    /// A group of pictures, or a group of video object planes.
    Group {
        is_closed: bool,
    },
    Picture(Coding),
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Intra,
    /// From others, and may be what others are made of.
    Predicted,
    Bidirectional,
}

impl Mpeg {
    pub fn new(generation: Generation) -> Self {
        Self { generation, is_described: false, may_lead: false }
    }

    pub fn read(&mut self, data: &[u8]) -> Option<Inspection> {
        if self.generation == Generation::Four && is_short(data) {
            return Some(Inspection::of(Content::Unknown));
        }
        let (mut is_any, mut is_closed_group) = (false, false);
        for start in Finder::new(&[0, 0, 1]).find_iter(data) {
            let Some((&code, body)) = data.get(start + 3..).and_then(<[u8]>::split_first) else {
                break;
            };
            is_any = true;
            match self.generation.section(code, body) {
                Section::Description => self.is_described = true,
                Section::Group { is_closed } => is_closed_group = is_closed,
                Section::Picture(coding) => return Some(self.picture(coding, is_closed_group)),
                Section::Other => {}
            }
        }
        is_any.then(|| Inspection::of(Content::NoPicture))
    }

    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {
        self.may_lead = false;
    }

    fn picture(&mut self, coding: Coding, is_closed_group: bool) -> Inspection {
        let is_leading = self.may_lead && coding == Coding::Bidirectional;
        let is_key = coding == Coding::Intra && self.is_described;
        match coding {
            Coding::Intra => self.may_lead = is_key && !is_closed_group,
            Coding::Predicted => self.may_lead = false,
            Coding::Bidirectional => {}
        }
        Inspection {
            disposable: coding == Coding::Bidirectional,
            is_leading,
            ..Inspection::of(if is_key { Content::KeyPicture } else { Content::Picture })
        }
    }
}

/// MPEG-4 with the headers of H.263, which has start codes of its own (ISO/IEC 14496-2, section
/// 6.2.5.2).
fn is_short(data: &[u8]) -> bool {
    matches!(data, [0, 0, 0x80..=0x83, ..])
}

impl Generation {
    fn section(self, code: u8, body: &[u8]) -> Section {
        let bits = |byte: usize, shift: u32, mask: u8| {
            body.get(byte).map_or(0, |byte| byte >> shift & mask)
        };
        match (self, code) {
            // ISO/IEC 13818-2, sections 6.2.2.1, 6.2.2.6 and 6.2.3: 10 bits of
            // `temporal_reference`, then `picture_coding_type`; 25 of `time_code`, then
            // `closed_gop`.
            (Self::OneOrTwo, 0xb3) => Section::Description,
            (Self::OneOrTwo, 0xb8) => Section::Group { is_closed: bits(3, 6, 1) == 1 },
            (Self::OneOrTwo, 0x00) => Section::Picture(match bits(1, 3, 7) {
                1 => Coding::Intra,
                3 => Coding::Bidirectional,
                _ => Coding::Predicted,
            }),
            // ISO/IEC 14496-2, sections 6.2.3, 6.2.4 and 6.2.5: 18 bits of `time_code`, then
            // `closed_gov`.
            (Self::Four, 0x20..=0x2f) => Section::Description,
            (Self::Four, 0xb3) => Section::Group { is_closed: bits(2, 5, 1) == 1 },
            (Self::Four, 0xb6) => Section::Picture(match bits(0, 6, 3) {
                0 => Coding::Intra,
                2 => Coding::Bidirectional,
                _ => Coding::Predicted,
            }),
            _ => Section::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start codes and what is behind each.
    fn unit(sections: &[&[u8]]) -> Vec<u8> {
        sections.iter().flat_map(|section| [&[0, 0, 1][..], section].concat()).collect()
    }

    /// Sequence header, group that is open or closed, I, P and B pictures.
    const TWO: [&[u8]; 6] = [
        &[0xb3, 1, 2],
        &[0xb8, 0, 8, 0, 0],
        &[0xb8, 0, 8, 0, 0x40],
        &[0x00, 0, 0x0f],
        &[0x00, 0, 0x17],
        &[0x00, 0, 0x1f],
    ];
    const FOUR: [&[u8]; 6] = [
        &[0x20, 1, 2],
        &[0xb3, 0, 0, 0],
        &[0xb3, 0, 0, 0x20],
        &[0xb6, 0x10],
        &[0xb6, 0x50],
        &[0xb6, 0x90],
    ];

    #[test]
    fn pictures_are_told_apart_by_how_they_are_coded() {
        for (generation, [head, open, closed, i, p, b]) in
            [(Generation::OneOrTwo, TWO), (Generation::Four, FOUR)]
        {
            let mut stream = Mpeg::new(generation);
            let mut read = |sections: &[&[u8]]| {
                let found = stream.read(&unit(sections)).unwrap();
                (found.content, found.disposable, found.is_leading)
            };
            assert_eq!(read(&[i]), (Content::Picture, false, false), "nothing describes it");
            assert_eq!(read(&[head]), (Content::NoPicture, false, false));
            assert_eq!(read(&[head, open, i]), (Content::KeyPicture, false, false));
            assert_eq!(read(&[b]), (Content::Picture, true, true));
            assert_eq!(read(&[p]), (Content::Picture, false, false));
            assert_eq!(read(&[b]), (Content::Picture, true, false), "it leads no key picture");
            assert_eq!(read(&[i]), (Content::KeyPicture, false, false), "described before");
            assert_eq!(read(&[b]), (Content::Picture, true, true));
            assert_eq!(read(&[closed, i]), (Content::KeyPicture, false, false));
            assert_eq!(read(&[b]), (Content::Picture, true, false), "its group is closed");
            let short = stream.read(&[0, 0, 0x80, 2, 4]).map(|found| found.content);
            assert_eq!(short.is_some(), generation == Generation::Four);
            assert!(stream.read(&[1, 2, 3, 4]).is_none());
            assert!(stream.read(&[0, 0, 1]).is_none());
        }
    }
}
