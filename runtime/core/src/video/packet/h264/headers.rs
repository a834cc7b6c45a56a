//! What headers of H.264 say, as far as it matters for how pictures stand to one another.

use h264_reader::Context;
use h264_reader::nal::pps::{PicParameterSet, PpsError};
use h264_reader::nal::sei::recovery_point::RecoveryPoint;
use h264_reader::nal::sei::{HeaderType, SeiReader};
use h264_reader::nal::slice::{
    DecRefPicMarking, Field, FieldPic, MemoryManagementControlOperation, PicOrderCountLsb,
    SliceFamily, SliceHeader,
};
use h264_reader::nal::sps::{FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::nal::{Nal, RefNal, UnitType};

use super::bits::{Header, Usability};
use crate::video::packet::annexb;

/// Longer than the messages before a picture: captions and maker's notes take some kilobytes.
const MAX_SEI: usize = 64 * 1024;

/// Which lines of a frame a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    Top,
    Bottom,
}

/// What a slice says of the picture that it is part of, by names of section 7.4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    pub is_idr: bool,
    /// Whether other pictures may need it.
    pub is_reference: bool,
    /// Of a frame there is none.
    pub field: Option<Parity>,
    pub frame_num: u32,
    pub idr_pic_id: Option<u32>,
    pub order: OrderCode,
}

/// What tells a picture's place in output order, in the way that its sequence has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderCode {
    /// `pic_order_cnt_lsb` and `delta_pic_order_cnt_bottom`.
    Lsb(u32, i64),
    /// `delta_pic_order_cnt`.
    Deltas([i64; 2]),
    /// Pictures are output as they come.
    Decoding,
}

/// A slice of a primary coded picture.
#[derive(Debug)]
pub struct Slice {
    pub picture: Picture,
    /// Whether it holds the picture's first macroblock.
    pub is_first: bool,
    pub is_intra: bool,
    /// Its coefficients are coded by CAVLC.
    pub is_cavlc: bool,
    /// Once this picture is decoded, none before it is for reference, and counting begins anew.
    pub forgets: bool,
    pub sequence: Sequence,
}

/// What a sequence parameter set, and the picture's, say of all pictures.
#[derive(Debug)]
pub struct Sequence {
    pub max_frame_num: u32,
    /// Frame numbers may be missing without anything being lost.
    pub may_have_gaps: bool,
    /// So many frames there are to refer to, at most.
    pub max_references: u32,
    pub order: PicOrderCntType,
    /// Of a frame, with what is cropped.
    pub pixels: u64,
    /// Pictures may be shown in another order than they come in, and nothing says how far they are
    /// apart.
    pub reorders_silently: bool,
}

/// The parameter sets of a stream so far.
#[derive(Debug, Default)]
pub struct Sets(Context);

impl Sets {
    /// Takes a sequence parameter set over. `false`: it can't be read, and nothing is known of the
    /// stream any more.
    pub fn learn_sequence(&mut self, unit: &[u8]) -> bool {
        let read = |usability| {
            Header::without_level(unit, usability, |bits| SeqParameterSet::from_bits(bits).ok())
        };
        match read(Usability::Read).flatten().or_else(|| read(Usability::Ignored).flatten()) {
            Some(set) => self.0.put_seq_param_set(set),
            None => self.0 = Context::default(),
        }
        self.0.sps().next().is_some()
    }

    /// As [`Self::learn_sequence`], with a picture parameter set.
    pub fn learn_picture(&mut self, unit: &[u8]) -> bool {
        let Some((_, bits)) = Header::of(unit) else { return true };
        match PicParameterSet::from_bits(&self.0, bits) {
            Ok(set) => self.0.put_pic_param_set(set),
            // Of another view, or of what was before this reader came.
            Err(PpsError::UnknownSeqParamSetId(_)) => {}
            Err(_) => {
                self.0 = Context::default();
                return false;
            }
        }
        true
    }

    /// Reads a slice. `None`: its sets are not known, or it can't be read, or it only repeats what
    /// others say.
    pub fn slice(&self, unit: &[u8]) -> Option<Slice> {
        let (nal, mut bits) = Header::of(unit)?;
        let (slice, sps, pps) = SliceHeader::from_bits(&self.0, &mut bits, nal, None).ok()?;
        if slice.redundant_pic_cnt.is_some_and(|count| count > 0) {
            return None;
        }
        let field = match slice.field_pic {
            FieldPic::Frame => None,
            FieldPic::Field(Field::Top) => Some(Parity::Top),
            FieldPic::Field(Field::Bottom) => Some(Parity::Bottom),
        };
        let order = match slice.pic_order_cnt_lsb {
            Some(PicOrderCountLsb::Frame(lsb)) => OrderCode::Lsb(lsb, 0),
            Some(PicOrderCountLsb::FieldsAbsolute {
                pic_order_cnt_lsb: lsb,
                delta_pic_order_cnt_bottom: bottom,
            }) => OrderCode::Lsb(lsb, bottom.into()),
            Some(PicOrderCountLsb::FieldsDelta(deltas)) => OrderCode::Deltas(deltas.map(i64::from)),
            None => OrderCode::Decoding,
        };
        let all_unused = MemoryManagementControlOperation::AllRefPicturesUnused;
        let forgets = match &slice.dec_ref_pic_marking {
            Some(DecRefPicMarking::Adaptive(operations)) => operations.iter().any(|operation| {
                std::mem::discriminant(operation) == std::mem::discriminant(&all_unused)
            }),
            _ => false,
        };
        Some(Slice {
            picture: Picture {
                is_idr: nal.nal_unit_type() == UnitType::SliceLayerWithoutPartitioningIdr,
                is_reference: nal.nal_ref_idc() != 0,
                field,
                frame_num: slice.frame_num.into(),
                idr_pic_id: slice.idr_pic_id,
                order,
            },
            is_first: slice.first_mb_in_slice == 0,
            is_cavlc: !pps.entropy_coding_mode_flag,
            is_intra: matches!(slice.slice_type.family, SliceFamily::I | SliceFamily::SI),
            forgets,
            sequence: Sequence {
                max_frame_num: 1 << sps.log2_max_frame_num(),
                may_have_gaps: sps.gaps_in_frame_num_value_allowed_flag,
                // Where the two disagree, libavcodec believes the larger one as well.
                max_references: sps
                    .max_num_ref_frames
                    .max(if pps.num_ref_idx_l0_default_active_minus1 > 0 { 2 } else { 0 }),
                order: sps.pic_order_cnt.clone(),
                pixels: pixels(sps),
                reorders_silently: reorders_silently(sps),
            },
        })
    }
}

/// Section 7.4.2.1.1: macroblocks of 16 by 16, and map units that are two of them where there may
/// be fields.
fn pixels(sps: &SeqParameterSet) -> u64 {
    let width = u64::from(sps.pic_width_in_mbs_minus1) + 1;
    let units = u64::from(sps.pic_height_in_map_units_minus1) + 1;
    let per_unit = if sps.frame_mbs_flags == FrameMbsFlags::Frames { 1 } else { 2 };
    width.saturating_mul(units).saturating_mul(16 * 16 * per_unit)
}

/// Annex A.2.1: a baseline profile has no B pictures. Section 8.2.1.3: a count of type 2 is one in
/// decoding order. Section E.2.1: `max_num_reorder_frames` says how far others are apart.
fn reorders_silently(sps: &SeqParameterSet) -> bool {
    const BASELINE: u8 = 66;
    let restriction = sps.vui_parameters.as_ref().map(|vui| vui.bitstream_restrictions.is_some());
    restriction != Some(true)
        && u8::from(sps.profile_idc) != BASELINE
        && sps.pic_order_cnt != PicOrderCntType::TypeTwo
}

/// `recovery_frame_cnt` of the recovery point among a unit's messages (section D.1.8).
pub fn recovery_point(unit: &[u8]) -> Option<u32> {
    let unit = annexb::alone(unit.get(..MAX_SEI).unwrap_or(unit));
    if unit.is_empty() {
        return None;
    }
    let mut scratch = Vec::new();
    let bytes = RefNal::new(unit, &[], true);
    let mut messages = SeiReader::from_rbsp_bytes(bytes.rbsp_bytes(), &mut scratch);
    while let Ok(Some(message)) = messages.next() {
        if message.payload_type == HeaderType::RecoveryPoint {
            return RecoveryPoint::read(&message).ok().map(|point| point.recovery_frame_cnt);
        }
    }
    None
}
