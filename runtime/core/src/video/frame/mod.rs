//! A decoded frame, and everything that plugins may ask of it.

mod bands;
mod coded_luma;
mod colour;
mod context;
mod display;
mod luma;
mod motion;
mod planes;
mod rgb;
mod scale;
mod view;

pub use colour::{Colour, Matrix, Range};
pub use display::Display;
pub use luma::{Luma, LumaStats};
pub use motion::{MAX_GRID_SIDE, motion_grid};
pub use scale::Scaler;
pub use view::{PixelFormat, ReadError, Rect, View};

use std::sync::OnceLock;

use ffmpeg_next as ffmpeg;

use crate::record::Seq;

/// What is known of a frame beside its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameFacts {
    /// The record whose frame it is.
    pub seq: Seq,
    /// Presentation time in microseconds, when the input says so.
    pub pts_us: Option<i64>,
    /// The record's Kafka timestamp, microseconds since 1970.
    pub recorded_at_us: Option<i64>,
    /// It needed no other frame.
    pub keyframe: bool,
    /// Frames are missing before it, or its size differs from theirs.
    pub discontinuity: bool,
    /// Microseconds that it took to decode.
    pub decode_us: u64,
}

/// A frame in libavcodec's buffers. What is computed of it is computed once.
pub struct Frame {
    info: FrameFacts,
    frame: ffmpeg::frame::Video,
    /// The luma plane, where the decoder's format has none of 8 bit.
    converted_luma: OnceLock<Option<Vec<u8>>>,
    histogram: OnceLock<[u32; 256]>,
    luma_stats: OnceLock<LumaStats>,
}

impl Frame {
    /// Takes over a decoded frame.
    #[must_use]
    pub fn new(info: FrameFacts, frame: ffmpeg::frame::Video) -> Self {
        Self {
            info,
            frame,
            converted_luma: OnceLock::new(),
            histogram: OnceLock::new(),
            luma_stats: OnceLock::new(),
        }
    }

    /// What is known beside the pixels.
    #[must_use]
    pub fn info(&self) -> FrameFacts {
        self.info
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.frame.width()
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.frame.height()
    }

    /// What its samples mean.
    #[must_use]
    pub fn colour(&self) -> Colour {
        Colour::of(&self.frame)
    }

    /// How it wants to be shown.
    #[must_use]
    pub fn display(&self) -> Display {
        Display::of(&self.frame)
    }

    /// The luma plane, in the range of the stream: the decoder's own where it has 8 bit, else
    /// converted once.
    #[must_use]
    pub fn luma(&self) -> Luma<'_> {
        if let Some(plane) = luma::native_plane(&self.frame) {
            return plane;
        }
        let convert = || coded_luma::in_8_bit(&self.frame).or_else(|| scale::luma_of(&self.frame));
        let converted = self.converted_luma.get_or_init(convert);
        let data = converted.as_deref().unwrap_or_default();
        Luma { data, stride: self.width() as usize, width: self.width(), height: self.height() }
    }

    /// How many luma samples have each value.
    #[must_use]
    pub fn histogram(&self) -> &[u32; 256] {
        self.histogram.get_or_init(|| self.luma().histogram())
    }

    /// Mean and standard deviation of the luma plane.
    #[must_use]
    pub fn luma_stats(&self) -> LumaStats {
        *self.luma_stats.get_or_init(|| {
            let histogram = self.histogram.get();
            histogram.map_or_else(|| LumaStats::of(self.luma()), LumaStats::of_histogram)
        })
    }

    /// Reads pixels: crops, scales and converts them into `out`. Returns their width and height.
    /// `is_over` is asked every now and then whether to give up.
    ///
    /// # Errors
    /// When the view is empty, absurd, or over `budget` bytes, or time is over.
    pub fn read(
        &self,
        view: View,
        budget: u64,
        scaler: &mut Scaler,
        out: &mut Vec<u8>,
        is_over: impl Fn() -> bool,
    ) -> Result<(u32, u32), ReadError> {
        scaler.read((&self.frame, || self.luma()), (view, budget), out, is_over)
    }
}
