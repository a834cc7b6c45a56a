//! Reads an input as a sequence of values. Whatever is missing at its end is zero or empty.

/// What is left of an input.
pub struct Cursor<'d>(pub &'d [u8]);

impl<'d> Cursor<'d> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.bytes(8).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> &'d [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Bytes behind their length, which is one byte.
    pub fn block(&mut self) -> &'d [u8] {
        let length = self.byte();
        self.bytes(length.into())
    }
}
