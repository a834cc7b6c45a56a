//! H.265: what an access unit is, and how it stands to those before it.

use super::inspect::Inspection;
use super::nal::{self, NalUnit, Others};

/// Reads a stream of H.265, one access unit after the other.
#[derive(Debug, Default)]
pub(super) struct H265 {}

impl H265 {
    pub fn read(&mut self, data: &[u8]) -> Option<Inspection> {
        nal::inspect(data, h265_unit)
    }

    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {}
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
