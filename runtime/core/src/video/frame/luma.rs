//! The luma plane and its statistics.

use std::hint::black_box;
use std::iter;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::format::Pixel;

/// Samples whose squares add up in 32 bit, which is four at once in SIMD code.
const RUN: usize = 4096;

/// Of 1, 2 and 4 rows, and looks at each 64, 128 and 512 bytes of them, one look 2 rows ahead was
/// best: reading frames just decoded, a motion grid takes 350 µs in place of 500, with H.265 430
/// of 810.
const ROWS_AHEAD: usize = 2;

/// A plane of 8-bit luma samples. Rows are `stride` bytes apart.
#[derive(Clone, Copy)]
pub struct Luma<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) stride: usize,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Brightness of a frame, 0 to 255, in the range of its stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LumaStats {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the population.
    pub stddev: f64,
}

/// The decoder's own plane, for formats whose first plane is 8-bit luma.
pub(crate) fn native_plane(frame: &ffmpeg::frame::Video) -> Option<Luma<'_>> {
    // SAFETY: the frame is valid. Frames that stand on their head have a negative row length.
    if unsafe { (*frame.as_ptr()).linesize[0] } <= 0 {
        return None;
    }
    match frame.format() {
        Pixel::YUV420P
        | Pixel::YUVJ420P
        | Pixel::YUV422P
        | Pixel::YUVJ422P
        | Pixel::YUV444P
        | Pixel::YUVJ444P
        | Pixel::YUV440P
        | Pixel::YUVJ440P
        | Pixel::YUV411P
        | Pixel::YUV410P
        | Pixel::NV12
        | Pixel::NV21
        | Pixel::GRAY8 => Some(Luma {
            data: frame.data(0),
            stride: frame.stride(0),
            width: frame.width(),
            height: frame.height(),
        }),
        _ => None,
    }
}

impl<'a> Luma<'a> {
    /// The rows from top to bottom, without padding.
    pub fn rows(self) -> impl Iterator<Item = &'a [u8]> {
        let (width, stride) = (self.width as usize, self.stride.max(1));
        let rows = self.data.chunks(stride).take(self.height as usize);
        // Processors prefetch to the end of a 4 KiB page and no further, which is two rows of
        // 1080p. A look at what comes after has them begin with the next page in time.
        let ahead = self.data.iter().step_by(stride).skip(ROWS_AHEAD).map(Some);
        rows.zip(ahead.chain(iter::repeat(None))).map(move |(row, ahead)| {
            black_box(ahead.copied());
            row.get(..width).unwrap_or(row)
        })
    }

    /// How many samples have each value.
    #[must_use]
    pub fn histogram(self) -> [u32; 256] {
        // Neighbouring samples are often equal; four tables keep their increments independent.
        let mut tables = [[0_u32; 256]; 4];
        for row in self.rows() {
            let (quads, rest) = row.as_chunks::<4>();
            for quad in quads {
                for (table, &sample) in tables.iter_mut().zip(quad) {
                    count(table, sample);
                }
            }
            for (table, &sample) in tables.iter_mut().zip(rest) {
                count(table, sample);
            }
        }
        let [mut total, others @ ..] = tables;
        for table in others {
            for (sum, count) in total.iter_mut().zip(table) {
                *sum += count;
            }
        }
        total
    }
}

#[inline]
fn count(table: &mut [u32; 256], sample: u8) {
    if let Some(count) = table.get_mut(usize::from(sample)) {
        *count += 1;
    }
}

impl LumaStats {
    /// Those of a plane; zero when it is empty.
    #[must_use]
    pub fn of(luma: Luma<'_>) -> Self {
        let (mut sum, mut squares) = (0, 0);
        for run in luma.rows().flat_map(|row| row.chunks(RUN)) {
            let (mut sum_of_run, mut squares_of_run) = (0, 0);
            for &sample in run {
                sum_of_run += u32::from(sample);
                squares_of_run += u32::from(u16::from(sample) * u16::from(sample));
            }
            sum += u64::from(sum_of_run);
            squares += u64::from(squares_of_run);
        }
        Self::from_sums(u64::from(luma.width) * u64::from(luma.height), sum, squares)
    }

    /// Those of the samples that a histogram counts; zero when there are none.
    #[must_use]
    pub fn of_histogram(histogram: &[u32; 256]) -> Self {
        let (mut samples, mut sum, mut squares) = (0, 0, 0);
        for (value, &count) in (0_u64..).zip(histogram) {
            let count = u64::from(count);
            samples += count;
            sum += value * count;
            squares += value * value * count;
        }
        Self::from_sums(samples, sum, squares)
    }

    fn from_sums(samples: u64, sum: u64, squares: u64) -> Self {
        if samples == 0 {
            return Self { mean: 0.0, stddev: 0.0 };
        }
        let mean = sum as f64 / samples as f64;
        let variance = squares as f64 / samples as f64 - mean * mean;
        Self { mean, stddev: variance.max(0.0).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_not_counted_and_statistics_are_exact() {
        // 3 × 2 samples, rows 5 bytes apart.
        let data = [10, 20, 30, 99, 99, 40, 50, 60, 99, 99];
        let luma = Luma { data: &data, stride: 5, width: 3, height: 2 };
        let histogram = luma.histogram();
        assert_eq!(histogram.iter().sum::<u32>(), 6);
        assert_eq!(histogram[99], 0);
        for stats in [LumaStats::of(luma), LumaStats::of_histogram(&histogram)] {
            assert!((stats.mean - 35.0).abs() < 1e-9);
            assert!((stats.stddev - 17.078_251_276_6).abs() < 1e-9);
        }
    }

    #[test]
    fn the_brightest_picture_of_the_longest_rows_does_not_overflow() {
        let data = vec![255; 3 * 16_384];
        let luma = Luma { data: &data, stride: 16_384, width: 16_384, height: 3 };
        assert_eq!(LumaStats::of(luma), LumaStats { mean: 255.0, stddev: 0.0 });
    }
}
