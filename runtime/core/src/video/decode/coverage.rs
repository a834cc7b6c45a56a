//! Whether all of a picture was decoded.
//!
//! Where a slice is missing, libavcodec leaves what the buffer held before, mostly an older
//! picture, and says nothing of it. So a mark is put into each coding tree block before the picture
//! is decoded, and looked for behind it: a block in which it still stands was never decoded, or is
//! a copy of one that was not.

use std::sync::atomic::{AtomicU32, Ordering};

use ffmpeg_next::{ffi, frame};

use crate::video::packet::{Codec, block_size};

/// The smallest coding tree block (ITU-T H.265, section 7.4.3.2.1).
const SMALLEST_BLOCK: u32 = 16;

/// Luma samples of two lines, as of 8 bits. No picture has such; and whatever libavcodec does to a
/// block that it did not decode, it does to one that it takes for a smooth one.
const MARK: [[u8; SAMPLES]; 2] = [[250, 6, 6, 250], [6, 250, 128, 6]];
const SAMPLES: usize = 4;
/// Where the mark begins in a block, across and down: it ends within the smallest part of a block
/// that a picture can have at its edge (8 × 8), and no deblocking of a block beside it comes so
/// close.
const INSET: usize = 4;
/// By so much, of 8 bits, the sample adaptive offset of a block beside it may change each sample
/// (section 7.4.9.3.2).
const TOLERANCE: u16 = 8;

/// Marks the pictures of one decoder.
#[derive(Debug)]
pub(crate) struct Coverage {
    /// How far the marks are from each other.
    block: AtomicU32,
}

/// How a picture is marked; it travels in the frame's `opaque`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    width: u16,
    height: u16,
    block: u8,
    /// Bits of a sample.
    depth: u8,
}

impl Coverage {
    /// `None`: of this codec, libavcodec itself tells what it did not decode, or it has no slices.
    pub fn of(codec: Codec) -> Option<Self> {
        let is_h265 = codec.id() == ffmpeg_next::codec::Id::HEVC;
        is_h265.then(|| Self { block: AtomicU32::new(SMALLEST_BLOCK) })
    }

    /// Notes of which size blocks are, by the parameter sets in an access unit. Until then they are
    /// taken for the smallest.
    pub fn learn(&self, data: &[u8]) {
        if let Some(block) = block_size(data) {
            self.block.store(block.clamp(SMALLEST_BLOCK, 128), Ordering::Relaxed);
        }
    }

    /// Marks a picture that is yet to be decoded.
    ///
    /// # Safety
    /// It must be a frame of libavcodec in this format, with buffers that nobody else uses.
    pub unsafe fn mark(&self, frame: *mut ffi::AVFrame, format: ffi::AVPixelFormat) {
        // SAFETY: the caller's.
        let Some(frame) = (unsafe { frame.as_mut() }) else { return };
        frame.opaque = std::ptr::null_mut();
        let Some(depth) = depth(format) else { return };
        let Ok(block) = u8::try_from(self.block.load(Ordering::Relaxed)) else { return };
        let (Ok(width), Ok(height)) = (frame.width.try_into(), frame.height.try_into()) else {
            return;
        };
        let marks = Marks { width, height, block, depth };
        let Some(Luma { data, length, stride }) = Luma::of(frame, height) else { return };
        if frame.data[0] != data {
            return;
        }
        // SAFETY: the buffer has at least so many bytes, and is the caller's alone.
        let luma = unsafe { std::slice::from_raw_parts_mut(data, length) };
        let sample = marks.sample_bytes();
        for y in marks.places(height) {
            for (line, mark) in (y..).zip(marks.bytes()) {
                let Some(line) = luma.get_mut(line * stride..(line + 1) * stride) else { return };
                for x in marks.places(width) {
                    let place = line.get_mut(x * sample..(x + SAMPLES) * sample);
                    if let Some(place) = place
                        && let Some(mark) = mark.get(..place.len())
                    {
                        place.copy_from_slice(mark);
                    }
                }
            }
        }
        frame.opaque = std::ptr::without_provenance_mut(marks.packed());
    }
}

/// Whether all blocks of a frame were decoded. One that was not marked is taken for whole.
pub(crate) fn is_whole(frame: &frame::Video) -> bool {
    // SAFETY: the frame is valid.
    let frame = unsafe { &*frame.as_ptr() };
    let Some(marks) = Marks::unpacked(frame.opaque.addr()) else { return true };
    // It is looked at where it was marked, whatever of it is shown.
    let Some(Luma { data, length, stride }) = Luma::of(frame, marks.height) else { return true };
    // SAFETY: the buffer has at least so many bytes, and libavcodec does not write to a frame that
    // it has given out.
    let luma = unsafe { std::slice::from_raw_parts(data, length) };
    let (sample, bytes) = (marks.sample_bytes(), marks.bytes());
    for y in marks.places(marks.height) {
        let lines = [y, y + 1].map(|y| luma.get(y * stride..(y + 1) * stride).unwrap_or_default());
        for x in marks.places(marks.width) {
            let mut all = lines.iter().zip(&bytes);
            let stands = all.all(|(line, mark)| {
                let place = line.get(x * sample..(x + SAMPLES) * sample).unwrap_or_default();
                marks.are_alike(place, mark)
            });
            if stands {
                return false;
            }
        }
    }
    true
}

impl Marks {
    fn packed(self) -> usize {
        let [w, v] = self.width.to_be_bytes();
        let [h, i] = self.height.to_be_bytes();
        u64::from_be_bytes([0, 0, w, v, h, i, self.block, self.depth]) as usize
    }

    fn unpacked(packed: usize) -> Option<Self> {
        let [_, _, w, v, h, i, block, depth] = (packed as u64).to_be_bytes();
        let (width, height) = (u16::from_be_bytes([w, v]), u16::from_be_bytes([h, i]));
        (block > 0).then_some(Self { width, height, block, depth })
    }

    fn sample_bytes(self) -> usize {
        if self.depth > 8 { 2 } else { 1 }
    }

    /// Where marks begin, in one direction.
    fn places(self, size: u16) -> impl Iterator<Item = usize> {
        let fits = usize::from(size).saturating_sub(INSET);
        (INSET..fits + 1).step_by(self.block.into())
    }

    /// The mark's two lines, as they stand in memory.
    fn bytes(self) -> [[u8; 2 * SAMPLES]; 2] {
        MARK.map(|line| {
            let mut bytes = [0; 2 * SAMPLES];
            if self.depth > 8 {
                for (place, sample) in bytes.chunks_exact_mut(2).zip(line) {
                    place.copy_from_slice(&(u16::from(sample) << (self.depth - 8)).to_ne_bytes());
                }
            } else {
                for (place, sample) in bytes.iter_mut().zip(line) {
                    *place = sample;
                }
            }
            bytes
        })
    }

    fn are_alike(self, place: &[u8], mark: &[u8]) -> bool {
        if place.is_empty() {
            return false;
        }
        if self.depth > 8 {
            let tolerance = TOLERANCE << (self.depth - 8);
            let samples = |bytes: &[u8]| {
                let pairs = bytes.chunks_exact(2).filter_map(<[u8]>::first_chunk::<2>);
                let mut samples = [0; SAMPLES];
                for (sample, &pair) in samples.iter_mut().zip(pairs) {
                    *sample = u16::from_ne_bytes(pair);
                }
                samples
            };
            let (place, mark) = (samples(place), samples(mark));
            place.iter().zip(mark).all(|(&sample, mark)| sample.abs_diff(mark) <= tolerance)
        } else {
            let mut pairs = place.iter().zip(mark);
            pairs.all(|(sample, &mark)| u16::from(sample.abs_diff(mark)) <= TOLERANCE)
        }
    }
}

/// Bits of a luma sample, where it has a plane of its own in memory.
fn depth(format: ffi::AVPixelFormat) -> Option<u8> {
    // SAFETY: it takes any format, and returns null for what it does not know.
    let described = unsafe { ffi::av_pix_fmt_desc_get(format).as_ref() }?;
    let luma = described.comp[0];
    let depth = u8::try_from(luma.depth).ok().filter(|depth| (8..=16).contains(depth))?;
    let is_plain = luma.shift == 0 && luma.offset == 0 && luma.plane == 0;
    let is_alone = luma.step == if depth > 8 { 2 } else { 1 };
    let is_in_memory =
        described.flags & u64::from(ffi::AV_PIX_FMT_FLAG_HWACCEL.unsigned_abs()) == 0;
    (is_plain && is_alone && is_in_memory).then_some(depth)
}

/// The luma plane from the beginning of its buffer.
struct Luma {
    data: *mut u8,
    length: usize,
    /// Bytes of a line.
    stride: usize,
}

impl Luma {
    fn of(frame: &ffi::AVFrame, height: u16) -> Option<Self> {
        // SAFETY: a frame's buffers live as long as it does.
        let buffer = unsafe { frame.buf[0].as_ref() }?;
        let stride = usize::try_from(frame.linesize[0]).ok().filter(|&stride| stride > 0)?;
        let length = stride * usize::from(height);
        let is_whole = !buffer.data.is_null() && length <= buffer.size;
        is_whole.then_some(Self { data: buffer.data, length, stride })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Decoded, Decoder, Fidelity, WasSent};
    use super::*;
    use crate::video::clips::{self, Clip};
    use crate::video::packet::{Content, Inspection};

    /// The numbers of those that come out, whether they are whole, and what is seen.
    fn decoded(
        units: &[Vec<u8>],
        threads: usize,
        fidelity: Fidelity,
    ) -> Vec<(usize, bool, Vec<u8>)> {
        let h265 = Codec::from_name("h265").unwrap();
        let mut decoder = Decoder::open(h265, threads, fidelity).unwrap();
        let mut pictures = Vec::new();
        let mut note = |decoded: Decoded| {
            let (stride, width) = (decoded.frame.stride(0), decoded.frame.plane_width(0) as usize);
            let samples =
                width * if depth(decoded.frame.format().into()) > Some(8) { 2 } else { 1 };
            let lines = decoded.frame.data(0).chunks(stride);
            let lines = lines.take(decoded.frame.plane_height(0) as usize);
            let seen = lines.flat_map(|line| line[..samples].to_vec()).collect();
            pictures.push((decoded.seq.unwrap() as usize, !decoded.damaged, seen));
        };
        for (seq, unit) in (0..).zip(units) {
            if seq == 0 {
                decoder.learn(unit, WasSent::Yes);
            }
            let _ = decoder.send(Some(seq), unit, Inspection::of(Content::Picture));
            while let Ok(Some(decoded)) = decoder.receive() {
                note(decoded);
            }
        }
        decoder.finish();
        while let Ok(Some(decoded)) = decoder.receive() {
            note(decoded);
        }
        pictures.sort_unstable();
        pictures
    }

    fn clips() -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
        let clip = |size, pixels, encoder: &str| {
            let units = clips::h265(&Clip { size, pixels, frames: 8, encoder }).0;
            (format!("{size} {pixels} {encoder}"), units)
        };
        [
            clip("320:240", "yuv420p", "slices=4:ctu=32:bframes=3:keyint=8"),
            clip("328:200", "yuv420p", "slices=3:ctu=64:bframes=0"),
            clip("318:236", "yuv420p", "slices=5:ctu=16:bframes=2:b-adapt=0"),
            clip("318:236", "yuv420p10le", "slices=4:ctu=32:bframes=3"),
        ]
        .into_iter()
    }

    #[test]
    fn a_picture_of_which_a_slice_is_lost_is_not_whole_and_all_others_are() {
        for (name, units) in clips() {
            let mut losses = 0;
            for (threads, fidelity) in [(1, Fidelity::Exact), (3, Fidelity::Fast)] {
                let whole = decoded(&units, threads, fidelity);
                assert_eq!(whole.len(), units.len());
                assert!(whole.iter().all(|it| it.1), "{name}");
                for (number, unit) in units.iter().enumerate() {
                    let parts = clips::nal_units(unit);
                    let slices: Vec<_> =
                        (0..parts.len()).filter(|&it| clips::is_slice(&parts[it])).collect();
                    for &lost in slices.iter().skip(1) {
                        let mut parts = parts.clone();
                        parts.remove(lost);
                        let mut damaged = units.clone();
                        damaged[number] = clips::annexb_of(&parts);
                        let found = decoded(&damaged, threads, fidelity);
                        assert_eq!(found.len(), whole.len());
                        assert!(!found[number].1, "{name}: part {lost} of {number}");
                        let same = found.iter().zip(&whole).filter(|(found, it)| found.2 == it.2);
                        assert!({ same }.all(|(found, _)| found.1), "{name}: {lost} of {number}");
                        losses += 1;
                    }
                }
            }
            assert!(losses >= 16, "{name}: {losses} slices");
        }
    }

    #[test]
    fn how_a_picture_is_marked_fits_into_a_pointer() {
        let marks = Marks { width: 8192, height: 4320, block: 64, depth: 10 };
        assert_eq!(Marks::unpacked(marks.packed()), Some(marks));
        assert_eq!(Marks::unpacked(0), None);
    }
}
