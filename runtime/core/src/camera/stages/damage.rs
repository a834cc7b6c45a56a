//! Which decoded frames can be trusted, after libavcodec reported damage.
//!
//! A frame that it had to mend is wrong, and so is each that builds on it, up to the next place in
//! decoding order where decoding can begin: the decoder is lost. Frames that went in behind such a
//! place are decoded again from there. Two kinds of frames don't spread their damage that far: on a
//! disposable one no other builds, and on one that leads a key frame only others that lead it.

use std::collections::VecDeque;

use crate::record::Seq;
use crate::video::packet::{Content, Inspection};

/// So many frames are remembered: more than a decoder holds.
const REMEMBERED: usize = 128;

/// What is known of damage in one camera's decoder.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// The latest that entered the decoder since it was empty, in decoding order.
    entered: VecDeque<Entered>,
    lost: Option<Loss>,
    /// Frames that lead this key frame can't be trusted.
    spoilt_lead: Option<Seq>,
}

/// A frame in the decoder, or behind it.
#[derive(Debug, Clone, Copy)]
struct Entered {
    seq: Seq,
    /// Decoding can begin here.
    is_entry: bool,
    /// If it is damaged, others still build on none of it.
    is_disposable: bool,
    /// The key frame that it leads: it may build on what was before.
    leads: Option<Seq>,
    /// If it is damaged, it spoils what follows whatever that builds on.
    damage_lingers: bool,
}

/// The decoder is lost from a frame on.
#[derive(Debug, Clone, Copy)]
struct Loss {
    since: Seq,
    /// Up to here: from this frame on all is decoded again.
    resumes_at: Option<Seq>,
}

/// What is to be done with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is right.
    Right,
    /// It is wrong, or built on what is.
    Wrong,
    /// It comes again, from a decoder that is not lost.
    ComesAgain,
}

impl Damage {
    /// The frame of a record has entered the decoder.
    pub fn enters(&mut self, seq: Seq, inspection: Inspection) {
        let latest_entry = || {
            let entry = self.entered.iter().rev().find(|entered| entered.is_entry);
            entry.map(|entry| entry.seq)
        };
        let is_entry =
            matches!(inspection.content, Content::KeyPicture | Content::RefreshPoint { .. });
        let entered = Entered {
            seq,
            is_entry,
            is_disposable: inspection.disposable,
            leads: if inspection.is_leading { latest_entry() } else { None },
            damage_lingers: inspection.damage_lingers,
        };
        if self.entered.len() == REMEMBERED {
            self.entered.pop_front();
        }
        self.entered.push_back(entered);
    }

    /// Of the latest frames that entered, the one before the last `count`.
    pub fn entered_before(&self, count: usize) -> Option<Seq> {
        let place = self.entered.len().checked_sub(count + 1)?;
        self.entered.get(place).map(|entered| entered.seq)
    }

    /// libavcodec has refused the frame of this record; `None`: nobody knows which one.
    pub fn note_refused(&mut self, seq: Option<Seq>) {
        match seq {
            Some(seq) => self.note_damaged(seq),
            None => _ = self.lost.get_or_insert(Loss { since: 0, resumes_at: None }),
        }
    }

    /// A frame has come out that is damaged.
    pub fn note_damaged(&mut self, seq: Seq) {
        match self.entered(seq) {
            Some(frame) if frame.is_disposable && !frame.damage_lingers => {}
            Some(&Entered { leads: Some(key), damage_lingers: false, .. }) => {
                self.spoilt_lead = Some(key);
            }
            _ if self.lost.is_some_and(|loss| loss.since <= seq) => {}
            _ => {
                let mut entries = self.entered.iter().filter(|entered| entered.is_entry);
                let resumes_at = entries.find(|entry| entry.seq > seq).map(|entry| entry.seq);
                self.lost = Some(Loss { since: seq, resumes_at });
            }
        }
    }

    /// Whether the decoder has to start afresh.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// From where on all is to be decoded again, if decoding can begin anywhere inside.
    pub fn resumes_at(&self) -> Option<Seq> {
        self.lost.and_then(|loss| loss.resumes_at)
    }

    /// The decoder is empty.
    pub fn regain(&mut self) {
        *self = Self::default();
    }

    /// Judges a frame that came out undamaged, once all that entered before it came out.
    pub fn judge(&self, seq: Seq) -> Trust {
        match self.lost {
            Some(Loss { resumes_at: Some(from), .. }) if seq >= from => return Trust::ComesAgain,
            Some(Loss { since, .. }) if seq >= since => return Trust::Wrong,
            _ => {}
        }
        match self.entered(seq) {
            Some(frame) if frame.leads.is_some() && frame.leads == self.spoilt_lead => Trust::Wrong,
            _ => Trust::Right,
        }
    }

    fn entered(&self, seq: Seq) -> Option<&Entered> {
        let place = self.entered.binary_search_by_key(&seq, |entered| entered.seq).ok()?;
        self.entered.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Inspection {
        Inspection::of(Content::Picture)
    }

    fn key() -> Inspection {
        Inspection::of(Content::KeyPicture)
    }

    fn leading() -> Inspection {
        Inspection { is_leading: true, ..picture() }
    }

    fn disposable() -> Inspection {
        Inspection { disposable: true, ..picture() }
    }

    fn having(frames: &[(Seq, Inspection)]) -> Damage {
        let mut damage = Damage::default();
        frames.iter().for_each(|&(seq, inspection)| damage.enters(seq, inspection));
        damage
    }

    #[test]
    fn what_entered_behind_a_place_to_begin_is_decoded_again_from_there() {
        let refresh = Inspection::of(Content::RefreshPoint { right_from: 30 });
        for entry in [key(), refresh] {
            let frames = [(10, key()), (11, picture()), (12, entry), (13, picture()), (14, key())];
            let mut damage = having(&frames);
            assert_eq!(damage.judge(11), Trust::Right);
            damage.note_damaged(11);
            assert!(damage.is_lost());
            assert_eq!(damage.resumes_at(), Some(12));
            let judged: Vec<Trust> = (10..15).map(|seq| damage.judge(seq)).collect();
            use Trust::{ComesAgain, Right, Wrong};
            assert_eq!(judged, [Right, Wrong, ComesAgain, ComesAgain, ComesAgain]);
            damage.regain();
            assert!(!damage.is_lost() && damage.judge(12) == Trust::Right);
        }
    }

    #[test]
    fn without_a_place_to_begin_all_that_follows_is_wrong() {
        let mut damage = having(&[(10, key()), (11, picture()), (12, picture()), (13, picture())]);
        damage.note_damaged(12);
        assert_eq!((damage.judge(11), damage.judge(13)), (Trust::Right, Trust::Wrong));
        damage.note_damaged(13);
        assert_eq!((damage.judge(12), damage.resumes_at()), (Trust::Wrong, None));
        damage.note_damaged(11);
        assert_eq!(damage.judge(11), Trust::Wrong, "it came out later, and is before the other");
        let mut damage = having(&[(10, key())]);
        damage.note_refused(None);
        assert_eq!((damage.judge(10), damage.resumes_at()), (Trust::Wrong, None));
    }

    #[test]
    fn what_leads_a_key_frame_is_spoilt_with_others_that_do_and_spoils_no_more() {
        let frames = [(20, key()), (21, leading()), (22, disposable()), (23, picture())];
        let mut damage = having(&frames);
        damage.note_damaged(21);
        assert!(!damage.is_lost());
        assert_eq!((damage.judge(20), damage.judge(23)), (Trust::Right, Trust::Right));
        damage.enters(24, Inspection { disposable: true, ..leading() });
        assert_eq!((damage.judge(22), damage.judge(24)), (Trust::Right, Trust::Wrong));
    }

    #[test]
    fn a_damaged_frame_that_no_other_needs_spoils_none_unless_its_damage_lingers() {
        let lingering = Inspection { damage_lingers: true, ..disposable() };
        let frames = [(10, key()), (11, disposable()), (12, lingering), (13, picture())];
        let mut damage = having(&frames);
        damage.note_damaged(11);
        assert!(!damage.is_lost() && damage.judge(13) == Trust::Right);
        damage.note_damaged(12);
        assert!(damage.is_lost() && damage.judge(13) == Trust::Wrong);
        assert_eq!(damage.entered_before(0), Some(13));
        assert_eq!((damage.entered_before(3), damage.entered_before(4)), (Some(10), None));
    }
}
