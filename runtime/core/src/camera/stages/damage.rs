//! Which decoded frames can be trusted, after libavcodec reported damage.
//!
//! A frame that it had to mend is wrong, and so is each that builds on it, up to the next key
//! frame.

use std::ops::Range;

use crate::record::Seq;

/// What is known of damage in one camera's decoder.
#[derive(Debug)]
pub(crate) struct Damage {
    /// What comes next can't be trusted: the decoder has to start afresh.
    is_lost: bool,
    /// The latest key frame that entered the decoder: damage before it ends there.
    latest_key: Seq,
    /// Frames of records in this range build on one that is damaged.
    distrusted: Range<Seq>,
}

impl Default for Damage {
    fn default() -> Self {
        Self { is_lost: false, latest_key: 0, distrusted: 0..0 }
    }
}

impl Damage {
    /// A key frame has entered the decoder.
    pub fn key_frame_enters(&mut self, seq: Seq) {
        self.latest_key = seq;
    }

    /// libavcodec has refused something.
    pub fn lose(&mut self) {
        self.is_lost = true;
    }

    /// Whether the decoder has to start afresh.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The decoder is empty, and a key frame comes next.
    pub fn regain(&mut self) {
        self.is_lost = false;
    }

    /// A frame comes out, damaged or not. Gives whether it can be trusted.
    pub fn judge(&mut self, seq: Seq, is_damaged: bool) -> bool {
        if is_damaged {
            // The decoder may have gone on to the next key frame, which mends everything after it.
            self.distrusted = seq..self.latest_key;
            self.is_lost |= seq >= self.latest_key;
        }
        !is_damaged && !self.distrusted.contains(&seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_ends_at_the_next_key_frame() {
        let mut damage = Damage::default();
        damage.key_frame_enters(10);
        assert!(damage.judge(10, false));
        // The next one is inside already, when the damage shows.
        damage.key_frame_enters(20);
        assert!(!damage.judge(15, true) && !damage.is_lost());
        assert!(!damage.judge(16, false) && !damage.judge(19, false));
        assert!(damage.judge(20, false));
    }

    #[test]
    fn without_a_key_frame_inside_nothing_more_is_trusted() {
        let mut damage = Damage::default();
        damage.key_frame_enters(10);
        assert!(!damage.judge(12, true) && damage.is_lost());
        damage.regain();
        damage.key_frame_enters(20);
        assert!(damage.judge(20, false) && !damage.is_lost());
    }
}
