//! The planes of a decoded frame, and regions of them.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;

use super::view::Rect;

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
        let format = frame.format();
        Self { data, strides, format }
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
