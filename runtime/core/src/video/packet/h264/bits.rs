//! How far headers are read, and how strictly: as far and as strictly as it matters here.
//!
//! `h264-reader` holds streams to all that H.264 demands of them, and cameras break what no decoder
//! minds: they claim levels too low for their pictures, and nonsense in the usability information
//! at the end of their sequence parameter sets. The level is not read, and the information only
//! where it makes sense.

use h264_reader::nal::{Nal, NalHeader, RefNal, RefNalReader};
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, ByteReader, Integer, Primitive};

use crate::video::packet::annexb;

/// Longer than any header, and than any set: scaling lists and weights take some hundred bytes. A
/// stranger's stream has no more than this read of each unit.
const MAX_HEADER: usize = 2048;
/// No signed number in a header is as large; the library adds to some without looking.
const MAX_SIGNED: u32 = 1 << 30;
/// A level that there is not, for which the library knows no limits.
const NO_LEVEL: &[u8] = &[0xff];

/// The bits of one NAL unit's header, or of its set.
pub struct Header<'a> {
    bits: BitReader<ByteReader<RefNalReader<'a>>>,
    usability: Usability,
}

/// Whether the usability information of a sequence parameter set is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usability {
    Read,
    Ignored,
}

impl<'a> Header<'a> {
    /// Of this NAL unit, behind which others may come.
    pub fn of(unit: &'a [u8]) -> Option<(NalHeader, Self)> {
        let unit = beginning(unit);
        let header = NalHeader::new(*unit.first()?).ok()?;
        let bits = RefNal::new(unit, &[], true).rbsp_bits();
        Some((header, Self { bits, usability: Usability::Ignored }))
    }

    /// Calls `read` with the bits of a sequence parameter set, whatever level it claims.
    pub fn without_level<T>(
        unit: &[u8],
        usability: Usability,
        read: impl FnOnce(Header<'_>) -> T,
    ) -> Option<T> {
        // Section 7.3.2.1.1: behind the unit's header come three bytes: `profile_idc`, the
        // constraints, `level_idc`.
        let (before, rest) = beginning(unit).split_at_checked(3)?;
        let rest = rest.get(1..).filter(|rest| !rest.is_empty())?;
        let chunks = [NO_LEVEL, rest];
        let bits = RefNal::new(before, &chunks, true).rbsp_bits();
        Some(read(Header { bits, usability }))
    }
}

fn beginning(unit: &[u8]) -> &[u8] {
    annexb::alone(unit.get(..MAX_HEADER).unwrap_or(unit))
}

impl BitRead for Header<'_> {
    fn read_ue(&mut self, name: &'static str) -> Result<u32, BitReaderError> {
        self.bits.read_ue(name)
    }

    fn read_se(&mut self, name: &'static str) -> Result<i32, BitReaderError> {
        let value = self.bits.read_se(name)?;
        let is_absurd = value.unsigned_abs() > MAX_SIGNED;
        if is_absurd { Err(BitReaderError::ExpGolombTooLarge(name)) } else { Ok(value) }
    }

    fn read_bit(&mut self, name: &'static str) -> Result<bool, BitReaderError> {
        // The last that a sequence parameter set says.
        if name == "vui_parameters_present_flag" && self.usability == Usability::Ignored {
            Ok(false)
        } else {
            self.bits.read_bit(name)
        }
    }

    fn read<const BITS: u32, I: Integer>(
        &mut self,
        name: &'static str,
    ) -> Result<I, BitReaderError> {
        self.bits.read::<BITS, I>(name)
    }

    fn read_var<I: Integer>(
        &mut self,
        bit_count: u32,
        name: &'static str,
    ) -> Result<I, BitReaderError> {
        self.bits.read_var(bit_count, name)
    }

    fn read_to<V: Primitive>(&mut self, name: &'static str) -> Result<V, BitReaderError> {
        self.bits.read_to(name)
    }

    fn skip(&mut self, bit_count: u32, name: &'static str) -> Result<(), BitReaderError> {
        self.bits.skip(bit_count, name)
    }

    fn byte_aligned(&self) -> bool {
        self.bits.byte_aligned()
    }

    fn has_more_rbsp_data(&mut self, name: &'static str) -> Result<bool, BitReaderError> {
        self.bits.has_more_rbsp_data(name)
    }

    fn finish_rbsp(self) -> Result<(), BitReaderError> {
        Ok(())
    }

    fn finish_sei_payload(self) -> Result<(), BitReaderError> {
        Ok(())
    }
}
