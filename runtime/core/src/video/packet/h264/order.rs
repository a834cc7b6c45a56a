//! Where pictures stand in output order: the picture order count of ITU-T H.264, section 8.2.1.

use h264_reader::nal::sps::PicOrderCntType;

use super::headers::{OrderCode, Parity, Picture, Sequence};

/// What the next picture's count is told from.
#[derive(Debug, Default)]
pub struct OutputOrder {
    previous: Option<Previous>,
}

#[derive(Debug, Clone, Copy)]
struct Previous {
    /// Of the latest reference picture, `PicOrderCntMsb` and `pic_order_cnt_lsb`.
    msb: i64,
    lsb: i64,
    /// Of the latest picture, `frame_num` and `FrameNumOffset`.
    frame_num: u32,
    frame_num_offset: i64,
}

impl OutputOrder {
    /// Counts the next picture. `forgets`: see [`Slice::forgets`](super::headers::Slice::forgets).
    ///
    /// A stream that is joined in its middle counts from anywhere.
    pub fn count(&mut self, picture: &Picture, forgets: bool, sequence: &Sequence) -> i64 {
        let here = match picture.order {
            OrderCode::Lsb(lsb, _) => i64::from(lsb),
            OrderCode::Deltas(_) | OrderCode::Decoding => 0,
        };
        let at_a_start =
            Previous { msb: 0, lsb: 0, frame_num: picture.frame_num, frame_num_offset: 0 };
        let previous = match self.previous {
            Some(previous) if !picture.is_idr => previous,
            _ if picture.is_idr => at_a_start,
            _ => Previous { lsb: here, ..at_a_start },
        };
        let wraps = previous.frame_num > picture.frame_num;
        let frame_num_offset =
            previous.frame_num_offset + if wraps { i64::from(sequence.max_frame_num) } else { 0 };
        let (msb, [top, bottom]) = match (&sequence.order, picture.order) {
            (
                PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 },
                OrderCode::Lsb(lsb, delta_bottom),
            ) => {
                let max_lsb = 16 << log2_max_pic_order_cnt_lsb_minus4;
                let msb = most_significant(i64::from(lsb), previous, max_lsb);
                let top = msb + i64::from(lsb);
                (msb, [top, top + delta_bottom])
            }
            (order @ PicOrderCntType::TypeOne { .. }, OrderCode::Deltas(deltas)) => {
                (0, by_cycle(order, picture, frame_num_offset, deltas))
            }
            _ => {
                let number = 2 * (frame_num_offset + i64::from(picture.frame_num));
                let count = if picture.is_reference { number } else { number - 1 };
                (0, [count; 2])
            }
        };
        let count = match picture.field {
            None => top.min(bottom),
            Some(Parity::Top) => top,
            Some(Parity::Bottom) => bottom,
        };
        self.previous = Some(if forgets {
            // Section 8.2.1: its own count becomes that behind an IDR picture.
            let lsb = if picture.field.is_none() { top - count } else { 0 };
            Previous { msb: 0, lsb, frame_num: 0, frame_num_offset: 0 }
        } else if picture.is_reference {
            Previous { msb, lsb: here, frame_num: picture.frame_num, frame_num_offset }
        } else {
            Previous { frame_num: picture.frame_num, frame_num_offset, ..previous }
        });
        count
    }
}

/// Section 8.2.1.1, formula 8-3.
fn most_significant(lsb: i64, previous: Previous, max_lsb: i64) -> i64 {
    if lsb < previous.lsb && previous.lsb - lsb >= max_lsb / 2 {
        previous.msb + max_lsb
    } else if lsb > previous.lsb && lsb - previous.lsb > max_lsb / 2 {
        previous.msb - max_lsb
    } else {
        previous.msb
    }
}

/// Section 8.2.1.2, formulas 8-6 to 8-10: counts of the top and the bottom field.
fn by_cycle(
    order: &PicOrderCntType,
    picture: &Picture,
    frame_num_offset: i64,
    deltas: [i64; 2],
) -> [i64; 2] {
    let PicOrderCntType::TypeOne {
        offset_for_non_ref_pic,
        offset_for_top_to_bottom_field,
        offsets_for_ref_frame: offsets,
        ..
    } = order
    else {
        return [0; 2];
    };
    let number = frame_num_offset + i64::from(picture.frame_num);
    let number = if offsets.is_empty() { 0 } else { number };
    let number = if picture.is_reference { number } else { (number - 1).max(0) };
    let mut expected = 0;
    if number > 0 {
        let length = i64::try_from(offsets.len()).unwrap_or(i64::MAX);
        let (cycles, in_cycle) = ((number - 1) / length, (number - 1) % length);
        let sum = |count: usize| offsets.iter().take(count).copied().map(i64::from).sum::<i64>();
        let in_cycle = usize::try_from(in_cycle).unwrap_or(0);
        expected = cycles.saturating_mul(sum(offsets.len())).saturating_add(sum(in_cycle + 1));
    }
    if !picture.is_reference {
        expected = expected.saturating_add((*offset_for_non_ref_pic).into());
    }
    let [first, second] = deltas;
    let top = expected.saturating_add(first);
    let to_bottom = i64::from(*offset_for_top_to_bottom_field);
    let delta_bottom = if picture.field.is_none() { first + second } else { first };
    [top, expected.saturating_add(to_bottom + delta_bottom)]
}
