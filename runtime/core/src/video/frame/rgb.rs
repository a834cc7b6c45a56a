//! Red, green and blue, from planes to pixels.

use super::view::PixelFormat;

/// Lays planes of green, blue and red, as libswscale has them, out as pixels. Rows are `width`
/// samples long and `stride` bytes apart in the planes, and close together in `out`.
pub(super) fn interleave(
    planes: [&[u8]; 3],
    row: (usize, usize),
    format: PixelFormat,
    out: &mut [u8],
) {
    match format {
        PixelFormat::Rgba32 => lay_out(planes, row, out, |r, g, b| [r, g, b, u8::MAX]),
        PixelFormat::Bgr24 => lay_out(planes, row, out, |r, g, b| [b, g, r]),
        _ => lay_out(planes, row, out, |r, g, b| [r, g, b]),
    }
}

fn lay_out<const BYTES: usize>(
    planes: [&[u8]; 3],
    (width, stride): (usize, usize),
    out: &mut [u8],
    pixel: impl Fn(u8, u8, u8) -> [u8; BYTES],
) {
    let [green, blue, red] = planes.map(|plane| plane.chunks(stride.max(1)));
    let (pixels, _) = out.as_chunks_mut::<BYTES>();
    let rows = red.zip(green).zip(blue).zip(pixels.chunks_exact_mut(width.max(1)));
    for (((red, green), blue), pixels) in rows {
        for (((red, green), blue), to) in red.iter().zip(green).zip(blue).zip(pixels) {
            *to = pixel(*red, *green, *blue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_pixels_and_padding_becomes_nothing() {
        // 2 × 2 samples, rows 3 bytes apart.
        let (green, blue, red) = ([3, 4, 0, 5, 6, 0], [7, 8, 0, 9, 10, 0], [11, 12, 0, 13, 14, 0]);
        let planes: [&[u8]; 3] = [&green, &blue, &red];
        let laid_out = |format, bytes: usize| {
            let mut out = vec![0; 4 * bytes];
            interleave(planes, (2, 3), format, &mut out);
            out
        };
        assert_eq!(laid_out(PixelFormat::Rgb24, 3), [11, 3, 7, 12, 4, 8, 13, 5, 9, 14, 6, 10]);
        assert_eq!(laid_out(PixelFormat::Bgr24, 3), [7, 3, 11, 8, 4, 12, 9, 5, 13, 10, 6, 14]);
        let with_alpha = [11, 3, 7, 255, 12, 4, 8, 255, 13, 5, 9, 255, 14, 6, 10, 255];
        assert_eq!(laid_out(PixelFormat::Rgba32, 4), with_alpha);
    }
}
