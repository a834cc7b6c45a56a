//! Parameter sets of H.265, read as far as slice segment headers need them: up to the reference
//! picture sets.

use super::bits::{Bits, Payload, bits_for};
use super::reference_set::ShortTerm;

/// Those that came last of each number.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sequence: [Option<Box<Sequence>>; 16],
    /// By its number; there are 64 at most.
    picture: Vec<(u32, Picture)>,
}

/// A sequence parameter set.
#[derive(Debug)]
pub(super) struct Sequence {
    pub separate_colour_planes: bool,
    /// Bits of a slice segment's address.
    pub address_bits: u32,
    /// Bits of the lower part of a picture order count, 4 to 16.
    pub order_bits: u32,
    pub short_term: Vec<ShortTerm>,
    pub has_long_term: bool,
    /// The lower part of a picture order count, and whether the picture may use it.
    pub long_term: Vec<(u32, bool)>,
    /// Samples of a coding tree block, across and down.
    pub block: u32,
    /// Of a picture, with what is cropped.
    pub pixels: u64,
}

/// A picture parameter set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    sequence: u32,
    pub has_dependent_segments: bool,
    pub has_output_flag: bool,
    pub extra_bits: u32,
}

impl Sets {
    /// Notes a sequence parameter set, of the base layer.
    pub fn note_sequence(&mut self, unit: &[u8]) {
        match Sequence::parse(unit) {
            Some((number, sequence)) => {
                if let Some(place) = self.sequence.get_mut(number as usize) {
                    *place = Some(Box::new(sequence));
                }
            }
            // It may be another than the one that was known, and pictures name it.
            None => self.sequence = Default::default(),
        }
    }

    /// Notes a picture parameter set, of the base layer.
    pub fn note_picture(&mut self, unit: &[u8]) {
        let Some((number, picture)) = Picture::parse(unit) else {
            self.picture.clear();
            return;
        };
        match self.picture.iter_mut().find(|(known, _)| *known == number) {
            Some((_, known)) => *known = picture,
            None => self.picture.push((number, picture)),
        }
    }

    /// The picture parameter set of this number, and the sequence parameter set that it names.
    pub fn get(&self, number: u32) -> Option<(&Sequence, &Picture)> {
        let (_, picture) = self.picture.iter().find(|(known, _)| *known == number)?;
        let sequence = self.sequence.get(picture.sequence as usize)?.as_deref()?;
        Some((sequence, picture))
    }
}

impl Sequence {
    /// Section 7.3.2.2.1, up to the long-term reference pictures; with its number.
    pub fn parse(unit: &[u8]) -> Option<(u32, Self)> {
        let mut bits = Bits::new(Payload::of(unit));
        bits.skip(4)?;
        let sub_layers = bits.number(3)?;
        bits.skip(1)?;
        skip_profile(&mut bits, sub_layers)?;
        let number = bits.unsigned_to(15)?;
        let separate_colour_planes = bits.unsigned_to(3)? == 3 && bits.flag()?;
        let (width, height) = (bits.unsigned_to(1 << 16)?, bits.unsigned_to(1 << 16)?);
        if bits.flag()? {
            // The window that is shown.
            for _ in 0..4 {
                bits.unsigned()?;
            }
        }
        // Bits of a sample.
        for _ in 0..2 {
            bits.unsigned()?;
        }
        let order_bits = bits.unsigned_to(12)? + 4;
        let of_each = if bits.flag()? { sub_layers + 1 } else { 1 };
        for _ in 0..3 * of_each {
            bits.unsigned()?;
        }
        let smallest = bits.unsigned_to(3)? + 3;
        let block = 1 << (smallest + bits.unsigned_to(3)?);
        // Sizes and depths of transforms.
        for _ in 0..4 {
            bits.unsigned()?;
        }
        if bits.flag()? && bits.flag()? {
            skip_scaling_lists(&mut bits)?;
        }
        bits.skip(2)?;
        if bits.flag()? {
            bits.skip(8)?;
            for _ in 0..2 {
                bits.unsigned()?;
            }
            bits.skip(1)?;
        }
        let mut short_term = Vec::new();
        let count = bits.unsigned_to(64)?;
        for _ in 0..count {
            short_term.push(ShortTerm::parse(&mut bits, &short_term, false)?);
        }
        let has_long_term = bits.flag()?;
        let mut long_term = Vec::new();
        if has_long_term {
            for _ in 0..bits.unsigned_to(32)? {
                long_term.push((bits.number(order_bits)?, bits.flag()?));
            }
        }
        let blocks = width.div_ceil(block) * height.div_ceil(block);
        let address_bits = bits_for(blocks);
        let parsed = Self {
            separate_colour_planes,
            address_bits,
            order_bits,
            short_term,
            has_long_term,
            long_term,
            block,
            pixels: u64::from(width) * u64::from(height),
        };
        Some((number, parsed))
    }
}

impl Picture {
    /// The beginning of section 7.3.2.3.1; with its number.
    fn parse(unit: &[u8]) -> Option<(u32, Self)> {
        let mut bits = Bits::new(Payload::of(unit));
        let number = bits.unsigned_to(63)?;
        let parsed = Self {
            sequence: bits.unsigned_to(15)?,
            has_dependent_segments: bits.flag()?,
            has_output_flag: bits.flag()?,
            extra_bits: bits.number(3)?,
        };
        Some((number, parsed))
    }
}

/// Section 7.3.3.
fn skip_profile(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    const PROFILE: u32 = 88;
    const LEVEL: u32 = 8;
    bits.skip(PROFILE + LEVEL)?;
    if sub_layers == 0 {
        return Some(());
    }
    let mut length = 0;
    for _ in 0..sub_layers {
        length += if bits.flag()? { PROFILE } else { 0 };
        length += if bits.flag()? { LEVEL } else { 0 };
    }
    bits.skip(2 * (8 - sub_layers))?;
    bits.skip(length)
}

/// Section 7.3.4.
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4_u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.unsigned()?;
                continue;
            }
            let coefficients = 64.min(1 << (4 + 2 * size)) + u32::from(size > 1);
            for _ in 0..coefficients {
                bits.unsigned()?;
            }
        }
    }
    Some(())
}
