//! NAL units of H.264 and H.265, as far as tests need them to make access units.

/// The units of an Annex B stream, without start codes.
#[must_use]
pub fn units(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> = Vec::new();
    for (position, window) in stream.windows(3).enumerate() {
        if window == [0, 0, 1] {
            starts.push(position + 3);
        }
    }
    let ends = starts.iter().skip(1).map(|start| start - 3).chain([stream.len()]);
    starts.iter().zip(ends).map(|(&start, end)| trimmed(&stream[start..end])).collect()
}

/// A unit ends with a byte other than 0; zeros behind it belong to the next start code.
fn trimmed(unit: &[u8]) -> &[u8] {
    let zeros = unit.iter().rev().take_while(|&&byte| byte == 0).count();
    &unit[..unit.len() - zeros]
}

/// The units of a sample of an MP4 file: each behind its length in four bytes.
///
/// # Panics
/// When the lengths don't add up.
#[must_use]
pub fn length_prefixed_units(mut sample: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    while let Some((prefix, rest)) = sample.split_first_chunk::<4>() {
        let (unit, rest) = rest.split_at(u32::from_be_bytes(*prefix) as usize);
        units.push(unit);
        sample = rest;
    }
    assert!(sample.is_empty(), "lengths of a sample add up");
    units
}

/// Units behind start codes of four bytes.
#[must_use]
pub fn annexb(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect()
}

/// Units behind their lengths in four bytes.
///
/// # Panics
/// When one is 4 GiB.
#[must_use]
pub fn length_prefixed(units: &[&[u8]]) -> Vec<u8> {
    let prefixed = |unit: &&[u8]| {
        let length = u32::try_from(unit.len()).expect("the length of a unit").to_be_bytes();
        [&length[..], unit].concat()
    };
    units.iter().flat_map(prefixed).collect()
}

/// Whether a unit is a parameter set.
#[must_use]
pub fn is_parameter_set(unit: &[u8], hevc: bool) -> bool {
    match unit.first() {
        Some(header) if hevc => matches!((header >> 1) & 0x3f, 32..=34),
        Some(header) => matches!(header & 0x1f, 7 | 8),
        None => false,
    }
}

/// A unit of H.264 filler data (type 12) of `size` bytes, which decoders pass over.
#[must_use]
pub fn h264_filler(size: usize) -> Vec<u8> {
    let mut unit = vec![0xff; size];
    unit[0] = 12;
    unit[size - 1] = 0x80;
    unit
}

/// A sequence parameter set of H.264 without usability information, so that it does not say how far
/// pictures are reordered. ITU-T H.264, section 7.3.2.1.1.
///
/// # Panics
/// When it has what x264 does not write: scaling matrices, or an order count of type 1.
#[must_use]
pub fn without_usability(unit: &[u8]) -> Vec<u8> {
    let mut bits = Bits { bits: bits_of(&unit[1..]), position: 0 };
    let profile = bits.number(8);
    bits.number(16);
    bits.golomb();
    if matches!(profile, 100 | 110 | 122 | 244) {
        if bits.golomb() == 3 {
            bits.number(1);
        }
        bits.golomb();
        bits.golomb();
        bits.number(1);
        assert_eq!(bits.number(1), 0, "scaling matrices");
    }
    bits.golomb();
    match bits.golomb() {
        0 => _ = bits.golomb(),
        kind => assert_eq!(kind, 2, "type of the order count"),
    }
    bits.golomb();
    bits.number(1);
    bits.golomb();
    bits.golomb();
    if bits.number(1) == 0 {
        bits.number(1);
    }
    bits.number(1);
    if bits.number(1) == 1 {
        (0..4).for_each(|_| _ = bits.golomb());
    }
    assert_eq!(bits.number(1), 1, "usability information");
    let mut kept = bits.bits[..bits.position - 1].to_vec();
    kept.extend([false, true]);
    kept.resize(kept.len().next_multiple_of(8), false);
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
    let bytes: Vec<u8> = kept.chunks(8).map(byte).collect();
    [&unit[..1], &escaped(&bytes)].concat()
}

struct Bits {
    bits: Vec<bool>,
    position: usize,
}

impl Bits {
    fn number(&mut self, count: usize) -> u32 {
        let bits = &self.bits[self.position..][..count];
        self.position += count;
        bits.iter().fold(0, |number, &bit| number << 1 | u32::from(bit))
    }

    /// An unsigned number as of section 9.1.
    fn golomb(&mut self) -> u32 {
        let zeros = self.bits[self.position..].iter().take_while(|&&bit| !bit).count();
        self.position += zeros;
        self.number(zeros + 1) - 1
    }
}

/// The bits of a unit, without the bytes that keep start codes out of it.
fn bits_of(unit: &[u8]) -> Vec<bool> {
    let is_kept = |&(place, &byte): &(usize, &u8)| {
        !(byte == 3 && place >= 2 && unit[place - 2..place] == [0, 0])
    };
    let bytes = unit.iter().enumerate().filter(is_kept).map(|(_, &byte)| byte);
    bytes.flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect()
}

fn escaped(bytes: &[u8]) -> Vec<u8> {
    let (mut unit, mut zeros) = (Vec::new(), 0);
    for &byte in bytes {
        if zeros == 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        unit.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    unit
}
