//! Crops, scales and converts pixels with libswscale, straight into the caller's buffer.

use std::ptr;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;

use super::bands::band_rows;
use super::luma::Luma;
use super::planes::PlaneSource;
use super::view::{MAX_SIDE, PixelFormat, ReadError, Rect, View, clip};

/// One plugin's scaling contexts: the last one is kept, since plugins ask for the same view again.
pub struct Scaler {
    context: *mut ffi::SwsContext,
    /// Planes with room at the end of each row; see [`ROW_ALIGNMENT`].
    padded: Vec<u8>,
    /// To compare with: everything in one band.
    #[cfg(test)]
    whole: bool,
}

/// libswscale writes whole vectors: rows of another length than a multiple of this need room behind
/// them, or the next row, plane or object would be overwritten.
const ROW_ALIGNMENT: usize = 64;

/// How much larger than its region a view may be: more would only make the host work.
const MOST_ENLARGED: u32 = 16;

// SAFETY: the context belongs to this value alone, and libswscale does not tie it to a thread.
unsafe impl Send for Scaler {}

impl Default for Scaler {
    fn default() -> Self {
        Self {
            context: ptr::null_mut(),
            padded: Vec::new(),
            #[cfg(test)]
            whole: false,
        }
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: null, or made by `sws_getCachedContext` and freed once.
        unsafe { ffi::sws_freeContext(self.context) }
    }
}

impl Scaler {
    /// Gives up the memory that is kept for the next read.
    pub fn free_buffers(&mut self) {
        self.padded = Vec::new();
    }

    /// `luma`: the frame's luma plane in 8 bit, which may have to be made first.
    pub(crate) fn read<'f>(
        &mut self,
        (frame, luma): (&ffmpeg::frame::Video, impl FnOnce() -> Luma<'f>),
        (view, budget): (View, u64),
        out: &mut Vec<u8>,
        is_over: impl Fn() -> bool,
    ) -> Result<(u32, u32), ReadError> {
        let region = clip(view.region, frame.width(), frame.height())?;
        let (width, height) = view.size.unwrap_or((region.width, region.height));
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            let message = format!("a view of {width}×{height}; each side is 1 to {MAX_SIDE}");
            return Err(ReadError::Unsupported(message));
        }
        let enlarges = |side: u32, of: u32| side > of.saturating_mul(MOST_ENLARGED);
        if enlarges(width, region.width) || enlarges(height, region.height) {
            let message = format!(
                "a view of {width}×{height} of a region of {}×{}; it may have {MOST_ENLARGED} \
                 times the region's sides",
                region.width, region.height
            );
            return Err(ReadError::Unsupported(message));
        }
        let planes = view.format.planes(width as usize, height as usize);
        let bytes: usize = planes.iter().map(|(size, _)| size).sum();
        if bytes as u64 > budget {
            return Err(ReadError::TooLarge(bytes as u64));
        }
        out.clear();
        // Luma is read as the decoder made it; a conversion to gray would stretch its range.
        if view.format == PixelFormat::Gray8 {
            let luma = luma();
            let source = PlaneSource {
                data: [luma.data.as_ptr(), ptr::null(), ptr::null(), ptr::null()],
                strides: [i32::try_from(luma.stride).unwrap_or(0), 0, 0, 0],
                format: Pixel::GRAY8,
            };
            if luma.data.is_empty() {
                return Err(unsupported_format(frame));
            }
            if (width, height) == (region.width, region.height) {
                let (left, top) = (region.x as usize, region.y as usize);
                for row in luma.rows().skip(top).take(height as usize) {
                    out.extend_from_slice(row.get(left..left + width as usize).unwrap_or_default());
                }
                return Ok((width, height));
            }
            out.resize(bytes, 0);
            return self.scale((&source, region), (width, height), view.format, out, is_over);
        }
        out.resize(bytes, 0);
        let source = PlaneSource::of(frame);
        self.scale((&source, region), (width, height), view.format, out, is_over)
    }

    fn scale(
        &mut self,
        (source, region): (&PlaneSource, Rect),
        (width, height): (u32, u32),
        format: PixelFormat,
        out: &mut [u8],
        is_over: impl Fn() -> bool,
    ) -> Result<(u32, u32), ReadError> {
        let planes = format.planes(width as usize, height as usize);
        let side = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        // SAFETY: the sizes are positive and bounded; the old context is null or ours.
        self.context = unsafe {
            ffi::sws_getCachedContext(
                self.context,
                side(region.width),
                side(region.height),
                source.format.into(),
                side(width),
                side(height),
                format.pixel().into(),
                ffmpeg::software::scaling::Flags::AREA.bits(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            )
        };
        if self.context.is_null() {
            let message = format!("libswscale can't convert from {:?}", source.format);
            return Err(ReadError::Unsupported(message));
        }
        let mut targets = [ptr::null_mut(); 4];
        let mut strides = [0; 4];
        let aligned = |row: usize| row.next_multiple_of(ROW_ALIGNMENT);
        let direct = planes.iter().all(|&(_, row)| row == aligned(row));
        let room = planes.map(|(size, row)| match size.checked_div(row) {
            None => 0,
            Some(rows) if direct => rows * row,
            Some(rows) => rows * aligned(row) + ROW_ALIGNMENT,
        });
        self.padded.resize(if direct { 0 } else { room.iter().sum() }, 0);
        let mut rest: &mut [u8] = if direct { out } else { &mut self.padded };
        for (((_, row), room), (target, stride)) in
            planes.into_iter().zip(room).zip(targets.iter_mut().zip(&mut strides))
        {
            if room == 0 {
                continue;
            }
            let (plane, tail) = rest.split_at_mut(room);
            *target = plane.as_mut_ptr();
            *stride = i32::try_from(if direct { row } else { aligned(row) }).unwrap_or(i32::MAX);
            rest = tail;
        }
        let band = band_rows(source.format, region, (width, height));
        #[cfg(test)]
        let band = if self.whole { region.height } else { band };
        let (mut row, mut lines) = (0, 0);
        while row < region.height {
            if is_over() {
                // What is half done must not be gone on with.
                *self = Self::default();
                return Err(ReadError::GivenUp);
            }
            let from = Rect { y: region.y + row, ..region };
            let Some(cropped) = source.cropped(from) else {
                let message = format!("regions of {:?} can't be read", source.format);
                return Err(ReadError::Unsupported(message));
            };
            let rows = band.min(region.height - row);
            // SAFETY: the source planes cover the region, which was clipped to the frame, and bands
            // follow one another from its top to its bottom; each target plane has `height` rows of
            // its stride (half of them for chroma), and room for the whole vectors that libswscale
            // writes.
            lines += unsafe {
                ffi::sws_scale(
                    self.context,
                    cropped.as_ptr(),
                    source.strides.as_ptr(),
                    side(row),
                    side(rows),
                    targets.as_ptr(),
                    strides.as_ptr(),
                )
            };
            row += rows;
        }
        if lines != side(height) {
            return Err(ReadError::Unsupported("libswscale could not scale the view".into()));
        }
        if !direct {
            let mut out = out;
            let mut padded = self.padded.as_slice();
            for ((size, row), room) in planes.into_iter().zip(room) {
                let (plane, rest_padded) = padded.split_at(room);
                let (compact, rest_out) = out.split_at_mut(size);
                let rows = plane.chunks(aligned(row).max(1));
                for (to, from) in compact.chunks_mut(row.max(1)).zip(rows) {
                    to.copy_from_slice(from.get(..row).unwrap_or_default());
                }
                (padded, out) = (rest_padded, rest_out);
            }
        }
        Ok((width, height))
    }
}

/// The luma plane of a frame whose format has none of 8 bit. `None` when it can't be converted.
pub(crate) fn luma_of(frame: &ffmpeg::frame::Video) -> Option<Vec<u8>> {
    let (width, height) = (frame.width(), frame.height());
    let planes = PixelFormat::I420.planes(width as usize, height as usize);
    let mut out = vec![0; planes.iter().map(|(size, _)| size).sum()];
    let whole = (&PlaneSource::of(frame), Rect { x: 0, y: 0, width, height });
    Scaler::default().scale(whole, (width, height), PixelFormat::I420, &mut out, || false).ok()?;
    out.truncate(width as usize * height as usize);
    Some(out)
}

fn unsupported_format(frame: &ffmpeg::frame::Video) -> ReadError {
    ReadError::Unsupported(format!("libswscale can't convert from {:?}", frame.format()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::frame::{Frame, FrameFacts};

    /// A frame whose luma is `x + y`, and whose chroma is neutral.
    fn gradient(width: u32, height: u32) -> Frame {
        let mut frame = ffmpeg::frame::Video::new(Pixel::YUV420P, width, height);
        let stride = frame.stride(0);
        for y in 0..height as usize {
            for x in 0..width as usize {
                frame.data_mut(0)[y * stride + x] = (x + y) as u8;
            }
        }
        frame.data_mut(1).fill(128);
        frame.data_mut(2).fill(128);
        let info = FrameFacts {
            seq: 0,
            pts_us: None,
            recorded_at_us: None,
            keyframe: true,
            discontinuity: false,
            decode_us: 0,
        };
        Frame::new(info, frame)
    }

    fn view(region: Option<Rect>, size: Option<(u32, u32)>, format: PixelFormat) -> View {
        View { region, size, format }
    }

    #[test]
    fn a_gray_region_is_the_luma_itself() {
        let frame = gradient(32, 16);
        let region = Rect { x: 3, y: 5, width: 4, height: 2 };
        let mut out = Vec::new();
        let read = frame.read(
            view(Some(region), None, PixelFormat::Gray8),
            u64::MAX,
            &mut Scaler::default(),
            &mut out,
            || false,
        );
        assert_eq!(read, Ok((4, 2)));
        assert_eq!(out, [8, 9, 10, 11, 9, 10, 11, 12]);
    }

    #[test]
    fn every_format_has_its_exact_size_at_odd_sizes_too() {
        let frame = gradient(33, 17);
        let sizes = [
            (PixelFormat::Gray8, 33 * 17),
            (PixelFormat::Rgb24, 33 * 17 * 3),
            (PixelFormat::Bgr24, 33 * 17 * 3),
            (PixelFormat::Rgba32, 33 * 17 * 4),
            (PixelFormat::I420, 33 * 17 + 2 * 17 * 9),
            (PixelFormat::Nv12, 33 * 17 + 2 * 17 * 9),
        ];
        for (format, size) in sizes {
            let mut out = Vec::new();
            let (view, scaler) = (view(None, None, format), &mut Scaler::default());
            let read = frame.read(view, u64::MAX, scaler, &mut out, || false);
            assert_eq!(read, Ok((33, 17)), "{format:?}");
            assert_eq!(out.len(), size, "{format:?}");
        }
    }

    /// libswscale writes whole vectors; none may reach beyond its row, plane or buffer.
    #[test]
    fn small_and_odd_views_have_the_same_pixels_as_their_neighbours() {
        let frame = gradient(64, 48);
        let formats =
            [PixelFormat::Gray8, PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Bgr24];
        for format in formats {
            for width in 1..40 {
                let mut out = Vec::new();
                let want = view(None, Some((width, 48)), format);
                let scaler = &mut Scaler::default();
                let read = frame.read(want, u64::MAX, scaler, &mut out, || false);
                assert_eq!(read, Ok((width, 48)), "{format:?}");
                if matches!(format, PixelFormat::I420 | PixelFormat::Nv12) {
                    let chroma = &out[width as usize * 48..];
                    let neutral = chroma.iter().all(|&sample| sample == 128);
                    assert!(neutral, "{format:?} of width {width}: luma in chroma");
                }
                if format == PixelFormat::Gray8 {
                    let rows: Vec<&[u8]> = out.chunks(width as usize).collect();
                    let step = rows.windows(2).all(|pair| pair[1][0] == pair[0][0] + 1);
                    assert!(step, "width {width}: each row is one brighter than the one above");
                }
            }
        }
    }

    #[test]
    fn views_are_clipped_and_absurd_ones_refused() {
        let frame = gradient(32, 16);
        let mut scaler = Scaler::default();
        let mut out = Vec::new();
        let mut read = |region, size, budget| {
            let view = view(region, size, PixelFormat::Gray8);
            frame.read(view, budget, &mut scaler, &mut out, || false)
        };
        let beyond = Rect { x: 30, y: 0, width: u32::MAX, height: u32::MAX };
        assert_eq!(read(Some(beyond), None, u64::MAX), Ok((2, 16)));
        let outside = Rect { x: 32, y: 0, width: 1, height: 1 };
        assert!(matches!(read(Some(outside), None, u64::MAX), Err(ReadError::Unsupported(_))));
        let huge = Some((u32::MAX, u32::MAX));
        assert!(matches!(read(None, huge, u64::MAX), Err(ReadError::Unsupported(_))));
        assert_eq!(read(None, Some((100, 100)), 9_999), Err(ReadError::TooLarge(10_000)));
        assert_eq!(read(None, Some((100, 100)), 10_000), Ok((100, 100)));
    }

    /// What libswscale gives when it is asked for everything at once, as a reader without a clock
    /// would.
    fn at_once(frame: &Frame, want: View) -> Vec<u8> {
        let mut out = Vec::new();
        let scaler = &mut Scaler::default();
        // A band that is as high as the region.
        scaler.whole = true;
        frame.read(want, u64::MAX, scaler, &mut out, || false).unwrap();
        out
    }

    #[test]
    fn a_picture_read_in_bands_is_the_picture_read_at_once() {
        let frame = gradient(1280, 720);
        let odd = Some(Rect { x: 101, y: 33, width: 1011, height: 601 });
        for format in [PixelFormat::Gray8, PixelFormat::Rgb24, PixelFormat::I420, PixelFormat::Nv12]
        {
            for region in [None, odd] {
                for size in [None, Some((640, 360)), Some((224, 224)), Some((1500, 900))] {
                    let want = view(region, size, format);
                    let mut out = Vec::new();
                    let scaler = &mut Scaler::default();
                    frame.read(want, u64::MAX, scaler, &mut out, || false).unwrap();
                    assert!(out == at_once(&frame, want), "{want:?}");
                }
            }
        }
    }

    #[test]
    fn sensor_formats_are_read_whole_or_not_at_all() {
        for format in [Pixel::BAYER_RGGB8, Pixel::BAYER_RGGB16LE, Pixel::PAL8, Pixel::YUV410P] {
            let raw = ffmpeg::frame::Video::new(format, 1920, 1080);
            let frame = Frame::new(gradient(2, 2).info(), raw);
            for want in [PixelFormat::Bgr24, PixelFormat::Nv12, PixelFormat::Gray8] {
                for size in [None, Some((640, 360))] {
                    let (scaler, mut out) = (&mut Scaler::default(), Vec::new());
                    // That it comes back is what counts.
                    let _ =
                        frame.read(view(None, size, want), u64::MAX, scaler, &mut out, || false);
                }
            }
        }
    }

    #[test]
    fn a_reader_without_time_gets_nothing_and_the_next_one_everything() {
        let frame = gradient(1280, 720);
        let (scaler, mut out) = (&mut Scaler::default(), Vec::new());
        let want = view(None, Some((640, 360)), PixelFormat::Rgb24);
        let looks = std::cell::Cell::new(0);
        let is_over = || looks.replace(looks.get() + 1) >= 2;
        let read = frame.read(want, u64::MAX, scaler, &mut out, is_over);
        assert_eq!((read, looks.get()), (Err(ReadError::GivenUp), 3));
        frame.read(want, u64::MAX, scaler, &mut out, || false).unwrap();
        assert!(out == at_once(&frame, want));
    }
}
