//! Tells H.265 on a camera that is said to send H.264: both come as NAL units, and by its type some
//! a unit of one is also one of the other.

/// What speaks for H.265 in one record, of its base layer (ITU-T H.265, section 7.3.1.2): the first
/// byte of a unit is even, and so its type in H.264; the second is a temporal sub-layer from 1 on.
#[derive(Debug, Default)]
pub struct H265Signs {
    units: u32,
    /// These could be H.265.
    possible: u32,
    /// H.264 forbids one of them, or says nothing of it.
    is_odd: bool,
}

impl H265Signs {
    /// Looks at one more NAL unit of the record.
    pub fn look_at(&mut self, unit: &[u8]) {
        let Some(&[first, second]) = unit.first_chunk::<2>() else {
            self.units += 1;
            return;
        };
        self.units += 1;
        self.possible += u32::from(first & 0x81 == 0 && matches!(second, 1..=7));
        self.is_odd |= match first & 0x1f {
            0 | 22.. => true,
            // Partition A of a slice that is not the first in its picture; of data partitioning
            // libavcodec decodes nothing.
            2 => true,
            // `nal_ref_idc` is 0 for these (ITU-T H.264, section 7.4.1).
            6 | 10 | 12 => first & 0x60 != 0,
            _ => false,
        };
    }

    /// Whether nothing in the record must be H.264.
    pub fn are_possible(&self) -> bool {
        self.units > 0 && self.possible == self.units
    }

    /// Whether the record is H.265. `was_h265`: what came before it was.
    pub fn are_certain(&self, was_h265: bool) -> bool {
        self.are_possible() && (self.is_odd || was_h265)
    }
}
