//! H.264: what an access unit is, and how it stands to those before it.
//!
//! Headers are read where the parameter sets are known that they need. Where they are not, or a
//! header can't be read, an access unit is judged by the types of its NAL units alone.

mod bits;
mod continuity;
mod foreign;
mod headers;
mod order;
#[cfg(test)]
mod tests;

use std::hash::Hasher;

use rustc_hash::FxHasher;

use self::continuity::{Coded, Continuity, Entry, Standing};
use self::foreign::H265Signs;
use self::headers::{Sets, Slice};
use super::annexb;
use super::inspect::{Content, Inspection, Lack};
use super::nal::{self, NalUnit, Others};

/// So many units of messages are looked into, of one access unit.
const MAX_SEI_UNITS: u32 = 32;

/// Reads a stream of H.264, one access unit after the other.
#[derive(Debug, Default)]
pub(super) struct H264 {
    sets: Sets,
    continuity: Continuity,
    /// `recovery_frame_cnt` for the next picture.
    recovery: Option<u32>,
    /// The access unit before, if its headers could be read.
    latest: Option<(Fingerprint, Inspection)>,
    is_h265: bool,
}

/// By which the same bytes are known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    length: usize,
    hash: u64,
}

impl Fingerprint {
    fn of(data: &[u8]) -> Self {
        let mut hasher = FxHasher::default();
        hasher.write(data);
        Self { length: data.len(), hash: hasher.finish() }
    }
}

/// What has been read of an access unit.
#[derive(Default)]
struct Found {
    /// The picture of which more slices may come.
    open: Option<Open>,
    /// The first of its pictures.
    first: Option<(Entry, Standing)>,
    /// Of any of them.
    lacks: Option<Lack>,
    /// Of the largest.
    pixels: Option<u64>,
    /// Of any of them.
    is_cavlc: bool,
    pictures: u32,
    /// The latest is one field of a frame.
    ends_in_a_half: bool,
    has_parameter_sets: bool,
    sei_units: u32,
    /// Meant for a picture of which no header can be read.
    recovery: Option<u32>,
    h265: H265Signs,
}

/// A coded picture, as far as its slices have come.
struct Open {
    /// The first of them.
    slice: Slice,
    /// The picture's first macroblock is there.
    has_beginning: bool,
    is_intra: bool,
}

impl H264 {
    pub fn read(&mut self, data: &[u8]) -> Option<Inspection> {
        let packaging = annexb::packaging(data)?;
        let fingerprint = Fingerprint::of(data);
        if let Some((_, inspection)) = self.latest.filter(|(latest, _)| *latest == fingerprint) {
            self.recovery = None;
            return Some(Inspection { is_repeated: true, lacks: None, ..inspection });
        }
        let mut found = Found::default();
        annexb::for_each_unit(data, packaging, |unit| {
            self.take(unit, &mut found);
            true
        });
        self.close(&mut found);
        if found.h265.are_certain(self.is_h265) {
            *self = Self { is_h265: true, ..Self::default() };
            return None;
        }
        self.is_h265 &= found.h265.are_possible();
        let by_types = nal::inspect(data, h264_unit)?;
        let inspection = by_headers(&found, by_types);
        if found.first.is_some() {
            self.latest = Some((fingerprint, inspection));
        }
        Some(inspection)
    }

    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {
        self.continuity.begin_anew();
        (self.recovery, self.latest) = (None, None);
    }

    fn take(&mut self, unit: &[u8], found: &mut Found) {
        found.h265.look_at(unit);
        let Some(header) = unit.first().filter(|&header| header & 0x80 == 0) else { return };
        match header & 0x1f {
            1 | 2 | 5 => match self.sets.slice(unit) {
                Some(slice) => self.add(slice, found),
                None if found.open.is_none() => {
                    found.recovery = found.recovery.or(self.recovery.take());
                }
                None => {}
            },
            6 if found.sei_units < MAX_SEI_UNITS => {
                found.sei_units += 1;
                self.recovery = headers::recovery_point(unit).or(self.recovery);
            }
            kind @ (7 | 8 | 13 | 15) => {
                found.has_parameter_sets = true;
                let is_understood = match kind {
                    7 => self.sets.learn_sequence(unit),
                    8 => self.sets.learn_picture(unit),
                    _ => true,
                };
                if !is_understood {
                    self.continuity.begin_anew();
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, slice: Slice, found: &mut Found) {
        // Section 7.4.1.2.4. That a picture's first slice is missing and it is in one record with
        // another one is left out.
        match &mut found.open {
            Some(open) if !slice.is_first || slice.picture == open.slice.picture => {
                open.has_beginning |= slice.is_first;
                open.is_intra &= slice.is_intra;
            }
            _ => {
                self.close(found);
                found.open =
                    Some(Open { has_beginning: slice.is_first, is_intra: slice.is_intra, slice });
            }
        }
    }

    /// All slices of a picture have come.
    fn close(&mut self, found: &mut Found) {
        let Some(Open { slice, has_beginning, is_intra }) = found.open.take() else { return };
        let recovery = self.recovery.take();
        let entry = match (slice.sequence.max_references, recovery) {
            _ if slice.picture.is_idr => Entry::Closed,
            // Whatever comes refers to this one, if to any. libavcodec's parser calls such a
            // picture a key frame, too.
            (0, _) if is_intra => Entry::Closed,
            (1, _) if is_intra && slice.picture.is_reference => Entry::Closed,
            (_, Some(0)) => Entry::Open,
            (_, Some(frames)) => Entry::Gradual(frames),
            (_, None) => Entry::None,
        };
        let is_field = slice.picture.field.is_some();
        found.is_cavlc |= slice.is_cavlc;
        found.pixels = found.pixels.max(Some(slice.sequence.pixels));
        let standing = self.continuity.follow(&Coded { slice, entry });
        found.lacks = found.lacks.or(standing.lacks);
        if !has_beginning {
            found.lacks = found.lacks.or(Some(Lack::Slice));
        }
        found.pictures += u32::from(!standing.is_second_field);
        found.ends_in_a_half = is_field && !(standing.is_second_field && found.first.is_some());
        if found.first.is_none_or(|(_, first)| first.is_second_field) {
            found.first = Some((entry, standing));
        }
    }
}

/// What the headers say beyond the types of the NAL units.
fn by_headers(found: &Found, by_types: Inspection) -> Inspection {
    let known = Inspection {
        has_parameter_sets: found.has_parameter_sets || by_types.has_parameter_sets,
        has_several_pictures: found.pictures > 1,
        lacks: found.lacks,
        pixels: found.pixels,
        damage_lingers: found.is_cavlc,
        ..by_types
    };
    let is_needed = Inspection { disposable: false, ..known };
    let Some((entry, standing)) = found.first else {
        let is_picture = by_types.content == Content::Picture;
        return match found.recovery {
            Some(0) if is_picture => Inspection { content: Content::KeyPicture, ..is_needed },
            _ => known,
        };
    };
    let content = match entry {
        _ if standing.is_second_field => Content::Continuation,
        Entry::Closed | Entry::Open => Content::KeyPicture,
        Entry::Gradual(frames) => {
            Content::RefreshPoint { right_from: standing.position.saturating_add(frames.into()) }
        }
        Entry::None => Content::Picture,
    };
    // Who leaves out one field is not told to leave out the other.
    let disposable = known.disposable
        && content == Content::Picture
        && !known.has_several_pictures
        && !found.ends_in_a_half;
    Inspection {
        content,
        disposable,
        position: Some(standing.position),
        is_leading: standing.is_leading,
        is_first_field: found.ends_in_a_half && content != Content::Continuation,
        reorders: standing.reorders,
        ..known
    }
}

/// ITU-T H.264, table 7-1 and annex D.
fn h264_unit(unit: &[u8]) -> Option<NalUnit> {
    let header = *unit.first()?;
    if header & 0x80 != 0 {
        return None;
    }
    match header & 0x1f {
        5 => Some(NalUnit::KeySlice { closed: true }),
        // `nal_ref_idc` is 0 in all slices of a picture, or in none.
        1 | 2 => {
            let needed_by = if header & 0x60 != 0 { Others::Any } else { Others::None };
            Some(NalUnit::Slice { needed_by })
        }
        6 => Some(match headers::recovery_point(unit) {
            Some(0) => NalUnit::RecoveryPoint,
            _ => NalUnit::Other,
        }),
        7 | 8 | 13 | 15 => Some(NalUnit::ParameterSet { sub_layers: None }),
        // Partitions B and C follow their A; the rest is not specified.
        3 | 4 | 9..=21 => Some(NalUnit::Other),
        _ => None,
    }
}
