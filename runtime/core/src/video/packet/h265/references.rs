//! Which pictures came that others may refer to, and where each stands in output order.

use super::reference_set::LongTerm;
use super::slice::Header;

/// No picture that belongs to a key picture, but is shown before it, is further away.
const MOST_LEADING: i64 = 1 << 16;

/// What is known of a coded video sequence: what came since the latest key picture behind which
/// nothing refers to what was before.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Nothing came yet that the next picture could follow.
    goes_on: bool,
    /// Where picture order count 0 stands in the whole stream.
    base: i64,
    /// The highest position of all pictures.
    highest: i64,
    /// The picture order count from which the upper part of the next one is guessed.
    anchor: i64,
    is_anchored: bool,
    /// Picture order counts of those that came and may be referred to.
    came: Vec<i64>,
}

/// How a picture stands in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub position: i64,
    /// A picture that it may use did not come.
    pub lacks_reference: bool,
}

/// What has to be known of a picture.
pub(super) struct Picture<'a> {
    pub kind: u8,
    pub temporal_layer: u8,
    pub header: &'a Header,
    /// Decoding may begin with it, though others before it did not come.
    pub is_refresh: bool,
    pub is_intra: bool,
}

impl References {
    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {
        self.goes_on = false;
    }

    /// Takes in the next picture.
    pub fn take(&mut self, picture: &Picture<'_>) -> Standing {
        let count = self.count(picture);
        let position = self.base.saturating_add(count);
        self.highest = self.highest.max(position);
        let range = 1_i64 << picture.header.order_bits;
        let lacks_reference = self.keep_only(picture, count, range);
        self.came.push(count);
        Standing { position, lacks_reference }
    }

    /// Its picture order count: section 8.3.1.
    fn count(&mut self, picture: &Picture<'_>) -> i64 {
        let low = i64::from(picture.header.low);
        let is_reset = matches!(picture.kind, 16..=20);
        if is_reset || !self.goes_on {
            self.goes_on = true;
            self.came.clear();
            self.base = self.highest.saturating_add(MOST_LEADING);
            self.is_anchored = false;
            self.anchor = low;
        }
        let range = 1_i64 << picture.header.order_bits;
        // The nearest to the anchor of those that end alike.
        let up = (low - self.anchor).rem_euclid(range);
        let count = self.anchor + if up <= range / 2 { up } else { up - range };
        // Neither leading pictures nor those that their own sub-layer does not need.
        let is_passed_over = matches!(picture.kind, 6..=9 | 0 | 2 | 4 | 10 | 12 | 14);
        let is_anchor = picture.temporal_layer == 0 && !is_passed_over;
        if is_anchor || !self.is_anchored {
            self.anchor = count;
            self.is_anchored |= is_anchor;
        }
        count
    }

    /// Drops what is not in the picture's reference picture set (section 8.3.2). Whether something
    /// of it that the picture may use did not come.
    fn keep_only(&mut self, picture: &Picture<'_>, count: i64, range: i64) -> bool {
        let header = picture.header;
        // Two pictures that stand at the same place: a key picture between them was lost.
        let mut lacks = self.came.contains(&count);
        let mut kept = Vec::with_capacity(self.came.len() + 1);
        let mut missing = Vec::new();
        let short_term = header.short_term.iter().map(|(distance, is_used)| {
            let wanted = count + distance;
            (self.came.iter().find(|&&came| came == wanted), wanted, is_used)
        });
        let long_term = header.long_term.iter().map(|entry| {
            let wanted = long_term_count(entry, count, range);
            let is_wanted = |came: i64| match entry.cycles {
                Some(_) => came == wanted,
                None => (came - wanted).rem_euclid(range) == 0,
            };
            (self.came.iter().find(|&&came| is_wanted(came)), wanted, entry.is_used)
        });
        for (came, wanted, is_used) in short_term.chain(long_term) {
            match came {
                Some(&came) => kept.push(came),
                None => {
                    missing.push(wanted);
                    lacks |= is_used && !picture.is_intra;
                }
            }
        }
        // What is missing here is said here, and no picture behind a recovery point refers to what
        // it would make wrong. What of it others need must not count as another loss.
        if lacks && picture.is_refresh {
            kept.append(&mut missing);
        }
        self.came = kept;
        lacks
    }
}

/// Formula 8-5. Where only the lower part is told, the latest picture that ends so.
fn long_term_count(entry: &LongTerm, count: i64, range: i64) -> i64 {
    let low = i64::from(entry.low);
    match entry.cycles {
        Some(cycles) => count - cycles * range - count.rem_euclid(range) + low,
        None => count - (count - low).rem_euclid(range),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference_set::ShortTerm;
    use super::*;

    /// A picture that refers to these long-term pictures: the lower part, and how many cycles.
    fn take(
        references: &mut References,
        kind: u8,
        low: u32,
        others: &[(u32, Option<i64>)],
    ) -> bool {
        let long_term = others.iter().map(|&(low, cycles)| LongTerm { low, cycles, is_used: true });
        let header = Header {
            pixels: 0,
            is_intra: false,
            low,
            order_bits: 4,
            short_term: ShortTerm::default(),
            long_term: long_term.collect(),
        };
        let (header, is_intra) = (&header, kind > 16);
        let picture = Picture { kind, temporal_layer: 0, header, is_refresh: false, is_intra };
        references.take(&picture).lacks_reference
    }

    #[test]
    fn long_term_pictures_are_known_by_the_lower_part_or_by_all_of_their_place() {
        let mut references = References::default();
        assert!(!take(&mut references, 19, 0, &[]));
        assert!(!take(&mut references, 1, 7, &[(0, None)]));
        assert!(!take(&mut references, 1, 14, &[(0, None), (7, Some(0))]));
        // Picture 21, of which only 5 is told.
        assert!(!take(&mut references, 1, 5, &[(0, None), (7, Some(1)), (14, Some(1))]));
        assert!(take(&mut references, 1, 6, &[(0, Some(0)), (5, None)]), "that would be 16");
        assert!(take(&mut references, 1, 7, &[(7, Some(1))]), "it was let go");
    }
}
