//! Scaling in bands of rows, so that the time can be looked at in between.

use ffmpeg_next::format::Pixel;

use super::view::Rect;

/// Samples, read or written, between two looks at the time: some tenths of a millisecond.
const BAND_SAMPLES: u64 = 256 * 1024;
/// Rows of a band are a multiple of this, so that chroma goes with its luma.
const BAND_STEP: u32 = 4;
/// libswscale scales in two steps beyond this, and then not in bands.
const MOST_REDUCED: u32 = 128;

/// The formats that libswscale was seen to read in bands. With some others, such as those of Bayer
/// sensors, it reads memory that it never set up.
const BANDED: [Pixel; 11] = [
    Pixel::GRAY8,
    Pixel::NV12,
    Pixel::YUV420P,
    Pixel::YUV422P,
    Pixel::YUV444P,
    Pixel::YUV420P10LE,
    Pixel::YUV422P10LE,
    Pixel::YUV444P10LE,
    Pixel::YUVA420P,
    Pixel::RGB24,
    Pixel::BGR24,
];

/// How many rows of a region are scaled at once.
pub(crate) fn band_rows(format: Pixel, region: Rect, (width, height): (u32, u32)) -> u32 {
    if !BANDED.contains(&format) {
        return region.height;
    }
    if is_reduced_in_steps(region, (width, height)) {
        return region.height;
    }
    let read = u64::from(region.width);
    let written = u64::from(width) * u64::from(height) / u64::from(region.height.max(1));
    let rows = BAND_SAMPLES / (read + written).max(1);
    u32::try_from(rows).unwrap_or(u32::MAX).next_multiple_of(BAND_STEP).max(BAND_STEP)
}

/// Whether a region is made so much smaller that libswscale may do it in two steps.
pub(crate) fn is_reduced_in_steps(region: Rect, (width, height): (u32, u32)) -> bool {
    let is_reduced = |side: u32, of: u32| side.saturating_mul(MOST_REDUCED) < of;
    is_reduced(width, region.width) || is_reduced(height, region.height)
}
