//! Luma that is not a plane of bytes: of more than 8 bits, or among other samples.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::ffi;

use super::colour::{Colour, Kind};

/// Where a row has its luma, as FFmpeg describes its formats.
struct Place {
    /// Bytes from the beginning of the row to the first sample, …
    offset: usize,
    /// … and from one to the next.
    step: usize,
    /// Bits below the sample.
    shift: u32,
    /// Bits of the sample.
    depth: u32,
    big_endian: bool,
}

impl Place {
    /// `None`: the format has no luma, or it is somewhere else than in the first plane.
    fn of(frame: &ffmpeg::frame::Video) -> Option<Self> {
        if !matches!(Colour::of(frame).kind(), Kind::Gray | Kind::Yuv) {
            return None;
        }
        // SAFETY: descriptors are static tables, null for formats without one.
        let descriptor = unsafe { ffi::av_pix_fmt_desc_get(frame.format().into()).as_ref() }?;
        if descriptor.flags & ffi::AV_PIX_FMT_FLAG_HWACCEL as u64 != 0 {
            return None;
        }
        let luma = descriptor.comp.first().filter(|luma| luma.plane == 0)?;
        let place = Self {
            offset: usize::try_from(luma.offset).ok()?,
            step: usize::try_from(luma.step).ok()?,
            shift: u32::try_from(luma.shift).ok()?,
            depth: u32::try_from(luma.depth).ok()?,
            big_endian: descriptor.flags & ffi::AV_PIX_FMT_FLAG_BE as u64 != 0,
        };
        let fits = (8..=16).contains(&place.depth) && place.depth + place.shift <= 16;
        (fits && place.step > 0).then_some(place)
    }
}

/// The luma of a frame in 8 bit, one row after the other. Samples of more bits are divided by the
/// power of two between the depths and rounded: that is what ITU-R BT.709-6, 4.6 and BT.2020-2,
/// table 5 make of the same brightness in 8 bit.
/// `None`: the frame has no luma, or libswscale has to find it.
pub(super) fn in_8_bit(frame: &ffmpeg::frame::Video) -> Option<Vec<u8>> {
    // SAFETY: the frame is valid. Frames that stand on their head have a negative row length.
    if unsafe { (*frame.as_ptr()).linesize[0] } <= 0 {
        return None;
    }
    let Place { offset, step, shift, depth, big_endian } = Place::of(frame)?;
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let mut out = Vec::with_capacity(width * height);
    let (mask, excess) = (u16::MAX >> (16 - depth), depth - 8);
    let half = (1 << excess) >> 1;
    // In 16 bit, which is eight at once in SIMD code.
    let reduced = |coded: u16| {
        let sample = coded >> shift & mask;
        (sample.saturating_add(half) >> excess).min(255) as u8
    };
    for row in frame.data(0).chunks(frame.stride(0)).take(height) {
        let samples = row.get(offset..).unwrap_or_default();
        if depth + shift <= 8 {
            let bytes = samples.iter().step_by(step).take(width);
            out.extend(bytes.map(|&byte| reduced(u16::from(byte))));
        } else if step == 2 && !big_endian {
            // Most streams of more than 8 bits; a loop that becomes SIMD instructions.
            let (pairs, _) = samples.as_chunks::<2>();
            let pairs = pairs.get(..width).unwrap_or(pairs);
            out.extend(pairs.iter().map(|&pair| reduced(u16::from_le_bytes(pair))));
        } else {
            let read = if big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
            let pairs = samples.chunks(step).filter_map(|chunk| chunk.first_chunk::<2>());
            out.extend(pairs.take(width).map(|&pair| reduced(read(pair))));
        }
    }
    (out.len() == width * height).then_some(out)
}
