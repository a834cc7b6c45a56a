//! What comes of calling a plugin with frames.

use std::time::Duration;

use crate::plugin::sandbox::bindings::comux::plugin::types::{Header, PluginError};
use crate::plugin::sandbox::{Blame, CallEnd, CallFailure};

/// What a plugin says of one frame.
pub(crate) type Answer = Result<Vec<Header>, PluginError>;

/// What came of entering an instance.
pub(crate) struct Invoked<T> {
    pub answer: Result<T, CallFailure>,
    pub end: CallEnd,
}

/// What came of a call, for one of its frames.
pub(crate) struct FrameCall {
    pub result: Result<Answer, (CallFailure, Blame)>,
    pub end: CallEnd,
    /// Bytes of pixels that were read.
    pub bytes_read: u64,
    /// Bytes of the instance's linear memory.
    pub memory: u64,
    /// How long the frame waited for others.
    pub waited: Duration,
}
