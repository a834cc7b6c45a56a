//! How far a camera's output is acknowledged: what may be committed, and when its thread may go on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use parking_lot::Mutex;
use rdkafka::error::KafkaError;

/// Bytes of one camera that may wait for acknowledgement: two seconds of 4K video.
pub(super) const MAX_UNACKNOWLEDGED_BYTES: usize = 8 * 1024 * 1024;

/// One camera's way through the sink: what is acknowledged, and what waits for it.
#[derive(Debug, Default)]
pub struct Checkpoint {
    state: Mutex<CheckpointState>,
    unacknowledged: AtomicUsize,
    unacknowledged_bytes: AtomicUsize,
    /// The camera's thread.
    thread: OnceLock<Thread>,
    /// It sleeps until something more is acknowledged.
    waits: AtomicBool,
}

#[derive(Debug, Default)]
struct CheckpointState {
    acknowledged: Option<Acknowledged>,
    refused: Option<KafkaError>,
}

/// Bytes of parameter sets that are committed at most. As text they take a third more, and a broker
/// takes 4096 (`offset.metadata.max.bytes`).
const MAX_SETS_BYTES: usize = 2900;

/// Where decoding can begin again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GopStart {
    /// The offset of the record.
    pub offset: i64,
    /// The parameter sets that pictures from there on may need and do not bring along, in Annex B.
    pub parameter_sets: Option<Arc<[u8]>>,
}

impl GopStart {
    /// What is committed of it.
    #[must_use]
    pub fn to_metadata(&self) -> String {
        let sets = self.parameter_sets.as_ref().filter(|sets| sets.len() <= MAX_SETS_BYTES);
        match sets {
            Some(sets) => format!("keyframe={} sets={}", self.offset, BASE64.encode(sets)),
            None => format!("keyframe={}", self.offset),
        }
    }

    /// What was committed; other parts do not count. `None`: nothing of the kind.
    #[must_use]
    pub fn from_metadata(metadata: &str) -> Option<Self> {
        let (mut offset, mut parameter_sets) = (None, None);
        for part in metadata.split(' ') {
            match part.split_once('=')? {
                ("keyframe", text) => offset = Some(text.parse().ok()?),
                ("sets", text) => parameter_sets = Some(BASE64.decode(text).ok()?.into()),
                _ => {}
            }
        }
        Some(Self { offset: offset?, parameter_sets })
    }
}

/// All records before `next_offset` are output and acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The first input offset whose output is not acknowledged.
    pub next_offset: i64,
    /// Where decoding has to begin to go on at it.
    pub gop_start: Option<Arc<GopStart>>,
}

impl Checkpoint {
    /// The calling thread is the one that [waits](Self::wait) from now on.
    pub fn wake_this_thread(&self) {
        self.thread.get_or_init(std::thread::current);
    }

    /// Sleeps until fewer records than `unacknowledged` wait for acknowledgement, or something else
    /// wakes the thread, but for `nap` at most.
    ///
    /// Only who sleeps here is woken: acknowledgements come for every record, and the way into the
    /// kernel and back costs more than all else that is done for one.
    pub fn wait(&self, unacknowledged: usize, nap: Duration) {
        // Either this thread sees that an acknowledgement has come, or whoever brings it sees that
        // this one waits: both write first and then look, in one order that all threads agree on.
        self.waits.store(true, Ordering::SeqCst);
        if self.unacknowledged.load(Ordering::SeqCst) >= unacknowledged {
            std::thread::park_timeout(nap);
        }
        self.waits.store(false, Ordering::Relaxed);
    }

    /// The camera goes on here: as if all before were acknowledged.
    pub fn goes_on_at(&self, here: Acknowledged) {
        self.state.lock().acknowledged = Some(here);
    }

    /// How far output is acknowledged. `None`: nothing yet.
    #[must_use]
    pub fn acknowledged(&self) -> Option<Acknowledged> {
        self.state.lock().acknowledged.clone()
    }

    /// The first record that the broker refused for good.
    #[must_use]
    pub fn refused(&self) -> Option<KafkaError> {
        self.state.lock().refused.clone()
    }

    /// Records that wait for acknowledgement.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged.load(Ordering::Acquire)
    }

    /// As [`Self::refused`], and goes on as if it had not been. To be asked when nothing waits for
    /// acknowledgement: else what was sent behind it may be there.
    #[must_use]
    pub fn take_refused(&self) -> Option<KafkaError> {
        self.state.lock().refused.take()
    }

    /// Whether so many bytes more would be too many to wait for acknowledgement, where `most` may.
    pub(super) fn is_full(&self, bytes: usize, most: usize) -> bool {
        let waiting = self.unacknowledged_bytes.load(Ordering::Relaxed);
        waiting > 0 && waiting + bytes > most
    }

    /// A record of so many bytes was produced, and waits for acknowledgement.
    pub(super) fn sent(&self, bytes: usize) {
        self.unacknowledged.fetch_add(1, Ordering::Relaxed);
        self.unacknowledged_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It was not produced after all.
    pub(super) fn not_sent(&self, bytes: usize) {
        self.unacknowledged.fetch_sub(1, Ordering::Relaxed);
        self.unacknowledged_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The broker has answered for a record of so many bytes: with it, what is acknowledged, or why
    /// it was refused.
    pub(super) fn answered(&self, bytes: usize, answer: Result<Acknowledged, KafkaError>) {
        let has_failed = answer.is_err();
        {
            let mut state = self.state.lock();
            match answer {
                // Behind a record that was refused, nothing counts as acknowledged.
                Ok(acknowledged) if state.refused.is_none() => {
                    state.acknowledged = Some(acknowledged);
                }
                Ok(_) => {}
                Err(error) => {
                    state.refused.get_or_insert(error);
                }
            }
        }
        self.unacknowledged_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.unacknowledged.fetch_sub(1, Ordering::SeqCst);
        if (has_failed || self.waits.load(Ordering::SeqCst))
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_tells_where_decoding_begins_and_what_it_needs_to_know() {
        let begins =
            |sets: Option<&[u8]>| GopStart { offset: 40, parameter_sets: sets.map(Into::into) };
        assert_eq!(begins(None).to_metadata(), "keyframe=40");
        assert_eq!(GopStart::from_metadata("keyframe=40"), Some(begins(None)), "of version 0.1");
        let known = begins(Some(&[0, 0, 0, 1, 0x67, 0xff, 0x3f, 0xbe]));
        assert_eq!(GopStart::from_metadata(&known.to_metadata()), Some(known));
        let largest = begins(Some(&[0x55; MAX_SETS_BYTES]));
        assert!(largest.to_metadata().len() < 4096);
        assert_eq!(GopStart::from_metadata(&largest.to_metadata()), Some(largest));
        assert_eq!(begins(Some(&[0x55; MAX_SETS_BYTES + 1])).to_metadata(), "keyframe=40");
        for other in ["", "40", "keyframe=", "keyframe=40 sets=*", "sets=AAAB", "of somebody else"]
        {
            assert_eq!(GopStart::from_metadata(other), None, "{other}");
        }
    }
}
