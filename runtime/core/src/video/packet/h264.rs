//! H.264: what an access unit is, and how it stands to those before it.

use super::inspect::Inspection;
use super::nal::{self, NalUnit, Others};

/// Reads a stream of H.264, one access unit after the other.
#[derive(Debug, Default)]
pub(super) struct H264 {}

impl H264 {
    pub fn read(&mut self, data: &[u8]) -> Option<Inspection> {
        nal::inspect(data, h264_unit)
    }

    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {}
}

/// ITU-T H.264, table 7-1 and annex D.
pub(super) fn h264_unit(unit: &[u8]) -> Option<NalUnit> {
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
        6 => Some(match unit.get(1..4) {
            // payloadType 6, and `recovery_frame_cnt` 0: its Exp-Golomb code is a single one bit.
            Some([6, _, payload]) if payload & 0x80 != 0 => NalUnit::RecoveryPoint,
            _ => NalUnit::Other,
        }),
        7 | 8 | 13 | 15 => Some(NalUnit::ParameterSet { sub_layers: None }),
        // Partitions B and C follow their A; the rest is not specified.
        3 | 4 | 9..=21 => Some(NalUnit::Other),
        _ => None,
    }
}
