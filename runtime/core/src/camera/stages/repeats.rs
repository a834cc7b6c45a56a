//! Records that come once more, of codecs whose frames don't say which they are.
//!
//! Two frames of a scene in which nothing moves may be the same to the last bit. So a record is
//! only known again where its headers and its time are the same, too.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;
use rdkafka::message::{BorrowedMessage, Message};

use crate::kafka::each_header;
use crate::video::packet::Codec;

/// Knows the latest record again.
pub(crate) struct Repeats {
    /// Whether it looks at all.
    looks: bool,
    latest: Option<Identity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    millis: i64,
    length: usize,
    hash: u64,
}

impl Repeats {
    /// Of H.264 and H.265 the access units themselves tell, and a still that is decoded twice harms
    /// nothing.
    pub fn of(codec: Codec) -> Self {
        Self { looks: !codec.has_nal_units() && !codec.is_still(), latest: None }
    }

    /// What comes next does not follow what came last.
    pub fn begin_anew(&mut self) {
        self.latest = None;
    }

    /// Whether a record is the one before it once more.
    pub fn recognises(&mut self, message: &BorrowedMessage<'_>) -> bool {
        if !self.looks {
            return false;
        }
        let identity = Identity::of(message);
        let is_one = identity.is_some() && identity == self.latest;
        self.latest = identity;
        is_one
    }
}

impl Identity {
    /// `None`: the record does not say when it was made.
    fn of(message: &BorrowedMessage<'_>) -> Option<Self> {
        let payload = message.payload().unwrap_or_default();
        let mut hasher = FixedState::default().build_hasher();
        payload.hash(&mut hasher);
        each_header(message.headers()).for_each(|header| header.hash(&mut hasher));
        let millis = message.timestamp().to_millis()?;
        Some(Self { millis, length: payload.len(), hash: hasher.finish() })
    }
}
