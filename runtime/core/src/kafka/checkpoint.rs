//! How far a camera's output is acknowledged: what may be committed, and when its thread may go on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::error::KafkaError;

/// Bytes of one camera that may wait for acknowledgement: two seconds of 4K video.
const MAX_UNACKNOWLEDGED_BYTES: usize = 8 * 1024 * 1024;

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

/// All records before `next_offset` are output and acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The first input offset whose output is not acknowledged.
    pub next_offset: i64,
    pub(super) gop_start: Option<i64>,
}

impl Acknowledged {
    /// What is committed beside the offset: where decoding has to begin to go on at it.
    #[must_use]
    pub fn metadata(self) -> String {
        self.gop_start.map(|offset| format!("keyframe={offset}")).unwrap_or_default()
    }
}

impl Checkpoint {
    /// The key frame's offset in the metadata of a commit.
    #[must_use]
    pub fn keyframe_in(metadata: &str) -> Option<i64> {
        metadata.strip_prefix("keyframe=")?.parse().ok()
    }

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

    /// How far output is acknowledged. `None`: nothing yet.
    #[must_use]
    pub fn acknowledged(&self) -> Option<Acknowledged> {
        self.state.lock().acknowledged
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

    /// Whether so many bytes more are too many to wait for acknowledgement.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        let waiting = self.unacknowledged_bytes.load(Ordering::Relaxed);
        waiting > 0 && waiting + bytes > MAX_UNACKNOWLEDGED_BYTES
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
