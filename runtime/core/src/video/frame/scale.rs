//! Crops, scales and converts pixels with libswscale, straight into the caller's buffer.

use std::mem;
use std::ptr;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::Flags;

use super::bands::is_reduced_in_steps;
use super::colour::{Colour, Kind, Range};
use super::context::{Context, Conversion};
use super::luma::Luma;
use super::planes::{Layout, PlaneSource};
use super::rgb;
use super::view::{MAX_SIDE, PixelFormat, ReadError, Rect, View, clip};

/// One plugin's scaling contexts, and room for what lies between a frame and a view.
#[derive(Default)]
pub struct Scaler {
    context: Context,
    /// For the first of two steps.
    first: Context,
    /// Planes with room at the end of each row; see [`ROW_ALIGNMENT`].
    padded: Vec<u8>,
    /// What the first of two steps makes.
    between: Vec<u8>,
}

/// libswscale writes whole vectors: rows of another length than a multiple of this need room behind
/// them, or the next row, plane or object would be overwritten.
const ROW_ALIGNMENT: usize = 64;

/// How much larger than its region a view may be: more would only make the host work.
const MOST_ENLARGED: u32 = 16;

/// A sample of chroma where there is no colour.
const NEUTRAL: u8 = 128;

/// Without them libswscale drops remainders, which is up to four levels and more in small views,
/// and takes one colour for two pixels.
const EXACT_COLOURS: Flags =
    Flags::ACCURATE_RND.union(Flags::FULL_CHR_H_INT).union(Flags::FULL_CHR_H_INP);

/// What is wanted of a frame, once it is known that it can be.
#[derive(Clone, Copy)]
struct Wanted {
    region: Rect,
    size: (u32, u32),
    format: PixelFormat,
}

impl Scaler {
    /// Gives up the memory that is kept for the next read.
    pub fn free_buffers(&mut self) {
        self.padded = Vec::new();
        self.between = Vec::new();
    }

    /// `luma`: the frame's luma plane in 8 bit, which may have to be made first.
    pub(crate) fn read<'f>(
        &mut self,
        (frame, luma): (&ffmpeg::frame::Video, impl FnOnce() -> Luma<'f>),
        (view, budget): (View, u64),
        out: &mut Vec<u8>,
        is_over: impl Fn() -> bool,
    ) -> Result<(u32, u32), ReadError> {
        let wanted = Wanted::of(view, (frame.width(), frame.height()))?;
        let bytes = wanted.bytes();
        if bytes as u64 > budget {
            return Err(ReadError::TooLarge(bytes as u64));
        }
        out.clear();
        let colour = Colour::of(frame);
        let is_rgb =
            matches!(view.format, PixelFormat::Rgb24 | PixelFormat::Bgr24 | PixelFormat::Rgba32);
        let keeps_alpha = colour.has_alpha && view.format == PixelFormat::Rgba32;
        let is_gray = colour.kind() == Kind::Gray && !keeps_alpha;
        if view.format == PixelFormat::Gray8 || is_gray {
            let luma = luma();
            if luma.data.is_empty() {
                let message = format!("libswscale can't convert from {:?}", frame.format());
                return Err(ReadError::Unsupported(message));
            }
            if is_rgb {
                self.read_gray_as_rgb((luma, colour.range), wanted, out, is_over)?;
            } else {
                self.read_gray(luma, wanted, out, is_over)?;
                // Chroma of none.
                out.resize(bytes, NEUTRAL);
            }
            return Ok(wanted.size);
        }
        out.resize(bytes, 0);
        let source = PlaneSource::of(frame);
        if is_rgb && colour.kind() == Kind::Yuv && !keeps_alpha {
            self.read_rgb((&source, &colour), wanted, out, &is_over)?;
        } else {
            let conversion = conversion_of(&source, &colour, wanted);
            self.scale((&source, wanted), &conversion, out, is_over)?;
        }
        Ok(wanted.size)
    }

    /// Luma alone, as the decoder made it; a conversion to gray would stretch its range.
    fn read_gray(
        &mut self,
        luma: Luma<'_>,
        wanted: Wanted,
        out: &mut Vec<u8>,
        is_over: impl Fn() -> bool,
    ) -> Result<(), ReadError> {
        let wanted = Wanted { format: PixelFormat::Gray8, ..wanted };
        let Wanted { region, size: (width, height), .. } = wanted;
        if (width, height) == (region.width, region.height) {
            let (left, top) = (region.x as usize, region.y as usize);
            for row in luma.rows().skip(top).take(height as usize) {
                out.extend_from_slice(row.get(left..left + width as usize).unwrap_or_default());
            }
            return Ok(());
        }
        out.resize(wanted.bytes(), 0);
        let source = PlaneSource {
            data: [luma.data.as_ptr(), ptr::null(), ptr::null(), ptr::null()],
            strides: [i32::try_from(luma.stride).unwrap_or(0), 0, 0, 0],
            format: Pixel::GRAY8,
        };
        // All gray is full range to libswscale: said of both sides, it changes nothing.
        let conversion = Conversion {
            from: (source.format, Range::Full),
            to: (Pixel::GRAY8, Range::Full),
            size: wanted.size,
            matrix: None,
            flags: Flags::empty(),
        };
        self.scale((&source, wanted), &conversion, out, is_over)
    }

    fn read_gray_as_rgb(
        &mut self,
        (luma, range): (Luma<'_>, Range),
        wanted: Wanted,
        out: &mut Vec<u8>,
        is_over: impl Fn() -> bool,
    ) -> Result<(), ReadError> {
        let mut gray = mem::take(&mut self.between);
        gray.clear();
        let read = self.read_gray(luma, wanted, &mut gray, is_over);
        if read.is_ok() {
            let stretched = range.stretched();
            for sample in &mut gray {
                *sample = stretched.get(usize::from(*sample)).copied().unwrap_or_default();
            }
            out.resize(wanted.bytes(), 0);
            let width = wanted.size.0 as usize;
            rgb::interleave([&gray; 3], (width, width), wanted.format, out);
        }
        self.between = gray;
        read
    }

    /// Of luma and chroma.
    fn read_rgb(
        &mut self,
        (source, colour): (&PlaneSource, &Colour),
        wanted: Wanted,
        out: &mut [u8],
        is_over: &impl Fn() -> bool,
    ) -> Result<(), ReadError> {
        let Wanted { region, size, format } = wanted;
        if !is_reduced_in_steps(region, size) {
            return self.read_rgb_at_once((source, colour), wanted, out, is_over);
        }
        // Between libswscale's own two steps the matrix would be lost.
        let (width, height) = (size.0 as usize, size.1 as usize);
        let layout = padded([(width * height, width); 3]);
        let mut between = mem::take(&mut self.between);
        between.resize(room(layout), 0);
        let conversion = Conversion {
            from: (source.format, Range::Limited),
            to: (Pixel::YUV444P, Range::Limited),
            size,
            matrix: None,
            flags: EXACT_COLOURS,
        };
        let target = (layout, between.as_mut_slice());
        let read = self.first.convert((source, region), &conversion, target, is_over);
        let read = read.and_then(|()| {
            let small = PlaneSource::of_layout(&between, layout, Pixel::YUV444P);
            let region = Rect { x: 0, y: 0, width: size.0, height: size.1 };
            let wanted = Wanted { region, size, format };
            self.read_rgb_at_once((&small, colour), wanted, out, is_over)
        });
        self.between = between;
        read
    }

    /// libswscale's way to planes of red, green and blue is exact, and made of SIMD code. Its ways
    /// to pixels are one or the other.
    fn read_rgb_at_once(
        &mut self,
        (source, colour): (&PlaneSource, &Colour),
        wanted: Wanted,
        out: &mut [u8],
        is_over: impl Fn() -> bool,
    ) -> Result<(), ReadError> {
        let (width, height) = (wanted.size.0 as usize, wanted.size.1 as usize);
        let layout @ [(plane, stride), ..] = padded([(width * height, width); 3]);
        let conversion = Conversion {
            from: (source.format, colour.range),
            to: (Pixel::GBRP, Range::Full),
            size: wanted.size,
            matrix: Some(colour.coefficients()),
            flags: EXACT_COLOURS,
        };
        self.padded.resize(room(layout), 0);
        let target = (layout, self.padded.as_mut_slice());
        self.context.convert((source, wanted.region), &conversion, target, is_over)?;
        let (green, others) = self.padded.split_at(plane);
        let (blue, red) = others.split_at(plane);
        rgb::interleave([green, blue, red], (width, stride), wanted.format, out);
        Ok(())
    }

    /// Into the view as it is, or by way of padded rows.
    fn scale(
        &mut self,
        (source, wanted): (&PlaneSource, Wanted),
        conversion: &Conversion,
        out: &mut [u8],
        is_over: impl Fn() -> bool,
    ) -> Result<(), ReadError> {
        let Wanted { region, size: (width, height), format } = wanted;
        let planes = format.planes(width as usize, height as usize);
        if planes.iter().all(|&(_, row)| row == row.next_multiple_of(ROW_ALIGNMENT)) {
            return self.context.convert((source, region), conversion, (planes, out), is_over);
        }
        let layout = padded(planes);
        self.padded.resize(room(layout), 0);
        let target = (layout, self.padded.as_mut_slice());
        self.context.convert((source, region), conversion, target, is_over)?;
        let (mut out, mut padded) = (out, self.padded.as_slice());
        for ((size, row), (room, stride)) in planes.into_iter().zip(layout) {
            let (plane, rest_padded) = padded.split_at(room);
            let (compact, rest_out) = out.split_at_mut(size);
            let rows = plane.chunks(stride.max(1));
            for (to, from) in compact.chunks_mut(row.max(1)).zip(rows) {
                to.copy_from_slice(from.get(..row).unwrap_or_default());
            }
            (padded, out) = (rest_padded, rest_out);
        }
        Ok(())
    }
}

impl Wanted {
    fn of(view: View, (width, height): (u32, u32)) -> Result<Self, ReadError> {
        let region = clip(view.region, width, height)?;
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
        Ok(Self { region, size: (width, height), format: view.format })
    }

    fn bytes(&self) -> usize {
        let planes = self.format.planes(self.size.0 as usize, self.size.1 as usize);
        planes.iter().map(|(size, _)| size).sum()
    }
}

/// That into a view for which libswscale alone is enough: planes of luma and chroma stay as they
/// are coded, and red, green and blue become luma of full range.
fn conversion_of(source: &PlaneSource, colour: &Colour, wanted: Wanted) -> Conversion {
    let is_rgb = colour.kind() == Kind::Rgb || wanted.format == PixelFormat::Rgba32;
    let (from, to, flags) = match colour.kind() {
        Kind::Yuv | Kind::Gray if wanted.format == PixelFormat::Rgba32 => {
            (colour.range, Range::Full, EXACT_COLOURS)
        }
        // A shift reduces limited range to 8 bit; that is what luma is reduced by, too.
        Kind::Yuv | Kind::Gray => (Range::Limited, Range::Limited, Flags::empty()),
        Kind::Rgb => (Range::Full, Range::Full, EXACT_COLOURS),
        Kind::Sensor => (Range::Limited, Range::Limited, Flags::empty()),
    };
    Conversion {
        from: (source.format, from),
        to: (wanted.format.pixel(), to),
        size: wanted.size,
        matrix: is_rgb.then(|| colour.coefficients()),
        flags,
    }
}

/// The same planes with room for whole vectors.
fn padded(planes: Layout) -> Layout {
    planes.map(|(size, row)| match size.checked_div(row) {
        None => (0, 0),
        Some(rows) => {
            let stride = row.next_multiple_of(ROW_ALIGNMENT);
            (rows * stride + ROW_ALIGNMENT, stride)
        }
    })
}

fn room(layout: Layout) -> usize {
    layout.iter().map(|(size, _)| size).sum()
}

/// The luma plane of a frame that has none. `None` when it can't be converted.
pub(crate) fn luma_of(frame: &ffmpeg::frame::Video) -> Option<Vec<u8>> {
    let (width, height) = (frame.width(), frame.height());
    let view = View { region: None, size: None, format: PixelFormat::I420 };
    let wanted = Wanted::of(view, (width, height)).ok()?;
    let source = PlaneSource::of(frame);
    let mut conversion = conversion_of(&source, &Colour::of(frame), wanted);
    if Colour::of(frame).kind() == Kind::Gray {
        // Only what stands on its head comes this way; to libswscale all gray is full range.
        conversion.from.1 = Range::Full;
        conversion.to.1 = Range::Full;
    }
    let mut out = vec![0; wanted.bytes()];
    Scaler::default().scale((&source, wanted), &conversion, &mut out, || false).ok()?;
    out.truncate(width as usize * height as usize);
    Some(out)
}

#[cfg(test)]
mod tests;
