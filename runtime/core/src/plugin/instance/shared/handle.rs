//! A camera's part in a shared instance: how it has its frames analysed there, and whether alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rounds::Member;
use super::shared_instance::{Answered, PendingFrame, SharedInstance};
use crate::plugin::instance::frame_call::FrameCall;
use crate::plugin::sandbox::{BatchCounts, Blame, FrameView, MetricsBook};
use crate::record::ResultHeader;
use crate::sched::CoreClaim;
use crate::video::frame::Frame;

/// Frames that a camera is called with alone after one of its calls failed: at any usual rate
/// enough for the camera to show whether it was its fault.
const ALONE: u32 = 50;

/// A camera's handle to an instance that it shares.
pub(crate) struct SharedHandle {
    shared: Arc<SharedInstance>,
    member: Member,
    /// So many of its frames are yet to be called about alone.
    alone: u32,
}

impl SharedHandle {
    /// A camera comes to it.
    pub fn to(shared: Arc<SharedInstance>) -> Self {
        let member = shared.join();
        Self { shared, member, alone: 0 }
    }

    /// What the plugin tells of itself.
    pub fn metrics(&self) -> Arc<MetricsBook> {
        Arc::clone(&self.shared.meter().metrics)
    }

    /// The calls that were made.
    pub fn counts(&self) -> Arc<BatchCounts> {
        Arc::clone(self.shared.counts())
    }

    /// Has a frame analysed, together with those of other cameras, or `alone`.
    pub fn call(
        &mut self,
        (frame, view): ((Arc<Frame>, Vec<ResultHeader>), &mut FrameView),
        claim: &Arc<CoreClaim>,
        now: Instant,
        alone: bool,
    ) -> FrameCall {
        let alone = alone || self.alone > 0;
        self.alone = self.alone.saturating_sub(1);
        let busy = Duration::from_micros(frame.0.info().decode_us);
        let frame = view.lend(frame, self.shared.limits());
        let waiting = PendingFrame { member: self.member, frame, since: now, alone };
        let answered = self.shared.answer(waiting, busy, claim);
        let Answered { result, frame, end, memory, waited } = answered;
        if let Err((_, Blame::Unattributed)) = result {
            self.alone = ALONE;
        }
        let bytes_read = frame.as_ref().map(|frame| frame.bytes_read).unwrap_or_default();
        match frame {
            Some(frame) => view.take_back(frame),
            None => view.miss_frames(),
        }
        FrameCall { result, end, bytes_read, memory, waited }
    }
}

impl Drop for SharedHandle {
    fn drop(&mut self) {
        self.shared.leave(self.member);
    }
}
