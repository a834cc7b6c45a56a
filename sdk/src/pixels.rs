//! Views to ask for, and rows to look at.

use crate::{ColourRange, FrameFormat, LumaStats, PixelFormat, Pixels, Rect, View};

impl View {
    /// The whole frame at its own size, in this format.
    #[must_use]
    pub fn new(format: PixelFormat) -> Self {
        Self { region: None, size: None, format }
    }

    /// The whole frame in gray: one byte per pixel.
    #[must_use]
    pub fn gray8() -> Self {
        Self::new(PixelFormat::Gray8)
    }

    /// The whole frame in red, green, blue: three bytes per pixel.
    #[must_use]
    pub fn rgb24() -> Self {
        Self::new(PixelFormat::Rgb24)
    }

    /// This part of the frame only, in pixels of the frame; clipped to it.
    #[must_use]
    pub fn region(mut self, region: Rect) -> Self {
        self.region = Some(region);
        self
    }

    /// Scaled to `width` by `height` pixels. Without it, the region's own size.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = Some((width, height));
        self
    }
}

/// Values of limited range between black and white, by ITU-R BT.601 and BT.709 in 8 bit.
const LIMITED_STEPS: f64 = 219.0;
/// Black of limited range.
const LIMITED_BLACK: f64 = 16.0;

impl FrameFormat {
    /// A value of luma, as a sample of `gray8` or a mean of them, on the scale on which black is
    /// 0 and white 255: `(luma - 16) · 255 / 219` of limited range, the same of full range. Values
    /// blacker than black are below 0, and whiter than white above 255.
    #[must_use]
    pub fn normalised(&self, luma: f64) -> f64 {
        match self.range {
            ColourRange::Limited => (luma - LIMITED_BLACK) * 255.0 / LIMITED_STEPS,
            ColourRange::Full => luma,
        }
    }

    pub(crate) fn normalised_stats(&self, LumaStats { mean, stddev }: LumaStats) -> LumaStats {
        let stddev = self.normalised(mean + stddev) - self.normalised(mean);
        LumaStats { mean: self.normalised(mean), stddev }
    }
}

impl Pixels {
    /// Bytes of one row: of the packed picture, or of the Y plane of `i420` and `nv12`.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        let bytes_per_pixel = match self.format {
            PixelFormat::Gray8 | PixelFormat::I420 | PixelFormat::Nv12 => 1,
            PixelFormat::Rgb24 | PixelFormat::Bgr24 => 3,
            PixelFormat::Rgba32 => 4,
        };
        self.width as usize * bytes_per_pixel
    }

    /// The rows from the top: `height` slices of [`row_bytes`](Self::row_bytes) bytes. Of `i420`
    /// and `nv12`, those of the Y plane.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator + Clone {
        self.data.chunks_exact(self.row_bytes().max(1)).take(self.height as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_has_the_same_normalised_luma_in_either_range() {
        let full = crate::testing::TestFrame::FORMAT;
        let limited = FrameFormat { range: ColourRange::Limited, ..full };
        // A quarter of the way from black to white.
        let (of_limited, of_full) = (16.0 + 219.0 / 4.0, 255.0 / 4.0);
        assert!((limited.normalised(of_limited) - full.normalised(of_full)).abs() < 1e-9);
        let stats = limited.normalised_stats(LumaStats { mean: 16.0, stddev: 21.9 });
        assert!(stats.mean.abs() < 1e-9 && (stats.stddev - 25.5).abs() < 1e-9);
    }

    #[test]
    fn rows_of_a_planar_picture_are_its_luma() {
        let pixels = Pixels {
            width: 4,
            height: 2,
            format: PixelFormat::I420,
            data: vec![1, 1, 1, 1, 2, 2, 2, 2, 128, 128, 128, 128],
        };
        let rows: Vec<_> = pixels.rows().collect();
        assert_eq!(rows, [[1; 4], [2; 4]]);
    }
}
