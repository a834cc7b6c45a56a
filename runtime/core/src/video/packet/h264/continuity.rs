//! How a picture of H.264 stands to those before it: is one missing that it needs, is it the second
//! half of one, does it look behind the key picture before it?

use super::headers::{Parity, Picture, Sequence, Slice};
use super::order::OutputOrder;
use crate::video::packet::inspect::Lack;

/// One coded picture: a frame, or a field of one.
#[derive(Debug)]
pub struct Coded {
    /// Its first slice, or what came as the first.
    pub slice: Slice,
    pub entry: Entry,
}

/// Whether decoding can begin at a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It can't.
    None,
    /// At an IDR picture, or another behind which all that refers to any looks no further back.
    Closed,
    /// All comes out right that is output behind it.
    Open,
    /// Section D.2.8: what is output from a reference picture on that is so many frame numbers
    /// further.
    Gradual(u32),
}

/// What is found of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// It is the second field of the frame whose first came before it.
    pub is_second_field: bool,
    /// See [`Inspection::position`](crate::video::packet::Inspection::position).
    pub position: i64,
    pub lacks: Option<Lack>,
    pub is_leading: bool,
    /// See [`Inspection::reorders`](crate::video::packet::Inspection::reorders).
    pub reorders: Option<u8>,
}

/// As many as the deepest picture buffer has room for.
const MAX_STOREYS: u8 = 4;

/// What came before, as far as it matters for what comes.
#[derive(Debug, Default)]
pub struct Continuity {
    order: OutputOrder,
    /// The latest picture in output order, since counting began.
    latest_order: Option<i64>,
    /// How deep reordering is, as far as it has shown.
    reorders: u8,
    reference: Option<Reference>,
    /// Frame numbers have gone up. Some encoders leave them as they are.
    counts: bool,
    key: Option<OpenKey>,
    /// The latest, and the one before it: that may end where the next begins.
    refreshes: [Option<Refresh>; 2],
    lone_field: Option<LoneField>,
    /// Which field was first in the latest frame of two.
    first_parity: Option<Parity>,
}

/// The latest picture that others may need: `PrevRefFrameNum` of section 7.4.3.
#[derive(Debug, Clone, Copy)]
struct Reference {
    frame_num: u32,
    position: i64,
}

/// A key picture behind which may come some that are output before it.
#[derive(Debug, Clone, Copy)]
struct OpenKey {
    order: i64,
    /// What they refer to before it is missing.
    is_cut_off: bool,
}

/// A gradual refresh that has begun.
#[derive(Debug, Clone, Copy)]
struct Refresh {
    right_from: i64,
    /// Where the first picture that is right is output, once it came.
    order: Option<i64>,
}

/// A field whose other half may come.
#[derive(Debug, Clone, Copy)]
struct LoneField {
    picture: Picture,
    parity: Parity,
    standing: Standing,
    /// As it is without regard to a refresh.
    position: i64,
}

impl Continuity {
    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {
        let (counts, reorders) = (self.counts, self.reorders);
        *self = Self { counts, reorders, first_parity: self.first_parity, ..Self::default() };
    }

    /// Looks at the next picture in decoding order.
    pub fn follow(&mut self, coded: &Coded) -> Standing {
        let Slice { picture, forgets, ref sequence, .. } = coded.slice;
        let order = self.order.count(&picture, forgets, sequence);
        let reorders = self.reordering(&coded.slice, order);
        let half_came_before = match self.lone_field.take() {
            Some(first) if is_second_field(&first, &picture) => {
                self.first_parity = Some(first.parity);
                self.go_on_from(&coded.slice, first.position);
                return Standing { is_second_field: true, lacks: None, ..first.standing };
            }
            // Its other half is missing to those that refer to it.
            Some(first) => first.picture.is_reference && first.standing.lacks.is_none(),
            None => false,
        };
        let step = self.step(&picture, sequence);
        let position = match self.reference {
            Some(reference) => reference.position.saturating_add(step.unwrap_or(1).into()),
            None => picture.frame_num.into(),
        };
        let has_gap = match step {
            // An IDR picture is missing before it, if this encoder counts at all.
            Some(0) => picture.is_reference && self.counts,
            None | Some(1) => false,
            Some(_) => !sequence.may_have_gaps,
        };
        self.counts |= step == Some(1);
        self.go_on_from(&coded.slice, position);
        let is_cut_off = has_gap || half_came_before;
        let whole =
            Standing { is_second_field: false, position, lacks: None, is_leading: false, reorders };
        let standing = match coded.entry {
            Entry::Closed => {
                (self.key, self.refreshes) = (None, [None; 2]);
                whole
            }
            Entry::Open => {
                self.key = Some(OpenKey { order, is_cut_off });
                self.refreshes = [None; 2];
                whole
            }
            Entry::None | Entry::Gradual(_) => {
                let behind = self.key.filter(|key| order < key.order);
                let is_cut_off = is_cut_off || behind.is_some_and(|key| key.is_cut_off);
                let lacks = if is_cut_off {
                    Some(Lack::Reference)
                } else {
                    picture.field.and_then(|parity| self.first_half_is_missing(parity))
                };
                if let Entry::Gradual(frames) = coded.entry {
                    let right_from = position.saturating_add(frames.into());
                    let [before, _] = self.refreshes;
                    self.refreshes = [Some(Refresh { right_from, order: None }), before];
                }
                let position = self.within_refresh(&picture, position, order);
                Standing { position, lacks, is_leading: behind.is_some(), ..whole }
            }
        };
        if forgets {
            // Nothing that comes is output before it.
            self.key = None;
        }
        self.lone_field =
            picture.field.map(|parity| LoneField { picture, parity, standing, position });
        standing
    }

    /// How deep reordering is at least, by a picture that leaves room before it in output order:
    /// others come there. With that many of them in a pyramid, each half as far from the next, as
    /// many wait as it has storeys. `None`: it is told elsewhere.
    fn reordering(&mut self, slice: &Slice, order: i64) -> Option<u8> {
        if slice.picture.is_idr || slice.forgets {
            self.latest_order = None;
        }
        let latest = self.latest_order.filter(|_| slice.picture.field.is_none());
        self.latest_order = self.latest_order.max(Some(order));
        if !slice.sequence.reorders_silently {
            return None;
        }
        // Section 8.2.1: a frame counts for two, a field each.
        let frames = latest.map_or(0, |latest| order.saturating_sub(latest) / 2);
        let storeys = (1..=MAX_STOREYS).find(|&storeys| frames <= 1 << storeys);
        if frames > 1 {
            self.reorders = self.reorders.max(storeys.unwrap_or(MAX_STOREYS));
        }
        Some(self.reorders)
    }

    /// By how much frame numbers went up (section 7.4.3, `frame_num`). `None`: they begin here.
    fn step(&self, picture: &Picture, sequence: &Sequence) -> Option<u32> {
        let reference = self.reference.filter(|_| !picture.is_idr)?;
        Some(picture.frame_num.wrapping_sub(reference.frame_num) % sequence.max_frame_num)
    }

    fn go_on_from(&mut self, slice: &Slice, position: i64) {
        let Picture { frame_num, is_reference, .. } = slice.picture;
        let latest = Reference { frame_num, position };
        self.reference = Some(match self.reference {
            _ if slice.forgets => Reference { frame_num: 0, position },
            _ if is_reference => latest,
            Some(reference) if position <= reference.position => reference,
            // A picture that no other needs has the number of the next one that others do need.
            _ => Reference {
                frame_num: frame_num.wrapping_sub(1) % slice.sequence.max_frame_num,
                position: position.saturating_sub(1),
            },
        });
    }

    /// A field of the parity that came second so far, without the first.
    fn first_half_is_missing(&self, parity: Parity) -> Option<Lack> {
        let is_second = self.first_parity.is_some_and(|first| first != parity);
        is_second.then_some(Lack::Slice)
    }

    /// Pictures that are output before the first that is right are not right either, though they
    /// may come behind it.
    fn within_refresh(&mut self, picture: &Picture, position: i64, order: i64) -> i64 {
        let mut known = position;
        for refresh in self.refreshes.iter_mut().flatten() {
            if refresh.order.is_none() && picture.is_reference && position >= refresh.right_from {
                refresh.order = Some(order);
            }
            if refresh.order.is_none_or(|first| order < first) {
                known = known.min(refresh.right_from.saturating_sub(1));
            }
        }
        known
    }
}

/// Sections 3.30 and 3.31: two fields in a row of opposite parity with the same frame number.
fn is_second_field(first: &LoneField, picture: &Picture) -> bool {
    picture.field.is_some_and(|parity| parity != first.parity)
        && picture.frame_num == first.picture.frame_num
        && (first.picture.is_reference || !picture.is_reference)
        && (first.picture.is_idr || !picture.is_idr)
}
