//! Writes streams that no encoder at hand makes: headers of H.264 (section 7.3), and no pictures.

use crate::video::packet::h264::headers::Parity;

/// Bits, and the byte of the unit's header before them.
struct Unit(Vec<bool>);

impl Unit {
    fn bits(mut self, value: u32, count: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(self, value: u32) -> Self {
        let length = (value + 1).ilog2();
        self.bits(0, length).bits(value + 1, length + 1)
    }

    fn se(self, value: i32) -> Self {
        let magnitude = value.unsigned_abs() * 2;
        self.ue(if value > 0 { magnitude - 1 } else { magnitude })
    }

    /// With a start code, the stop bit, and something behind it in the case of slices.
    fn end(self, header: u8) -> Vec<u8> {
        let bits = self.bits(1, 1).0;
        let bytes = bits.chunks(8).map(|byte| {
            let set = byte.iter().enumerate().filter(|(_, bit)| **bit);
            set.fold(0, |value, (place, _)| value | 0x80 >> place)
        });
        let mut unit = vec![0, 0, 0, 1, header];
        let mut zeros = 0;
        for byte in bytes {
            if zeros == 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}

/// How a stream is made.
#[derive(Clone, Copy)]
pub struct Sequence {
    pub has_fields: bool,
    pub may_have_gaps: bool,
    pub references: u32,
    /// `pic_order_cnt_type`
    pub order: u32,
}

pub const FRAMES: Sequence =
    Sequence { has_fields: false, may_have_gaps: false, references: 4, order: 0 };
pub const FIELDS: Sequence = Sequence { has_fields: true, ..FRAMES };

impl Sequence {
    /// Its parameter sets: frame numbers of four bits, Main profile.
    pub fn sets(self) -> Vec<u8> {
        let unit = Unit(Vec::new()).bits(77, 8).bits(0, 8).bits(10, 8).ue(0).ue(0).ue(self.order);
        let unit = match self.order {
            0 => unit.ue(4),
            1 => unit.bits(0, 1).se(-1).se(1).ue(2).se(2).se(4),
            _ => unit,
        };
        let unit = unit.ue(self.references).bits(self.may_have_gaps.into(), 1).ue(5).ue(3);
        let unit = if self.has_fields { unit.bits(0, 2) } else { unit.bits(1, 1) };
        let sps = unit.bits(1, 1).bits(0, 1).bits(0, 1).end(0x67);
        let unit = Unit(Vec::new()).ue(0).ue(0).bits(0, 1).bits(0, 1).ue(0).ue(0).ue(0);
        let pps = unit.bits(0, 3).se(0).se(0).se(0).bits(0, 3).end(0x68);
        [sps, pps].concat()
    }
}

/// A slice of a picture without any macroblocks.
#[derive(Clone, Copy)]
pub struct Slice {
    pub of: Sequence,
    pub idr_pic_id: Option<u32>,
    pub is_reference: bool,
    pub is_intra: bool,
    pub first_mb: u32,
    pub frame_num: u32,
    pub field: Option<Parity>,
    pub order: i32,
    pub forgets: bool,
}

impl Slice {
    pub fn idr(of: Sequence, idr_pic_id: u32) -> Self {
        let idr_pic_id = Some(idr_pic_id);
        Self { idr_pic_id, is_intra: true, ..Self::reference(of, 0, 0) }
    }

    pub fn reference(of: Sequence, frame_num: u32, order: i32) -> Self {
        Self {
            of,
            idr_pic_id: None,
            is_reference: true,
            is_intra: false,
            first_mb: 0,
            frame_num: frame_num % 16,
            field: None,
            order,
            forgets: false,
        }
    }

    pub fn disposable(of: Sequence, frame_num: u32, order: i32) -> Self {
        Self { is_reference: false, ..Self::reference(of, frame_num, order) }
    }

    pub fn field(self, parity: Parity) -> Self {
        Self { field: Some(parity), ..self }
    }

    pub fn unit(self) -> Vec<u8> {
        let unit = Unit(Vec::new()).ue(self.first_mb).ue(if self.is_intra { 7 } else { 5 }).ue(0);
        let unit = unit.bits(self.frame_num, 4);
        let unit = match self.field {
            _ if !self.of.has_fields => unit,
            None => unit.bits(0, 1),
            Some(parity) => unit.bits(1, 1).bits((parity == Parity::Bottom).into(), 1),
        };
        let unit = if let Some(id) = self.idr_pic_id { unit.ue(id) } else { unit };
        let unit = match self.of.order {
            0 => unit.bits(self.order.rem_euclid(256) as u32, 8),
            1 => unit.se(self.order),
            _ => unit,
        };
        let unit = if self.is_intra { unit } else { unit.bits(0, 2) };
        let unit = match (self.is_reference, self.idr_pic_id) {
            (false, _) => unit,
            (true, Some(_)) => unit.bits(0, 2),
            (true, None) if self.forgets => unit.bits(1, 1).ue(5).ue(0),
            (true, None) => unit.bits(0, 1),
        };
        let kind = if self.idr_pic_id.is_some() { 5 } else { 1 };
        unit.se(0).ue(3).bits(0x2a, 6).end(kind | u8::from(self.is_reference) << 6)
    }
}

/// A recovery point so many frames ahead.
pub fn recovery_point(frames: u32) -> Vec<u8> {
    let payload = Unit(Vec::new()).ue(frames).bits(0b1000, 4).end(0);
    let payload = &payload[5..];
    [&[0, 0, 0, 1, 6, 6, payload.len() as u8][..], payload, &[0x80]].concat()
}
