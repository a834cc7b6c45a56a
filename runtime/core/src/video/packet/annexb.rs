//! Walks the NAL units of H.264 and H.265, in both of their packagings.
//!
//! Annex B separates units by start codes (ITU-T H.264 and H.265, annex B); the AVC file format
//! puts a length of four bytes before each (ISO/IEC 14496-15). A record is told apart by
//! whether the lengths add up to exactly the whole record.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// How the NAL units of a record are packaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// Start codes `00 00 01`.
    AnnexB,
    /// Big-endian lengths of four bytes.
    LengthPrefixed,
}

/// The packaging of `data`, when it is one of NAL units at all.
pub fn packaging(data: &[u8]) -> Option<Packaging> {
    let zeros = data.iter().take_while(|&&byte| byte == 0).count();
    let starts_with_code = zeros >= 2 && data.get(zeros) == Some(&1);
    // A length prefix can look like a start code only for a unit of one byte, or one of 256 to 511
    // (`00 00 01 xx`); the lengths then add up, which they never do by chance in Annex B.
    let ambiguous = starts_with_code && zeros == 2;
    if starts_with_code && !(ambiguous && lengths_add_up(data)) {
        return Some(Packaging::AnnexB);
    }
    lengths_add_up(data).then_some(Packaging::LengthPrefixed)
}

fn lengths_add_up(data: &[u8]) -> bool {
    let mut rest = data;
    while let Some((prefix, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*prefix) as usize;
        if length == 0 || length > tail.len() {
            return false;
        }
        rest = tail.get(length..).unwrap_or_default();
    }
    rest.is_empty() && !data.is_empty()
}

/// The NAL unit that begins here, without what follows it.
pub fn alone(from: &[u8]) -> &[u8] {
    let mut unit = from.get(..next_start_code(from, 0).unwrap_or(from.len())).unwrap_or_default();
    // A unit never ends in zero: those belong to the next start code, or are padding.
    while let [rest @ .., 0] = unit {
        unit = rest;
    }
    unit
}

/// Calls `visit` with the beginning of each NAL unit until it returns `false`. In Annex B, what
/// follows the unit comes with it, since the end of one is looked for only where the next is
/// wanted: of most records the first unit says it all, and is nearly all of the record. [`alone`]
/// looks for it.
pub fn for_each_unit(data: &[u8], packaging: Packaging, mut visit: impl FnMut(&[u8]) -> bool) {
    match packaging {
        Packaging::LengthPrefixed => {
            let mut rest = data;
            while let Some((prefix, tail)) = rest.split_first_chunk::<4>() {
                let length = (u32::from_be_bytes(*prefix) as usize).min(tail.len());
                let (unit, next) = tail.split_at(length);
                if !visit(unit) {
                    return;
                }
                rest = next;
            }
        }
        Packaging::AnnexB => {
            let mut from = 0;
            while let Some(start) = next_start_code(data, from) {
                from = start + 3;
                if !visit(data.get(from..).unwrap_or_default()) {
                    return;
                }
            }
        }
    }
}

/// Where the first start code begins, with the zeros before it.
pub fn first_start_code(data: &[u8]) -> Option<usize> {
    let code = next_start_code(data, 0)?;
    let zeros = data.get(..code)?.iter().rev().take_while(|&&byte| byte == 0).count();
    Some(code - zeros)
}

/// The position of the next `00 00 01` at or after `from`.
fn next_start_code(data: &[u8], from: usize) -> Option<usize> {
    static START_CODE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));
    START_CODE.find(data.get(from..)?).map(|position| from + position)
}

/// Turns length prefixes into start codes, in place: both are four bytes long.
pub fn lengths_to_start_codes(data: &mut [u8]) {
    let mut position = 0;
    while let Some(prefix) = data.get_mut(position..position + 4) {
        let mut length = [0; 4];
        length.copy_from_slice(prefix);
        prefix.copy_from_slice(&[0, 0, 0, 1]);
        position = position.saturating_add(4).saturating_add(u32::from_be_bytes(length) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(data: &[u8]) -> Vec<[u8; 3]> {
        let mut found = Vec::new();
        let packaging = packaging(data).expect("NAL units");
        for_each_unit(data, packaging, |unit| {
            found.push(*unit.first_chunk().expect("a unit of three bytes"));
            true
        });
        found
    }

    #[test]
    fn both_packagings_hold_the_same_units() {
        let annexb = [0, 0, 0, 1, 0x67, 9, 9, 0, 0, 1, 0x65, 8, 8, 8];
        let mut prefixed = vec![0, 0, 0, 3, 0x67, 9, 9, 0, 0, 0, 4, 0x65, 8, 8, 8];
        assert_eq!(packaging(&annexb), Some(Packaging::AnnexB));
        assert_eq!(packaging(&prefixed), Some(Packaging::LengthPrefixed));
        assert_eq!(units(&annexb), [[0x67, 9, 9], [0x65, 8, 8]]);
        assert_eq!(units(&annexb), units(&prefixed));
        let before = units(&prefixed);
        lengths_to_start_codes(&mut prefixed);
        assert_eq!(packaging(&prefixed), Some(Packaging::AnnexB));
        assert_eq!(units(&prefixed), before);
    }

    #[test]
    fn a_unit_of_256_bytes_behind_its_length_is_not_a_start_code() {
        let mut prefixed = vec![0, 0, 1, 0];
        prefixed.extend([0x41; 256]);
        assert_eq!(packaging(&prefixed), Some(Packaging::LengthPrefixed));
    }

    #[test]
    fn what_is_no_nal_unit_has_no_packaging() {
        let jpeg = [0xff, 0xd8, 0xff, 0xe0, 0, 16];
        for data in [&[][..], &[0], &[0, 0, 1][..2], &jpeg, b"{\"json\": true}", &[0, 0, 0, 9, 1]] {
            assert_eq!(packaging(data), None, "{data:?}");
        }
    }
}
