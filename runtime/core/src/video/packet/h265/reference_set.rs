//! Reference picture sets: which pictures before it a picture, or one behind it, may refer to.

use super::bits::Bits;

/// No more pictures than this are kept to be referred to (`MaxDpbSize`, section A.4.2).
const MOST: usize = 16;

/// A short-term reference picture set: how far away each picture is in output order, and whether
/// the current picture may use it. Those before it come first, from near to far, then those behind
/// it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ShortTerm {
    before: Vec<(i64, bool)>,
    behind: Vec<(i64, bool)>,
}

impl ShortTerm {
    /// Section 7.3.7, with `earlier` those of the sequence parameter set that come before it.
    pub fn parse(bits: &mut Bits<'_>, earlier: &[Self], is_in_slice: bool) -> Option<Self> {
        let set = if !earlier.is_empty() && bits.flag()? {
            Self::predicted(bits, earlier, is_in_slice)?
        } else {
            let most = MOST as u32;
            let (before, behind) = (bits.unsigned_to(most)?, bits.unsigned_to(most)?);
            Self { before: distances(bits, before, -1)?, behind: distances(bits, behind, 1)? }
        };
        (set.before.len() + set.behind.len() <= MOST).then_some(set)
    }

    /// From one of the others, moved by some pictures: formulas 7-59 to 7-62.
    fn predicted(bits: &mut Bits<'_>, earlier: &[Self], is_in_slice: bool) -> Option<Self> {
        let back = if is_in_slice { bits.unsigned()? as usize } else { 0 };
        let other = earlier.iter().rev().nth(back)?;
        let is_negative = bits.flag()?;
        let moved = i64::from(bits.unsigned_to((1 << 15) - 1)?) + 1;
        let moved = if is_negative { -moved } else { moved };
        // The picture that the other is of is the last of them.
        let all = other.iter().chain([(0, false)]);
        let mut kept = Vec::new();
        for (distance, _) in all {
            let is_used = bits.flag()?;
            if is_used || bits.flag()? {
                kept.push((distance + moved, is_used));
            }
        }
        let mut before: Vec<_> = kept.iter().copied().filter(|it| it.0 < 0).collect();
        let mut behind: Vec<_> = kept.iter().copied().filter(|it| it.0 > 0).collect();
        before.sort_by_key(|&(distance, _)| -distance);
        behind.sort_by_key(|&(distance, _)| distance);
        Some(Self { before, behind })
    }

    pub fn iter(&self) -> impl Iterator<Item = (i64, bool)> {
        self.before.iter().chain(&self.behind).copied()
    }
}

fn distances(bits: &mut Bits<'_>, count: u32, sign: i64) -> Option<Vec<(i64, bool)>> {
    let mut distance = 0;
    let mut next = || {
        distance += sign * (i64::from(bits.unsigned_to((1 << 15) - 1)?) + 1);
        Some((distance, bits.flag()?))
    };
    (0..count).map(|_| next()).collect()
}

/// A long-term reference picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LongTerm {
    /// The lower part of its picture order count.
    pub low: u32,
    /// How many times all of what the lower part can hold it is away, where that is told.
    pub cycles: Option<i64>,
    pub is_used: bool,
}

#[cfg(test)]
mod tests {
    use super::super::bits::{Payload, of_text};
    use super::*;

    fn parsed(text: &str, earlier: &[ShortTerm], is_in_slice: bool) -> Option<ShortTerm> {
        let unit = of_text(text);
        ShortTerm::parse(&mut Bits::new(Payload::of(&unit)), earlier, is_in_slice)
    }

    #[test]
    fn a_set_is_read_alone_and_from_another() {
        // Two before, 1 and 3 away, and one behind, 2 away and not used.
        let alone = parsed("011 010 1 1 010 1 010 0", &[], false).unwrap();
        assert_eq!(alone.iter().collect::<Vec<_>>(), [(-1, true), (-3, true), (2, false)]);
        // Moved by -2: -3 used, -5 not kept, 0 kept by nobody, and the picture itself, used.
        let text = "1 1 010 1 00 01 1";
        let from_it = parsed(text, std::slice::from_ref(&alone), false).unwrap();
        assert_eq!(from_it.iter().collect::<Vec<_>>(), [(-2, true), (-3, true)]);
        // In a slice, it says from which one: moved by 1.
        let all = [alone.clone(), from_it];
        let in_slice = parsed("1 010 0 1 1 1 1 01", &all, true).unwrap();
        let expected = [(-2, true), (1, false), (3, true)];
        assert_eq!(in_slice.iter().collect::<Vec<_>>(), expected);
        assert_eq!(parsed("1 00100 0 1 1 1 1 01", &all, true), None, "there are only two");
        assert_eq!(parsed("000010010 1", &[], false), None, "17 are too many");
    }
}
