//! The frame of a call: a handle on a picture that stays in the host.

use crate::bindings::comux::plugin::frames::Frame as HostFrame;
#[cfg(not(target_family = "wasm"))]
use crate::native_frame::NativeFrame;
use crate::{FrameFormat, FrameInfo, Header, LumaStats, Pixels, ReadError, View};
use std::cell::OnceCell;

/// A decoded frame, lent for the length of one call.
pub struct Frame<'a> {
    source: Source<'a>,
    info: OnceCell<FrameInfo>,
}

enum Source<'a> {
    Host(&'a HostFrame),
    #[cfg(not(target_family = "wasm"))]
    Native(&'a dyn NativeFrame),
}

impl<'a> Frame<'a> {
    pub(crate) fn from_host(frame: &'a HostFrame) -> Self {
        Self { source: Source::Host(frame), info: OnceCell::new() }
    }

    /// A frame of whatever answers as the host would, to call a plugin with natively.
    #[cfg(not(target_family = "wasm"))]
    pub fn native(frame: &'a dyn NativeFrame) -> Self {
        Self { source: Source::Native(frame), info: OnceCell::new() }
    }

    /// What is known without touching the pixels. Asked of the host once.
    pub fn info(&self) -> &FrameInfo {
        self.info.get_or_init(|| match self.source {
            Source::Host(frame) => frame.info(),
            #[cfg(not(target_family = "wasm"))]
            Source::Native(frame) => frame.info(),
        })
    }

    /// What its samples mean, and how the camera wants it shown. Asked of the host each time.
    ///
    /// ```
    /// # use comux_sdk::prelude::*;
    /// # use comux_sdk::testing::TestFrame;
    /// /// How the frame has to be turned for a model that expects people on their feet.
    /// fn quarter_turns(frame: &Frame) -> u16 {
    ///     (frame.format().rotation + 45) / 90 % 4
    /// }
    /// # assert_eq!(quarter_turns(&TestFrame::gray(4, 4, |_, _| 0).frame()), 0);
    /// ```
    pub fn format(&self) -> FrameFormat {
        match self.source {
            Source::Host(frame) => frame.format(),
            #[cfg(not(target_family = "wasm"))]
            Source::Native(frame) => frame.format(),
        }
    }

    /// The id of the camera that the frame is of. Asked of the host each time.
    pub fn camera(&self) -> String {
        match self.source {
            Source::Host(frame) => frame.camera(),
            #[cfg(not(target_family = "wasm"))]
            Source::Native(frame) => frame.camera(),
        }
    }

    /// The id of the tenant whose camera it is. Asked of the host each time.
    pub fn tenant(&self) -> String {
        match self.source {
            Source::Host(frame) => frame.tenant(),
            #[cfg(not(target_family = "wasm"))]
            Source::Native(frame) => frame.tenant(),
        }
    }

    /// Reads pixels: the host crops, scales and converts, then copies once into the plugin's
    /// memory.
    ///
    /// # Errors
    /// [`ReadError::Unsupported`] for a view that is empty, outside the frame or absurdly large;
    /// [`ReadError::TooLarge`] for one beyond what the plugin may read of one frame.
    pub fn read(&self, view: View) -> Result<Pixels, ReadError> {
        match self.source {
            Source::Host(frame) => frame.read(view),
            #[cfg(not(target_family = "wasm"))]
            Source::Native(frame) => frame.read(view),
        }
    }

    /// Mean and standard deviation of the full-size luma plane, in the range of the stream: black
    /// and white are 16 and 235 on most cameras, and 0 and 255 on others. Computed natively, once
    /// per frame.
    pub fn luma(&self) -> LumaStats {
        match self.source {
            Source::Host(frame) => frame.luma(),
            #[cfg(not(target_family = "wasm"))]
            Source::Native(frame) => frame.luma(),
        }
    }

    /// [`luma`](Self::luma) with black at 0 and white at 255 whatever the stream's range: the same
    /// number for the same scene, for thresholds that are to hold on every camera.
    ///
    /// ```
    /// # use comux_sdk::prelude::*;
    /// # use comux_sdk::testing::TestFrame;
    /// # let format = FrameFormat { range: ColourRange::Limited, ..TestFrame::FORMAT };
    /// # let picture = TestFrame::gray(8, 8, |_, _| 235).coded(format);
    /// # let frame = picture.frame();
    /// // White, of a stream of limited range.
    /// assert_eq!(frame.luma().mean, 235.0);
    /// assert_eq!(frame.normalised_luma().mean, 255.0);
    /// ```
    pub fn normalised_luma(&self) -> LumaStats {
        self.format().normalised_stats(self.luma())
    }

    /// How many luma samples have each of the 256 values.
    pub fn histogram(&self) -> Vec<u32> {
        match self.source {
            Source::Host(frame) => frame.histogram(),
            #[cfg(not(target_family = "wasm"))]
            Source::Native(frame) => frame.histogram(),
        }
    }

    /// How much each cell of a grid changed since the frame this plugin saw before: `cols` times
    /// `rows` mean absolute luma differences, row by row, 0 to 255.
    ///
    /// `None` when there is nothing to compare with: on the first frame, after a discontinuity or
    /// another grid, and for a grid with a side of 0, above 256 or above the frame's.
    pub fn motion_grid(&self, cols: u32, rows: u32) -> Option<Vec<u8>> {
        let cells = match self.source {
            Source::Host(frame) => frame.motion_grid(cols, rows),
            #[cfg(not(target_family = "wasm"))]
            Source::Native(frame) => frame.motion_grid(cols, rows),
        };
        (!cells.is_empty()).then_some(cells)
    }

    /// Headers of the input record, then those of the camera's earlier plugins.
    pub fn headers(&self) -> Vec<Header> {
        match self.source {
            Source::Host(frame) => frame.headers(),
            #[cfg(not(target_family = "wasm"))]
            Source::Native(frame) => frame.headers(),
        }
    }
}
