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
