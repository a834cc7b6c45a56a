//! What a plugin may ask for: a part of the frame, in a size and a layout.

use ffmpeg_next::format::Pixel;

/// How pixels are laid out for a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the WIT describes each layout")]
pub enum PixelFormat {
    Gray8,
    Rgb24,
    Bgr24,
    Rgba32,
    I420,
    Nv12,
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// A request for pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The part of the frame; all of it when absent.
    pub region: Option<Rect>,
    /// Width and height wanted; the region's own when absent.
    pub size: Option<(u32, u32)>,
    /// The layout wanted.
    pub format: PixelFormat,
}

/// Why pixels can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The view makes no sense for this frame.
    #[error("{0}")]
    Unsupported(String),
    /// The view has this many bytes, more than may be read.
    #[error("the view has {0} bytes, more than this plugin may still read of the frame")]
    TooLarge(u64),
    /// Whoever asked has no more time.
    #[error("given up")]
    GivenUp,
}

/// The largest side of a view. libswscale's own arithmetic is safe far beyond.
pub(crate) const MAX_SIDE: u32 = 16_384;

impl PixelFormat {
    /// As libswscale calls it.
    pub(crate) fn pixel(self) -> Pixel {
        match self {
            Self::Gray8 => Pixel::GRAY8,
            Self::Rgb24 => Pixel::RGB24,
            Self::Bgr24 => Pixel::BGR24,
            Self::Rgba32 => Pixel::RGBA,
            Self::I420 => Pixel::YUV420P,
            Self::Nv12 => Pixel::NV12,
        }
    }

    /// Size of each plane in bytes, and the length of its rows.
    pub(crate) fn planes(self, width: usize, height: usize) -> [(usize, usize); 3] {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let packed = |bytes: usize| [(width * bytes * height, width * bytes), (0, 0), (0, 0)];
        match self {
            Self::Gray8 => packed(1),
            Self::Rgb24 | Self::Bgr24 => packed(3),
            Self::Rgba32 => packed(4),
            Self::I420 => {
                let chroma = (half_width * half_height, half_width);
                [(width * height, width), chroma, chroma]
            }
            Self::Nv12 => {
                [(width * height, width), (2 * half_width * half_height, 2 * half_width), (0, 0)]
            }
        }
    }
}

/// The part of a region that lies in a frame of this size.
pub(crate) fn clip(region: Option<Rect>, width: u32, height: u32) -> Result<Rect, ReadError> {
    let region = region.unwrap_or(Rect { x: 0, y: 0, width, height });
    let clipped = Rect {
        x: region.x,
        y: region.y,
        width: region.width.min(width.saturating_sub(region.x)),
        height: region.height.min(height.saturating_sub(region.y)),
    };
    if clipped.width == 0 || clipped.height == 0 {
        let message = format!(
            "the region {}×{} at {},{} is empty or outside the frame of {width}×{height}",
            region.width, region.height, region.x, region.y
        );
        return Err(ReadError::Unsupported(message));
    }
    Ok(clipped)
}
