//! OBUs of AV1, as far as tests need them to make temporal units.

/// Those of a temporal unit, each of which says how long it is. AV1 specification, section 5.3.
///
/// # Panics
/// When one does not.
#[must_use]
pub fn units(mut temporal_unit: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    while let Some(&header) = temporal_unit.first() {
        assert_eq!(header & 2, 2, "an OBU with a size");
        let mut place = 1 + usize::from(header >> 2 & 1);
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = temporal_unit[place];
            place += 1;
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (unit, rest) = temporal_unit.split_at(place + size);
        units.push(unit);
        temporal_unit = rest;
    }
    units
}

/// Whether it is a sequence header.
#[must_use]
pub fn is_sequence_header(unit: &[u8]) -> bool {
    unit.first().is_some_and(|header| header >> 3 & 0xf == 1)
}

/// One of a reserved type, which decoders are to pass over.
#[must_use]
pub fn reserved() -> Vec<u8> {
    vec![11 << 3 | 2, 3, 1, 2, 3]
}
