//! The parameter sets of a stream so far, for a decoder that takes over from another one.
//!
//! Streams need not repeat them: a set holds until another one of its kind and number comes.
//! Numbers are not looked at here. Of sets that are alike the latest is kept, in the order in which
//! they came, so that the last of each number is the one that holds, as it was for the decoder
//! before.

use std::sync::Arc;

use ffmpeg_next::codec::Id;

use super::av1;
use super::codec::Codec;
use crate::video::packet::annexb;

/// More than any stream has: a set takes a hundred bytes.
const MAX_BYTES: usize = 64 * 1024;

/// By this, libx264 tells which release of it wrote a stream, in its first picture only. libavcodec
/// makes good for the faults of old ones.
const X264: [u8; 16] = [
    0xdc, 0x45, 0xe9, 0xbd, 0xe6, 0xd9, 0x48, 0xb7, 0x96, 0x2c, 0xd8, 0x20, 0xd9, 0x23, 0xee, 0xef,
];

/// The rank of that.
const NOTICE: u8 = 0;

/// What of a stream's NAL units a decoder must have seen, whichever picture comes next.
#[derive(Debug, Default)]
pub struct ParameterSets {
    /// With the rank of their kind: a set may name one of a lower rank.
    units: Vec<(u8, Vec<u8>)>,
    bytes: usize,
    are_too_many: bool,
    /// See [`Self::all`].
    all: Option<Arc<[u8]>>,
}

impl ParameterSets {
    /// Notes the sets in an access unit, wherever in it they stand. Whether there was any news.
    pub fn learn(&mut self, codec: Codec, data: &[u8]) -> bool {
        if codec.id() == Id::AV1 {
            return self.learn_sequence_header(data);
        }
        let Some(packaging) = annexb::packaging(data) else { return false };
        let mut is_news = false;
        annexb::for_each_unit(data, packaging, |unit| {
            if let Some(rank) = rank(codec, unit) {
                is_news |= self.note(rank, annexb::alone(unit));
            }
            true
        });
        if is_news {
            let are_kept = !self.are_too_many;
            self.all = together(self.units.iter().filter(|_| are_kept));
        }
        is_news
    }

    /// Of AV1 there is one header, and the latest holds.
    fn learn_sequence_header(&mut self, data: &[u8]) -> bool {
        let Some(latest) = av1::sequence_headers(data).last() else { return false };
        let is_news = self.all.as_deref() != Some(latest);
        if is_news && latest.len() <= MAX_BYTES {
            self.units = vec![(1, latest.to_vec())];
            self.all = Some(latest.into());
        }
        is_news
    }

    fn note(&mut self, rank: u8, unit: &[u8]) -> bool {
        let mut of_kind = self.units.iter().rev().filter(|(other, _)| *other == rank);
        if of_kind.next().is_some_and(|(_, latest)| latest == unit) {
            return false;
        }
        if let Some(known) = self.units.iter().position(|it| it.0 == rank && it.1 == unit) {
            let known = self.units.remove(known);
            self.units.push(known);
            return true;
        }
        self.bytes += unit.len();
        self.are_too_many |= self.bytes > MAX_BYTES;
        if !self.are_too_many {
            self.units.push((rank, unit.to_vec()));
        }
        true
    }

    /// All of them in Annex B, as they are to be told to another decoder. `None`: there are none,
    /// or they were too many to be kept.
    #[must_use]
    pub fn all(&self) -> Option<Arc<[u8]>> {
        self.all.clone()
    }

    /// Those of [`Self::all`] without which nothing can be decoded.
    #[must_use]
    pub fn needed(&self, codec: Codec) -> Option<Arc<[u8]>> {
        if codec.id() == Id::AV1 {
            return self.all();
        }
        together(self.units.iter().filter(|(rank, _)| *rank != NOTICE))
    }

    /// Whether an access unit has, before its picture, all that are needed.
    #[must_use]
    pub fn are_in(&self, codec: Codec, data: &[u8]) -> bool {
        if codec.id() == Id::AV1 {
            return av1::sequence_headers(data).any(|it| self.all.as_deref() == Some(it));
        }
        let Some(packaging) = annexb::packaging(data) else { return self.units.is_empty() };
        let mut missing: Vec<&[u8]> = self
            .units
            .iter()
            .filter(|(rank, _)| *rank != NOTICE)
            .map(|(_, unit)| &unit[..])
            .collect();
        annexb::for_each_unit(data, packaging, |unit| {
            if rank(codec, unit).is_some() {
                let unit = annexb::alone(unit);
                missing.retain(|it| *it != unit);
            }
            !missing.is_empty() && !is_slice(codec, unit)
        });
        missing.is_empty()
    }

    /// Whether they were too many to be kept.
    #[must_use]
    pub fn are_too_many(&self) -> bool {
        self.are_too_many
    }
}

/// Sets behind one another in Annex B, by their rank; `None`: there are none.
fn together<'a>(units: impl Iterator<Item = &'a (u8, Vec<u8>)>) -> Option<Arc<[u8]>> {
    let mut units: Vec<&(u8, Vec<u8>)> = units.collect();
    units.sort_by_key(|(rank, _)| *rank);
    let with_start_code = |(_, unit): &(u8, Vec<u8>)| [&[0, 0, 0, 1], &unit[..]].concat();
    (!units.is_empty()).then(|| units.into_iter().flat_map(with_start_code).collect())
}

/// A slice, or a part of one. ITU-T H.264, table 7-1, and H.265, table 7-1.
fn is_slice(codec: Codec, unit: &[u8]) -> bool {
    let Some(&header) = unit.first() else { return false };
    match codec.id() {
        Id::HEVC => (header >> 1) & 0x3f < 32,
        _ => matches!(header & 0x1f, 1..=5),
    }
}

/// ITU-T H.264, table 7-1, and H.265, table 7-1.
fn rank(codec: Codec, unit: &[u8]) -> Option<u8> {
    let header = *unit.first()?;
    match (codec.id(), header & 0x1f, (header >> 1) & 0x3f) {
        (Id::H264, 6, _) => {
            let is_notice = unit.get(1) == Some(&5)
                && unit.get(2..24).is_some_and(|it| it.windows(X264.len()).any(|id| id == X264));
            is_notice.then_some(NOTICE)
        }
        (Id::H264, 7, _) => Some(1),
        (Id::H264, 13 | 15, _) => Some(2),
        (Id::H264, 8, _) => Some(3),
        (Id::HEVC, _, 32) => Some(1),
        (Id::HEVC, _, 33) => Some(2),
        (Id::HEVC, _, 34) => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::video::packet::annexb::Packaging;

    fn annexb(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
    }

    fn annexb_all(units: &[&[u8]]) -> Arc<[u8]> {
        annexb(units).into()
    }

    fn learned(codec: &str, access_units: &[&[&[u8]]]) -> ParameterSets {
        let mut sets = ParameterSets::default();
        for units in access_units {
            sets.learn(Codec::from_name(codec).unwrap(), &annexb(units));
        }
        sets
    }

    #[test]
    fn sets_of_h264_are_told_again_in_the_order_in_which_they_hold() {
        let (sps, pps, other_pps): (&[u8], &[u8], &[u8]) = (&[0x67, 1], &[0x68, 1], &[0x68, 2]);
        let (idr, delimiter): (&[u8], &[u8]) = (&[0x65, 9], &[9, 0x10]);
        let sets = learned("h264", &[&[delimiter, sps, pps, idr], &[other_pps], &[sps, pps, idr]]);
        assert_eq!(sets.all(), Some(annexb_all(&[sps, other_pps, pps])));
        // The picture parameters came once, and name the sequence's, which come again.
        let sets = learned("h264", &[&[sps, pps], &[&[0x67, 2]], &[sps]]);
        assert_eq!(sets.all(), Some(annexb_all(&[&[0x67, 2], sps, pps])));
    }

    #[test]
    fn sets_behind_a_picture_are_told_again() {
        let (sps, pps, slice): (&[u8], &[u8], &[u8]) = (&[0x67, 1], &[0x68, 1], &[0x41, 9]);
        let sets = learned("h264", &[&[slice, sps, pps], &[slice, &[0x68, 2], slice]]);
        assert_eq!(sets.all(), Some(annexb_all(&[sps, pps, &[0x68, 2]])));
        let (sps, slice): (&[u8], &[u8]) = (&[66, 1, 1], &[2, 1, 9]);
        assert_eq!(learned("h265", &[&[slice, sps]]).all(), Some(annexb_all(&[sps])));
    }

    #[test]
    fn sets_of_h265_are_told_again() {
        let (vps, sps, pps): (&[u8], &[u8], &[u8]) = (&[64, 1, 1], &[66, 1, 1], &[68, 1, 1]);
        let sets = learned("h265", &[&[vps, sps, pps, &[38, 1, 9]], &[vps, &[2, 1, 9]]]);
        assert_eq!(sets.all(), Some(annexb_all(&[vps, sps, pps])));
    }

    #[test]
    fn the_encoder_s_own_notice_is_kept_and_other_messages_are_not() {
        let notice = [&[6, 5, 0xff, 0xff, 0x10], &X264[..], b"x264 - core 148"].concat();
        let sets = learned("h264", &[&[&notice, &[6, 5, 3, 1, 2, 3], &[0x67, 1], &[0x65, 1]]]);
        assert_eq!(sets.all(), Some(annexb_all(&[&notice, &[0x67, 1]])));
    }

    #[test]
    fn endless_sets_do_not_fill_the_memory() {
        let mut sets = ParameterSets::default();
        for number in 0..2000_u16 {
            let [high, low] = number.to_be_bytes();
            sets.note(3, &[&[0x68, high, low], &[0x55; 100][..]].concat());
        }
        assert_eq!(sets.all(), None);
        assert!(sets.units.len() * 100 <= MAX_BYTES);
    }

    proptest! {
        /// Whatever comes, what holds in the end is what came last of each kind and number; here
        /// the number is the byte behind the header.
        #[test]
        fn the_last_of_each_number_holds(
            came in proptest::collection::vec((0..3_usize, 1..4_u8, 1..4_u8), 0..60),
        ) {
            let kinds = [0x67, 0x68, 0x6d];
            let units: Vec<Vec<u8>> =
                came.iter().map(|&(kind, number, text)| vec![kinds[kind], number, text]).collect();
            let mut sets = ParameterSets::default();
            for unit in &units {
                sets.learn(Codec::from_name("h264").unwrap(), &annexb(&[unit]));
            }
            let all = sets.all().unwrap_or_default();
            let mut told: Vec<Vec<u8>> = Vec::new();
            if !all.is_empty() {
                annexb::for_each_unit(&all, Packaging::AnnexB, |unit| {
                    told.push(annexb::alone(unit).to_vec());
                    true
                });
            }
            for kind in kinds {
                for number in 1..4 {
                    let last = |of: &[Vec<u8>]| {
                        of.iter().rev().find(|it| it[..2] == [kind, number]).cloned()
                    };
                    prop_assert_eq!(last(&told), last(&units));
                }
            }
        }
    }
}
