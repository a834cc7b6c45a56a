//! The bits of a NAL unit, as the syntax tables of ITU-T H.265 read them.

use std::io::{self, Read};

use bitstream_io::{BigEndian, BitRead, BitReader};

/// What a NAL unit says, without the bytes that keep start codes out of it (section 7.3.1.1). It
/// ends where the next unit begins.
#[derive(Debug, Clone)]
pub(super) struct Payload<'a> {
    rest: &'a [u8],
    zeros: u8,
}

impl<'a> Payload<'a> {
    /// Of a unit, behind its header of two bytes.
    pub fn of(unit: &'a [u8]) -> Self {
        Self { rest: unit.get(2..).unwrap_or_default(), zeros: 0 }
    }
}

impl Iterator for Payload<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (mut byte, mut rest) = self.rest.split_first()?;
        if self.zeros >= 2 && *byte <= 3 {
            // Zeros behind the unit, or a start code.
            if *byte < 3 {
                self.rest = &[];
                return None;
            }
            self.zeros = 0;
            (byte, rest) = rest.split_first()?;
        }
        self.zeros = if *byte == 0 { self.zeros + 1 } else { 0 };
        self.rest = rest;
        Some(*byte)
    }
}

impl Read for Payload<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        for (place, byte) in buffer.iter_mut().zip(self) {
            *place = byte;
            length += 1;
        }
        Ok(length)
    }
}

/// Reads them one after the other; `None` behind their end, and where a number is larger than it
/// may be.
pub(super) struct Bits<'a>(BitReader<Payload<'a>, BigEndian>);

impl<'a> Bits<'a> {
    pub fn new(payload: Payload<'a>) -> Self {
        Self(BitReader::new(payload))
    }

    pub fn flag(&mut self) -> Option<bool> {
        self.0.read_bit().ok()
    }

    /// `u(v)`, of 32 bits at most.
    pub fn number(&mut self, bits: u32) -> Option<u32> {
        self.0.read_var(bits).ok()
    }

    pub fn skip(&mut self, bits: u32) -> Option<()> {
        self.0.skip(bits).ok()
    }

    /// `ue(v)`, section 9.2.
    pub fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            // The largest that the standard has is 2^32 - 2.
            if zeros > 31 {
                return None;
            }
        }
        Some((1_u32 << zeros) - 1 + self.number(zeros)?)
    }

    pub fn unsigned_to(&mut self, most: u32) -> Option<u32> {
        self.unsigned().filter(|&number| number <= most)
    }

    /// `se(v)`, section 9.2.2.
    pub fn signed(&mut self) -> Option<i64> {
        let number = i64::from(self.unsigned()?);
        Some(if number % 2 == 0 { -(number / 2) } else { number / 2 + 1 })
    }
}

/// `Ceil( Log2( count ) )`: bits that tell one of so many.
pub(super) fn bits_for(count: u32) -> u32 {
    u32::BITS - count.saturating_sub(1).leading_zeros()
}

/// A unit of these bits, `0` and `1`, behind a header.
#[cfg(test)]
pub(super) fn of_text(text: &str) -> Vec<u8> {
    let bits: Vec<u8> = text.bytes().filter(|it| *it != b' ').map(|it| it - b'0').collect();
    let bytes = bits
        .chunks(8)
        .map(|byte| byte.iter().enumerate().map(|(place, bit)| bit << (7 - place)).sum::<u8>());
    [2, 1].into_iter().chain(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_keep_start_codes_out_are_left_out_and_a_start_code_ends_it() {
        let read = |unit: &[u8]| Payload::of(unit).collect::<Vec<u8>>();
        assert_eq!(read(&[1, 1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 7]), [0, 0, 1, 0, 0, 0, 0, 7]);
        assert_eq!(read(&[1, 1, 5, 0, 0, 1, 9]), [5, 0, 0]);
        assert_eq!(read(&[1, 1, 5, 0, 0, 3]), [5, 0, 0]);
        assert!(read(&[1]).is_empty());
    }

    #[test]
    fn exponential_golomb_codes_are_read() {
        // 1, 010, 011, 00100, 00111 and zeros.
        let mut bits = Bits::new(Payload::of(&[1, 1, 0b1010_0110, 0b0100_0011, 0b1000_0000]));
        let mut next = || bits.unsigned();
        assert_eq!([next(), next(), next(), next()], [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(bits.signed(), Some(-3));
        assert_eq!(bits.unsigned(), None);
        assert_eq!([1, 2, 3, 4, 5, 64].map(bits_for), [0, 1, 2, 2, 3, 6]);
    }
}
