//! Keeps a camera's records in input order until the fate of each is settled.
//!
//! The ledger is what makes "every record in, every record out, in order" true whatever happens
//! in the decoder and the plugins: a record enters once, is settled once, and leaves from the
//! front only. It knows nothing of Kafka or video; `R` is whatever must leave as it came.

use std::collections::VecDeque;

use super::outcome::{FailReason, Outcome, SkipReason};

/// A record's number on its camera, counted from 0 at the camera's start.
pub type Seq = u64;

/// The most frames that may overtake another between decoding and presentation: the deepest
/// picture buffer that H.264 and H.265 allow. What is overtaken more often never comes out.
pub const MAX_OVERTAKEN: u32 = 16;

/// The most records that may wait behind one whose frame has not come. What follows it may hold
/// no pictures at all, and then nothing overtakes it; a decoder that has all its threads and its
/// whole picture buffer at work needs 32.
pub const MOST_WAITING: usize = 256;

#[derive(Debug)]
struct LedgerEntry<R> {
    record: R,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    /// Not all access units that begin in this record are known yet (`bytestream` framing).
    Open {
        pending: u32,
        latest: Option<Outcome>,
        overtaken: u32,
    },
    /// This many of its frames are in the decoder.
    Decoding {
        pending: u32,
        latest: Option<Outcome>,
        overtaken: u32,
    },
    Settled(Outcome),
}

/// Records in input order, each with its fate.
#[derive(Debug)]
pub struct Ledger<R> {
    first: Seq,
    entries: VecDeque<LedgerEntry<R>>,
}

impl<R> Default for Ledger<R> {
    fn default() -> Self {
        Self { first: 0, entries: VecDeque::new() }
    }
}

impl<R> Ledger<R> {
    /// An empty ledger whose first record gets the number `first`.
    #[must_use]
    pub fn beginning_with(first: Seq) -> Self {
        Self { first, entries: VecDeque::new() }
    }

    /// The number of the oldest record inside; without one, that of the next.
    #[must_use]
    pub fn first_seq(&self) -> Seq {
        self.first
    }

    /// Whether the fate of every record before `seq` is settled.
    #[must_use]
    pub fn is_settled_before(&self, seq: Seq) -> bool {
        let count = usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let mut before = self.entries.iter().take(count);
        before.all(|entry| matches!(entry.fate, Fate::Settled(_)))
    }

    /// How many records are inside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no record is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number that the next record will get.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.first + self.entries.len() as Seq
    }

    /// Takes in a record whose fate is known.
    pub fn admit_settled(&mut self, record: R, outcome: Outcome) -> Seq {
        self.admit(record, Fate::Settled(outcome))
    }

    /// Takes in a record that is one access unit, about to enter the decoder.
    pub fn admit_unit(&mut self, record: R) -> Seq {
        self.admit(record, Fate::Decoding { pending: 1, latest: None, overtaken: 0 })
    }

    /// Takes in a record in which any number of access units may begin; see
    /// [`Ledger::seal_before`].
    pub fn admit_chunk(&mut self, record: R) -> Seq {
        self.admit(record, Fate::Open { pending: 0, latest: None, overtaken: 0 })
    }

    fn admit(&mut self, record: R, fate: Fate) -> Seq {
        let seq = self.next_seq();
        self.entries.push_back(LedgerEntry { record, fate });
        seq
    }

    /// One more access unit begins in this chunk, and is about to enter the decoder.
    pub fn unit_begins(&mut self, seq: Seq) {
        if let Some(Fate::Open { pending, .. } | Fate::Decoding { pending, .. }) =
            self.fate_mut(seq)
        {
            *pending += 1;
        }
    }

    /// No further access unit begins in the chunks before `seq`: those without any are settled.
    pub fn seal_before(&mut self, seq: Seq) {
        let count = usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for entry in self.entries.iter_mut().take(count) {
            if let Fate::Open { pending, latest, overtaken } = &mut entry.fate {
                entry.fate = match (*pending, latest.take()) {
                    (0, Some(outcome)) => Fate::Settled(outcome),
                    (0, None) => Fate::Settled(Outcome::skipped(SkipReason::NoPicture)),
                    (pending, latest) => Fate::Decoding { pending, latest, overtaken: *overtaken },
                };
            }
        }
    }

    /// One access unit of this record has its outcome. Of several, the last one stays.
    /// A record that is settled already keeps its fate.
    pub fn settle(&mut self, seq: Seq, outcome: Outcome) {
        let Some(fate) = self.fate_mut(seq) else { return };
        match fate {
            Fate::Settled(_) => {}
            Fate::Open { pending, latest, .. } => {
                *pending = pending.saturating_sub(1);
                *latest = Some(outcome);
            }
            Fate::Decoding { pending, latest, .. } => {
                *pending = pending.saturating_sub(1);
                *latest = Some(outcome);
                if *pending == 0
                    && let Some(outcome) = latest.take()
                {
                    *fate = Fate::Settled(outcome);
                }
            }
        }
    }

    /// The frame of `seq` came out of the decoder. Earlier records that wait for theirs and
    /// have now been overtaken more than `limit` times will never see it come: they have failed.
    pub fn frame_out(&mut self, seq: Seq, limit: u32) {
        let count = usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for entry in self.entries.iter_mut().take(count) {
            if let Fate::Decoding { latest, overtaken, .. } = &mut entry.fate {
                *overtaken += 1;
                if *overtaken > limit {
                    let outcome = latest.take();
                    entry.fate = Fate::Settled(
                        outcome.unwrap_or_else(|| Outcome::failed(FailReason::DecodeError)),
                    );
                }
            }
        }
    }

    /// Whether a frame of this record is still to come.
    #[must_use]
    pub fn is_waiting(&self, seq: Seq) -> bool {
        let fate = self.index(seq).and_then(|index| self.entries.get(index)).map(|it| &it.fate);
        match fate {
            Some(Fate::Decoding { .. }) => true,
            Some(Fate::Open { pending, .. }) => *pending > 0,
            Some(Fate::Settled(_)) | None => false,
        }
    }

    /// No more frames come of records before `before`: what still waits for one gets `outcome`.
    /// Chunks in which more access units may begin stay open.
    pub fn settle_waiting_before(&mut self, before: Seq, outcome: &Outcome) {
        let count = usize::try_from(before.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for entry in self.entries.iter_mut().take(count) {
            match &mut entry.fate {
                Fate::Decoding { latest, .. } => {
                    let latest = latest.take();
                    entry.fate = Fate::Settled(latest.unwrap_or_else(|| outcome.clone()));
                }
                Fate::Open { pending, latest, .. } if *pending > 0 => {
                    *pending = 0;
                    latest.get_or_insert_with(|| outcome.clone());
                }
                Fate::Open { .. } | Fate::Settled(_) => {}
            }
        }
    }

    /// As [`Self::settle_waiting_before`], of all records.
    pub fn settle_waiting(&mut self, outcome: &Outcome) {
        self.settle_waiting_before(Seq::MAX, outcome);
    }

    /// How many records could leave; it is not counted beyond `most`.
    #[must_use]
    pub fn ready(&self, most: usize) -> usize {
        let is_settled = |entry: &&LedgerEntry<R>| matches!(entry.fate, Fate::Settled(_));
        self.entries.iter().take(most).take_while(is_settled).count()
    }

    /// Removes the oldest record once its fate is settled.
    pub fn pop_settled(&mut self) -> Option<(Seq, R, Outcome)> {
        match self.entries.front() {
            Some(LedgerEntry { fate: Fate::Settled(_), .. }) => {}
            _ => return None,
        }
        let entry = self.entries.pop_front()?;
        let seq = self.first;
        self.first += 1;
        match entry.fate {
            Fate::Settled(outcome) => Some((seq, entry.record, outcome)),
            Fate::Open { .. } | Fate::Decoding { .. } => None,
        }
    }

    /// The record itself, while it is inside.
    #[must_use]
    pub fn record(&self, seq: Seq) -> Option<&R> {
        self.entries.get(self.index(seq)?).map(|entry| &entry.record)
    }

    /// The record itself, while it is inside.
    pub fn record_mut(&mut self, seq: Seq) -> Option<&mut R> {
        let index = self.index(seq)?;
        self.entries.get_mut(index).map(|entry| &mut entry.record)
    }

    fn fate_mut(&mut self, seq: Seq) -> Option<&mut Fate> {
        let index = self.index(seq)?;
        self.entries.get_mut(index).map(|entry| &mut entry.fate)
    }

    fn index(&self, seq: Seq) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::outcome::Status;

    fn analysed() -> Outcome {
        Outcome::bare(Status::Analysed)
    }

    #[test]
    fn a_settled_record_waits_for_the_ones_before_it() {
        let mut ledger = Ledger::default();
        let first = ledger.admit_unit("a");
        let second = ledger.admit_unit("b");
        ledger.settle(second, analysed());
        assert!(ledger.pop_settled().is_none());
        assert_eq!(ledger.ready(5), 0);
        ledger.settle(first, analysed());
        assert_eq!((ledger.ready(5), ledger.ready(1)), (2, 1));
        assert_eq!(ledger.pop_settled().map(|(seq, record, _)| (seq, record)), Some((0, "a")));
        assert_eq!(ledger.pop_settled().map(|(seq, record, _)| (seq, record)), Some((1, "b")));
    }

    #[test]
    fn a_record_whose_picture_never_comes_fails_once_it_is_overtaken_too_often() {
        let mut ledger = Ledger::default();
        ledger.admit_unit(());
        for _ in 0..MAX_OVERTAKEN {
            let seq = ledger.admit_unit(());
            ledger.frame_out(seq, MAX_OVERTAKEN);
            ledger.settle(seq, analysed());
        }
        assert!(ledger.pop_settled().is_none());
        let seq = ledger.admit_unit(());
        ledger.frame_out(seq, MAX_OVERTAKEN);
        let (_, _, outcome) = ledger.pop_settled().expect("the first record is settled");
        assert_eq!(outcome.status, Status::Failed(FailReason::DecodeError));
    }

    #[test]
    fn a_chunk_is_settled_when_it_is_sealed_and_its_pictures_are_out() {
        let mut ledger = Ledger::default();
        let begins = ledger.admit_chunk("begins two pictures");
        let middle = ledger.admit_chunk("begins none");
        let end = ledger.admit_chunk("begins the next");
        ledger.unit_begins(begins);
        ledger.unit_begins(begins);
        ledger.settle(begins, analysed());
        ledger.unit_begins(end);
        ledger.seal_before(end);
        assert!(ledger.pop_settled().is_none(), "one frame is still in the decoder");
        ledger.settle(begins, analysed());
        assert_eq!(ledger.pop_settled().map(|(seq, ..)| seq), Some(begins));
        let (seq, _, outcome) = ledger.pop_settled().expect("a chunk without a picture");
        assert_eq!((seq, outcome.status), (middle, Status::Skipped(SkipReason::NoPicture)));
        assert!(ledger.pop_settled().is_none());
    }

    #[test]
    fn a_chunk_does_not_wait_for_pictures_that_the_decoder_forgot() {
        let mut ledger = Ledger::default();
        let chunk = ledger.admit_chunk("two pictures in the decoder, and the begin of a third");
        ledger.unit_begins(chunk);
        ledger.unit_begins(chunk);
        ledger.settle_waiting(&Outcome::skipped(SkipReason::Lag));
        let next = ledger.admit_chunk("the next");
        ledger.seal_before(next);
        let (seq, _, outcome) = ledger.pop_settled().expect("nothing is waited for");
        assert_eq!((seq, outcome.status), (chunk, Status::Skipped(SkipReason::Lag)));
    }

    proptest! {
        /// Whatever order frames come out in, and whichever never come, records leave once,
        /// all of them, in input order.
        #[test]
        fn records_leave_once_and_in_order(
            fates in proptest::collection::vec(0_u8..4, 1..200),
            window in 1_usize..20,
        ) {
            let mut ledger = Ledger::default();
            let mut waiting = Vec::new();
            let mut left = Vec::new();
            for (number, fate) in fates.iter().enumerate() {
                match fate {
                    0 => { ledger.admit_settled(number, Outcome::skipped(SkipReason::Rate)); }
                    1 => { ledger.admit_unit(number); }
                    _ => waiting.push(ledger.admit_unit(number)),
                }
                if waiting.len() >= window {
                    let seq = waiting.remove(number % window);
                    ledger.frame_out(seq, MAX_OVERTAKEN);
                    ledger.settle(seq, analysed());
                }
                left.extend(std::iter::from_fn(|| ledger.pop_settled()).map(|(_, r, _)| r));
            }
            ledger.settle_waiting(&Outcome::failed(FailReason::DecodeError));
            left.extend(std::iter::from_fn(|| ledger.pop_settled()).map(|(_, r, _)| r));
            prop_assert_eq!(left, (0..fates.len()).collect::<Vec<_>>());
            prop_assert!(ledger.is_empty());
        }
    }
}
