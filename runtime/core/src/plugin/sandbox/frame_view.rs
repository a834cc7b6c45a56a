//! What a plugin sees of one camera: the frame that it is lent, and the frame before it.

use std::sync::Arc;

use crate::policy::Limits;
use crate::record::ResultHeader;
use crate::video::frame::Frame;

/// What a plugin has seen of one camera.
pub(crate) struct FrameView {
    camera: Arc<str>,
    /// The frame of the call before; kept once the plugin has asked for motion.
    previous: Option<Arc<Frame>>,
    wants_motion: bool,
    /// Frames went by since the last call, for another reason than a gap in the video.
    missed_frames: bool,
    /// Which of the plugin's instances it was; 0 when there was none yet.
    instance: u64,
}

/// A frame that a plugin is called with, for the length of the call.
pub(crate) struct LentFrame {
    pub camera: Arc<str>,
    pub frame: Arc<Frame>,
    /// Headers of the input record, then those of earlier plugins.
    pub headers: Vec<ResultHeader>,
    pub previous: Option<Arc<Frame>>,
    pub wants_motion: bool,
    /// Frames are missing before this one.
    pub discontinuity: bool,
    /// The instance that saw the frame before.
    instance: u64,
    /// Pixel bytes of it that were read, …
    pub bytes_read: u64,
    /// … and may be read in all.
    pub most_read: u64,
}

impl FrameView {
    /// That of a plugin which has seen nothing of `camera` yet.
    pub fn of(camera: Arc<str>) -> Self {
        Self { camera, previous: None, wants_motion: false, missed_frames: false, instance: 0 }
    }

    /// Goes on where `old` stands.
    pub fn follow(&mut self, old: &Self) {
        self.previous.clone_from(&old.previous);
        // Its first question is answered only if the frame before it was kept.
        self.wants_motion |= old.wants_motion;
        self.missed_frames |= old.missed_frames;
    }

    /// The next frame does not follow the one before.
    pub fn miss_frames(&mut self) {
        self.missed_frames = true;
        self.previous = None;
    }

    /// Lends a frame.
    pub fn lend(
        &mut self,
        (frame, headers): (Arc<Frame>, Vec<ResultHeader>),
        limits: &Limits,
    ) -> LentFrame {
        let previous = self.previous.take().filter(|_| !frame.info().discontinuity);
        LentFrame {
            camera: Arc::clone(&self.camera),
            discontinuity: frame.info().discontinuity || self.missed_frames,
            frame,
            headers,
            previous,
            wants_motion: self.wants_motion,
            instance: self.instance,
            bytes_read: 0,
            most_read: u64::from(limits.read_mb) * 1024 * 1024,
        }
    }

    /// The call on a frame is over: it was seen.
    pub fn take_back(&mut self, lent: LentFrame) {
        self.missed_frames = false;
        self.instance = lent.instance;
        self.wants_motion = lent.wants_motion;
        if lent.wants_motion {
            self.previous = Some(lent.frame);
        }
    }
}

impl LentFrame {
    /// It is shown to the instance of this number, which may not be the one that saw the frame
    /// before.
    pub fn shown_to(mut self, instance: u64) -> Self {
        let before = std::mem::replace(&mut self.instance, instance);
        if before != 0 && before != instance {
            self.discontinuity = true;
            self.previous = None;
        }
        self
    }
}
