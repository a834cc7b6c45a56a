//! H.265: what an access unit is, and how it stands to those before it.

mod bits;
mod messages;
mod reference_set;
mod references;
mod sets;
mod slice;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use self::messages::{Recovery, recovery_point};
use self::references::{Picture, References, Standing};
use self::sets::{Sequence, Sets};
use self::slice::{Header, is_instantaneous};
use super::annexb;
use super::inspect::{Content, Inspection, Lack};
use super::nal::{self, NalUnit, Others};

/// Reads a stream of H.265, one access unit after the other.
#[derive(Debug, Default)]
pub(super) struct H265 {
    sets: Sets,
    references: References,
    /// A recovery point that came without a picture: it is said of the next one.
    recovery: Option<Recovery>,
    /// The latest access unit with a picture, by its length and hash, and what was found in it.
    latest: Option<(usize, u64, Inspection)>,
    /// What came last is no H.265 at all.
    is_foreign: bool,
}

/// What the NAL units of an access unit say, in turn.
#[derive(Default)]
struct Units {
    /// Of its first slice segment of the base layer.
    first: Option<Segment>,
    /// Of the first independent slice segment that could be read.
    header: Option<Header>,
    /// A slice refers to other pictures, or it is not known whether one does.
    is_inter: bool,
    /// Pictures of the base layer that begin here.
    pictures: usize,
    recovery: Option<Recovery>,
    has_parameter_sets: bool,
    /// Something of the base layer besides slices.
    has_base_layer: bool,
    has_other_layer: bool,
    ends_before: bool,
    ends_behind: bool,
    foreign_sets: (bool, bool),
    has_sets: bool,
}

#[derive(Clone, Copy)]
struct Segment {
    kind: u8,
    temporal_layer: u8,
    /// It is the first one of its picture.
    is_first: bool,
}

impl H265 {
    pub fn read(&mut self, data: &[u8]) -> Option<Inspection> {
        let packaging = annexb::packaging(data)?;
        let found = nal::inspect(data, h265_unit);
        let mut units = Units::default();
        annexb::for_each_unit(data, packaging, |unit| {
            units.look(unit, &mut self.sets);
            true
        });
        if units.has_sets {
            self.is_foreign = false;
        } else if units.is_foreign() {
            self.is_foreign = true;
        }
        if self.is_foreign {
            return None;
        }
        let found = Inspection { has_parameter_sets: units.has_parameter_sets, ..found? };
        let Some(segment) = units.first else {
            self.pass(&units);
            return Some(without_picture(found, &units));
        };
        let (length, hash) = (data.len(), FixedState::default().hash_one(data));
        if let Some((.., latest)) =
            self.latest.filter(|&latest| (latest.0, latest.1) == (length, hash))
            && !is_instantaneous(segment.kind)
        {
            return Some(Inspection { is_repeated: true, ..latest });
        }
        let found = self.take(found, &units, segment);
        self.latest = Some((length, hash, found));
        Some(found)
    }

    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {
        self.references.begin_anew();
        self.recovery = None;
        self.latest = None;
    }

    /// Nothing but what concerns pictures to come.
    fn pass(&mut self, units: &Units) {
        self.recovery = units.recovery.or(self.recovery);
        if units.ends_before || units.ends_behind {
            self.references.begin_anew();
        }
    }

    fn take(&mut self, found: Inspection, units: &Units, segment: Segment) -> Inspection {
        if units.ends_before {
            self.references.begin_anew();
        }
        let recovery = units.recovery.or(self.recovery.take());
        let is_key = matches!(segment.kind, 16..=21);
        let standing = units.header.as_ref().map(|header| {
            self.references.take(&Picture {
                kind: segment.kind,
                temporal_layer: segment.temporal_layer,
                header,
                is_refresh: recovery.is_some() && !is_key,
                is_intra: !units.is_inter,
            })
        });
        if units.ends_behind {
            self.references.begin_anew();
        }
        let content = match (standing, recovery) {
            _ if is_key => Content::KeyPicture,
            (Some(Standing { position, .. }), Some(recovery)) => {
                Content::RefreshPoint { right_from: position.saturating_add(recovery.count) }
            }
            _ => Content::Picture,
        };
        let lacks = if !segment.is_first {
            Some(Lack::Slice)
        } else if standing.is_some_and(|standing| standing.lacks_reference) {
            Some(Lack::Reference)
        } else {
            None
        };
        Inspection {
            content,
            position: standing.map(|standing| standing.position),
            lacks,
            is_leading: matches!(segment.kind, 8 | 9),
            pixels: units.header.as_ref().map(|header| header.pixels),
            has_several_pictures: units.pictures > 1,
            // Decoding may be to begin here.
            disposable: found.disposable && recovery.is_none(),
            needed_above: found.needed_above.filter(|_| recovery.is_none()),
            ..found
        }
    }
}

/// An access unit without a picture of the base layer.
fn without_picture(found: Inspection, units: &Units) -> Inspection {
    if units.has_other_layer && !units.has_base_layer {
        // The picture before it in another layer, which libavcodec passes over. Kept for the next
        // picture it would only be in the way of parameter sets.
        return Inspection {
            content: Content::Continuation,
            disposable: false,
            needed_above: None,
            is_closed: false,
            ..found
        };
    }
    Inspection { content: Content::NoPicture, ..found }
}

impl Units {
    fn look(&mut self, unit: &[u8], sets: &mut Sets) {
        self.look_for_h264(unit);
        let Some(&[header, layer]) = unit.first_chunk::<2>() else { return };
        if header & 0x80 != 0 || layer & 7 == 0 {
            return;
        }
        let kind = (header >> 1) & 0x3f;
        if header & 1 != 0 || layer >> 3 != 0 {
            self.has_other_layer |= matches!(kind, 0..=9 | 16..=21);
            self.has_parameter_sets |= matches!(kind, 32..=34);
            return;
        }
        let is_slice = matches!(kind, 0..=9 | 16..=21);
        self.has_base_layer |= is_slice || matches!(kind, 32..=40);
        match kind {
            _ if is_slice => self.slice(unit, kind, (layer & 7) - 1, sets),
            32..=34 => {
                self.has_parameter_sets = true;
                self.has_sets |= kind != 32;
                match kind {
                    33 => sets.note_sequence(unit),
                    34 => sets.note_picture(unit),
                    _ => {}
                }
            }
            36 | 37 if self.first.is_none() => self.ends_before = true,
            36 | 37 => self.ends_behind = true,
            39 => self.recovery = self.recovery.or(recovery_point(unit)),
            _ => {}
        }
    }

    fn slice(&mut self, unit: &[u8], kind: u8, temporal_layer: u8, sets: &Sets) {
        let is_first = unit.get(2).is_some_and(|byte| byte & 0x80 != 0);
        self.pictures += usize::from(is_first || self.first.is_none());
        self.first.get_or_insert(Segment { kind, temporal_layer, is_first });
        // The first slice nearly always says all there is to know.
        if self.pictures > 1 || (self.header.is_some() && self.is_inter) {
            return;
        }
        match Header::parse(unit, kind, sets) {
            Some(header) => {
                self.is_inter |= !header.is_intra;
                self.header.get_or_insert(header);
            }
            None => self.is_inter |= self.header.is_none(),
        }
    }

    /// Parameter sets of H.264 are units of H.265 that nobody has specified.
    fn look_for_h264(&mut self, unit: &[u8]) {
        // ITU-T H.264, sections 7.3.1, 7.3.2.1.1 and A.2: the profiles that cameras have.
        const PROFILES: [u8; 7] = [66, 77, 88, 100, 110, 122, 244];
        match *unit {
            [0x27 | 0x47 | 0x67, profile, constraints, 9..=62, ..] => {
                self.foreign_sets.0 |= PROFILES.contains(&profile) && constraints & 3 == 0;
            }
            [0x28 | 0x48 | 0x68, ..] => self.foreign_sets.1 = true,
            _ => {}
        }
    }

    fn is_foreign(&self) -> bool {
        self.foreign_sets == (true, true)
    }
}
/// Samples across, and down, of the coding tree blocks that pictures consist of, by the sequence
/// parameter set in an access unit.
pub(crate) fn block_size(data: &[u8]) -> Option<u32> {
    let mut found = None;
    annexb::for_each_unit(data, annexb::packaging(data)?, |unit| {
        if let Some([0x42, 1..=7]) = unit.first_chunk() {
            found = Sequence::parse(unit).map(|(_, sequence)| sequence.block);
        }
        true
    });
    found
}

/// ITU-T H.265, table 7-1 and, for the third byte of a sequence parameter set, section 7.3.2.2.
pub(super) fn h265_unit(unit: &[u8]) -> Option<NalUnit> {
    let [header, layer] = *unit.first_chunk::<2>()?;
    // `nuh_temporal_id_plus1` is never 0.
    if header & 0x80 != 0 || layer & 7 == 0 {
        return None;
    }
    let is_base_layer = header & 1 == 0 && layer >> 3 == 0;
    match (header >> 1) & 0x3f {
        // Behind a clean random access picture may come some that are shown before it and need what
        // was before; behind one that breaks the link, such can't be decoded anyway.
        21 => Some(NalUnit::KeySlice { closed: false }),
        16..=20 => Some(NalUnit::KeySlice { closed: true }),
        // Pictures that their own temporal sub-layer does not need, those above it may. Of another
        // layer than the base layer it is not known what it is for.
        kind @ 0..=9 => {
            let is_of_sub_layer = kind % 2 == 0 && is_base_layer;
            let needed_by =
                if is_of_sub_layer { Others::Above((layer & 7) - 1) } else { Others::Any };
            Some(NalUnit::Slice { needed_by })
        }
        33 if is_base_layer => {
            let sub_layers = unit.get(2).map(|&byte| (byte >> 1) & 7);
            Some(NalUnit::ParameterSet { sub_layers })
        }
        32..=34 => Some(NalUnit::ParameterSet { sub_layers: None }),
        35..=40 => Some(NalUnit::Other),
        _ => None,
    }
}
