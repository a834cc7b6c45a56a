//! The planes of a decoded frame, and regions of them.

use std::ptr;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;

use super::colour::full_range_twin;
use super::view::Rect;

/// Planes that lie one behind the other: of each its bytes and its stride.
pub(crate) type Layout = [(usize, usize); 3];

/// Planes to read from.
pub(crate) struct PlaneSource {
    pub data: [*const u8; 4],
    pub strides: [i32; 4],
    pub format: Pixel,
}

impl PlaneSource {
    pub fn of(frame: &ffmpeg::frame::Video) -> Self {
        // SAFETY: the frame is valid; its first four planes are all that video formats have.
        let (data, strides) = unsafe {
            let raw = &*frame.as_ptr();
            let [d0, d1, d2, d3, ..] = raw.data;
            let [s0, s1, s2, s3, ..] = raw.linesize;
            ([d0.cast_const(), d1.cast_const(), d2.cast_const(), d3.cast_const()], [s0, s1, s2, s3])
        };
        // What its samples mean, `Colour` says.
        let format = full_range_twin(frame.format()).unwrap_or_else(|| frame.format());
        Self { data, strides, format }
    }

    /// Planes that were written.
    pub fn of_layout(written: &[u8], layout: Layout, format: Pixel) -> Self {
        let mut source = Self { data: [ptr::null(); 4], strides: [0; 4], format };
        let mut rest = written;
        let places = source.data.iter_mut().zip(&mut source.strides);
        for ((room, row), (data, stride)) in layout.into_iter().zip(places) {
            let (plane, behind) = rest.split_at(room.min(rest.len()));
            *data = plane.as_ptr();
            *stride = i32::try_from(row).unwrap_or(i32::MAX);
            rest = behind;
        }
        source
    }

    /// The planes from the region's top left corner on. With subsampled chroma, the corner is that
    /// of the chroma sample it lies in.
    /// `None`: the format's pixels can't be addressed one by one.
    pub fn cropped(&self, region: Rect) -> Option<[*const u8; 4]> {
        if (region.x, region.y) == (0, 0) {
            return Some(self.data);
        }
        // SAFETY: descriptors are static tables, null for formats without one.
        let descriptor = unsafe { ffi::av_pix_fmt_desc_get(self.format.into()).as_ref() };
        let descriptor = descriptor?;
        let unaddressable = ffi::AV_PIX_FMT_FLAG_PAL | ffi::AV_PIX_FMT_FLAG_BITSTREAM;
        if descriptor.flags & unaddressable as u64 != 0 {
            return None;
        }
        let mut data = self.data;
        for (plane, (pointer, stride)) in data.iter_mut().zip(self.strides).enumerate() {
            if pointer.is_null() {
                continue;
            }
            let chroma = (plane == 1 || plane == 2) && u32::from(descriptor.nb_components) > 2;
            let (shift_x, shift_y) =
                if chroma { (descriptor.log2_chroma_w, descriptor.log2_chroma_h) } else { (0, 0) };
            let align = |value: u32, shift: u8| (value >> shift) as usize;
            let step = descriptor.comp.iter().take(usize::from(descriptor.nb_components));
            let step = step.filter(|c| c.plane == plane as i32).map(|c| c.step).next().unwrap_or(1);
            // An odd corner would shift luma against chroma by a pixel.
            let (x, y) = (
                region.x >> descriptor.log2_chroma_w << descriptor.log2_chroma_w,
                region.y >> descriptor.log2_chroma_h << descriptor.log2_chroma_h,
            );
            let offset = align(y, shift_y) as isize * stride as isize
                + (align(x, shift_x) * usize::try_from(step).unwrap_or(1)) as isize;
            *pointer = pointer.wrapping_offset(offset);
        }
        Some(data)
    }
}
