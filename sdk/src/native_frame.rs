//! Frames of native builds, in which no host stands behind them.

use crate::{FrameFormat, FrameInfo, Header, LumaStats, Pixels, ReadError, View};

/// What stands behind a [`Frame`](crate::Frame) in a native build:
/// [`TestFrame`](crate::testing::TestFrame), or pictures of one's own, as those of a decoder in a
/// benchmark. Each method is asked by the method of [`Frame`](crate::Frame) with its name.
#[allow(missing_docs, reason = "they are those of `Frame`")]
pub trait NativeFrame {
    fn info(&self) -> FrameInfo;
    fn format(&self) -> FrameFormat;
    fn camera(&self) -> String;
    fn tenant(&self) -> String;
    /// # Errors
    /// When the view makes no sense, or is too large.
    fn read(&self, view: View) -> Result<Pixels, ReadError>;
    fn luma(&self) -> LumaStats;
    fn histogram(&self) -> Vec<u32>;
    /// Empty when there is nothing to compare with.
    fn motion_grid(&self, cols: u32, rows: u32) -> Vec<u8>;
    fn headers(&self) -> Vec<Header>;
}
