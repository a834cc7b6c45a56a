//! Slice segment headers of H.265, up to the reference picture sets.

use super::bits::{Bits, Payload, bits_for};
use super::reference_set::{LongTerm, ShortTerm};
use super::sets::{Sequence, Sets};

/// No picture has more (section 7.4.7.1, and what libavcodec takes).
const MOST_LONG_TERM: u32 = 32;

/// What the header of an independent slice segment says of its picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub is_intra: bool,
    /// Of its picture.
    pub pixels: u64,
    /// The lower part of the picture order count, and how many bits it has.
    pub low: u32,
    pub order_bits: u32,
    pub short_term: ShortTerm,
    pub long_term: Vec<LongTerm>,
}

impl Header {
    /// Section 7.3.6.1. `None`: its parameter sets did not come, it does not follow the syntax, or
    /// it belongs to the slice segment before.
    pub fn parse(unit: &[u8], kind: u8, sets: &Sets) -> Option<Self> {
        let mut bits = Bits::new(Payload::of(unit));
        let is_first = bits.flag()?;
        if (16..=23).contains(&kind) {
            bits.skip(1)?;
        }
        let (sequence, picture) = sets.get(bits.unsigned_to(63)?)?;
        if !is_first {
            if picture.has_dependent_segments && bits.flag()? {
                return None;
            }
            bits.skip(sequence.address_bits)?;
        }
        bits.skip(picture.extra_bits)?;
        let is_intra = bits.unsigned_to(2)? == 2;
        bits.skip(u32::from(picture.has_output_flag))?;
        bits.skip(if sequence.separate_colour_planes { 2 } else { 0 })?;
        let order_bits = sequence.order_bits;
        let mut header = Self {
            is_intra,
            pixels: sequence.pixels,
            low: 0,
            order_bits,
            short_term: ShortTerm::default(),
            long_term: Vec::new(),
        };
        if !is_instantaneous(kind) {
            header.low = bits.number(order_bits)?;
            header.short_term = short_term(&mut bits, sequence)?;
            if sequence.has_long_term {
                header.long_term = long_term(&mut bits, sequence)?;
            }
        }
        Some(header)
    }
}

/// Whether a slice of this type is one of an IDR picture.
pub(super) fn is_instantaneous(kind: u8) -> bool {
    matches!(kind, 19 | 20)
}

fn short_term(bits: &mut Bits<'_>, sequence: &Sequence) -> Option<ShortTerm> {
    let known = &sequence.short_term;
    if !bits.flag()? {
        return ShortTerm::parse(bits, known, true);
    }
    let index = bits.number(bits_for(known.len() as u32))?;
    known.get(index as usize).cloned()
}

fn long_term(bits: &mut Bits<'_>, sequence: &Sequence) -> Option<Vec<LongTerm>> {
    let known = &sequence.long_term;
    let of_sequence = if known.is_empty() { 0 } else { bits.unsigned_to(known.len() as u32)? };
    let count = of_sequence + bits.unsigned_to(MOST_LONG_TERM)?;
    let mut all = Vec::new();
    let mut cycles = 0;
    for index in 0..count {
        let (low, is_used) = if index < of_sequence {
            let index = bits.number(bits_for(known.len() as u32))?;
            *known.get(index as usize)?
        } else {
            (bits.number(sequence.order_bits)?, bits.flag()?)
        };
        // Formula 7-52: each counts from the one before it, of its kind.
        if index == of_sequence {
            cycles = 0;
        }
        let has_cycles = bits.flag()?;
        if has_cycles {
            cycles += i64::from(bits.unsigned()?);
        }
        all.push(LongTerm { low, cycles: has_cycles.then_some(cycles), is_used });
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::super::bits::of_text;
    use super::*;

    #[test]
    fn long_term_pictures_are_read_from_both_kinds() {
        let sequence = Sequence {
            separate_colour_planes: false,
            address_bits: 0,
            order_bits: 4,
            short_term: Vec::new(),
            has_long_term: true,
            long_term: vec![(3, true), (5, false), (6, true)],
            block: 16,
            pixels: 0,
        };
        // Two of the sequence, 2 and 1, the latter 1 cycle away; two of its own, with 2 and 2 more.
        let unit = of_text("011 011 10 0 01 1 010 0111 1 1 011 1000 0 1 011");
        let found = long_term(&mut Bits::new(Payload::of(&unit)), &sequence).unwrap();
        let told = |low, cycles, is_used| LongTerm { low, cycles, is_used };
        let expected = [
            told(6, None, true),
            told(5, Some(1), false),
            told(7, Some(2), true),
            told(8, Some(4), false),
        ];
        assert_eq!(found, expected);
    }
}
