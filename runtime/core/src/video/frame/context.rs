//! libswscale's context: what it converts from and to, and the conversion itself, band by band.

use std::ffi::CStr;
use std::ptr;

use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::Flags;

use super::bands::band_rows;
use super::colour::Range;
use super::planes::{Layout, PlaneSource};
use super::view::{ReadError, Rect};

/// What is converted to what. Where both sides have luma of one range, none is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conversion {
    pub from: (Pixel, Range),
    pub to: (Pixel, Range),
    /// Width and height wanted.
    pub size: (u32, u32),
    /// The matrix between luma and chroma, and red, green and blue, where it goes from one to the
    /// other; see [`ffi::sws_getCoefficients`].
    pub matrix: Option<i32>,
    /// Beside the way of scaling.
    pub flags: Flags,
}

/// libswscale's context. The last one is kept, since plugins ask for the same view again.
pub(super) struct Context {
    raw: *mut ffi::SwsContext,
    made_for: Option<(Conversion, (u32, u32))>,
    /// To compare with: everything in one band.
    #[cfg(test)]
    pub whole: bool,
}

// SAFETY: the context belongs to this value alone, and libswscale does not tie it to a thread.
unsafe impl Send for Context {}

impl Default for Context {
    fn default() -> Self {
        Self {
            raw: ptr::null_mut(),
            made_for: None,
            #[cfg(test)]
            whole: false,
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.free();
    }
}

impl Context {
    fn free(&mut self) {
        self.made_for = None;
        // SAFETY: null, or made by `sws_alloc_context` and freed once.
        unsafe { ffi::sws_freeContext(std::mem::replace(&mut self.raw, ptr::null_mut())) }
    }

    /// Makes it ready for a conversion from regions of this size. False: libswscale has none.
    fn prepare(&mut self, conversion: &Conversion, region: (u32, u32)) -> bool {
        if self.made_for == Some((*conversion, region)) {
            return true;
        }
        self.free();
        let Conversion { from, to, size, matrix, flags } = *conversion;
        let flags = i64::from((Flags::AREA | flags).bits());
        let number = |format: Pixel| i64::from(ffi::AVPixelFormat::from(format) as i32);
        let is_full = |range: Range| i32::from(range == Range::Full);
        let options: [(&CStr, i64); 9] = [
            (c"srcw", region.0.into()),
            (c"srch", region.1.into()),
            (c"src_format", number(from.0)),
            (c"src_range", is_full(from.1).into()),
            (c"dstw", size.0.into()),
            (c"dsth", size.1.into()),
            (c"dst_format", number(to.0)),
            (c"dst_range", is_full(to.1).into()),
            (c"sws_flags", flags),
        ];
        // SAFETY: the context is new and ours; null is looked for; names are C strings, and tables
        // of coefficients are static. Ranges are said before it is made ready, since it chooses its
        // way by them, and with a matrix there is no saying it without them.
        unsafe {
            self.raw = ffi::sws_alloc_context();
            if self.raw.is_null() {
                return false;
            }
            for (name, value) in options {
                if ffi::av_opt_set_int(self.raw.cast(), name.as_ptr(), value, 0) < 0 {
                    return false;
                }
            }
            if ffi::sws_init_context(self.raw, ptr::null_mut(), ptr::null_mut()) < 0 {
                return false;
            }
            if let Some(matrix) = matrix {
                let (table, unchanged) = (ffi::sws_getCoefficients(matrix), 1 << 16);
                ffi::sws_setColorspaceDetails(
                    self.raw,
                    table,
                    is_full(from.1),
                    table,
                    is_full(to.1),
                    0,
                    unchanged,
                    unchanged,
                );
            }
        }
        self.made_for = Some((*conversion, region));
        true
    }

    /// Converts a region into planes that `out` has room for. `is_over` is asked between bands
    /// whether to give up.
    pub fn convert(
        &mut self,
        (source, region): (&PlaneSource, Rect),
        conversion: &Conversion,
        (layout, out): (Layout, &mut [u8]),
        is_over: impl Fn() -> bool,
    ) -> Result<(), ReadError> {
        if !self.prepare(conversion, (region.width, region.height)) {
            let message = format!("libswscale can't convert from {:?}", source.format);
            self.free();
            return Err(ReadError::Unsupported(message));
        }
        let side = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let mut targets = [ptr::null_mut(); 4];
        let mut strides = [0; 4];
        let mut rest = out;
        for ((room, row), (target, stride)) in
            layout.into_iter().zip(targets.iter_mut().zip(&mut strides))
        {
            if room == 0 {
                continue;
            }
            let (plane, tail) = rest.split_at_mut(room);
            *target = plane.as_mut_ptr();
            *stride = i32::try_from(row).unwrap_or(i32::MAX);
            rest = tail;
        }
        let band = band_rows(source.format, region, conversion.size);
        #[cfg(test)]
        let band = if self.whole { region.height } else { band };
        let (mut row, mut lines) = (0, 0);
        while row < region.height {
            if is_over() {
                // What is half done must not be gone on with.
                self.free();
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
                    self.raw,
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
        if lines != side(conversion.size.1) {
            self.free();
            return Err(ReadError::Unsupported("libswscale could not scale the view".into()));
        }
        Ok(())
    }
}
