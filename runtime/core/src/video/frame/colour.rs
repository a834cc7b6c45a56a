//! What the numbers in a frame's planes mean: their range, and the matrix between them and red,
//! green and blue.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::color;
use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;

/// What black and white are in a plane of luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// 16 and 235 in 8 bit.
    Limited,
    /// 0 and 255 in 8 bit.
    Full,
}

/// How luma and chroma are made of red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the WIT describes each")]
pub enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
    Fcc,
    Smpte240m,
    /// There is none: the frame is of red, green and blue itself.
    Rgb,
    /// One that is not converted with.
    Other,
}

/// The meaning of a frame's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// As the stream says, else limited.
    pub range: Range,
    /// The stream says so.
    pub is_range_stated: bool,
    /// As the stream says, else by the size of the frame.
    pub matrix: Matrix,
    /// The stream says so.
    pub is_matrix_stated: bool,
    /// Bits of a luma sample, as it is coded.
    pub bit_depth: u8,
    /// The matrix that RGB is made with.
    used: Matrix,
    kind: Kind,
    pub(super) has_alpha: bool,
}

/// What a frame's planes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Luma alone.
    Gray,
    /// Luma and chroma.
    Yuv,
    /// Red, green and blue, or what libswscale takes for that.
    Rgb,
    /// The mosaic of a sensor, which libswscale converts in one way only.
    Sensor,
}

impl Colour {
    /// That of a frame.
    pub(super) fn of(frame: &ffmpeg::frame::Video) -> Self {
        let format = frame.format();
        // SAFETY: descriptors are static tables, null for formats without one.
        let descriptor = unsafe { ffi::av_pix_fmt_desc_get(format.into()).as_ref() };
        let has = |flag| descriptor.is_some_and(|found| found.flags & flag as u64 != 0);
        let components = descriptor.map_or(0, |found| found.nb_components);
        let bit_depth =
            descriptor.and_then(|found| found.comp.first()).map_or(8, |luma| luma.depth);
        let no_luma = ffi::AV_PIX_FMT_FLAG_RGB
            | ffi::AV_PIX_FMT_FLAG_PAL
            | ffi::AV_PIX_FMT_FLAG_BITSTREAM
            | ffi::AV_PIX_FMT_FLAG_FLOAT;
        let kind = match format {
            _ if has(ffi::AV_PIX_FMT_FLAG_BAYER) => Kind::Sensor,
            Pixel::XYZ12LE | Pixel::XYZ12BE => Kind::Rgb,
            _ if has(no_luma) => Kind::Rgb,
            _ if components > 2 => Kind::Yuv,
            _ => Kind::Gray,
        };
        let (range, is_range_stated) = match (kind, frame.color_range()) {
            (Kind::Rgb, _) | (Kind::Gray | Kind::Yuv, color::Range::JPEG) => (Range::Full, true),
            (Kind::Gray | Kind::Yuv, color::Range::MPEG) => (Range::Limited, true),
            (Kind::Yuv, _) if full_range_twin(format).is_some() => (Range::Full, true),
            _ => (Range::Limited, false),
        };
        let is_matrix_stated =
            kind == Kind::Rgb || frame.color_space() != color::Space::Unspecified;
        let matrix = match (kind, frame.color_space()) {
            (Kind::Rgb | Kind::Sensor, _) => Matrix::Rgb,
            (_, color::Space::BT470BG | color::Space::SMPTE170M) => Matrix::Bt601,
            (_, color::Space::BT709) => Matrix::Bt709,
            (_, color::Space::BT2020NCL) => Matrix::Bt2020,
            (_, color::Space::FCC) => Matrix::Fcc,
            (_, color::Space::SMPTE240M) => Matrix::Smpte240m,
            (_, color::Space::Unspecified) => customary(frame.width(), frame.height()),
            _ => Matrix::Other,
        };
        let used = match matrix {
            Matrix::Rgb => Matrix::Bt601,
            Matrix::Other => customary(frame.width(), frame.height()),
            stated => stated,
        };
        let has_alpha = has(ffi::AV_PIX_FMT_FLAG_ALPHA);
        let bit_depth = u8::try_from(bit_depth).unwrap_or(8);
        Self { range, is_range_stated, matrix, is_matrix_stated, bit_depth, used, kind, has_alpha }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The matrix that RGB is made with, as libswscale numbers it.
    pub(super) fn coefficients(&self) -> i32 {
        match self.used {
            Matrix::Bt709 => ffi::SWS_CS_ITU709,
            Matrix::Bt2020 => ffi::SWS_CS_BT2020,
            Matrix::Fcc => ffi::SWS_CS_FCC,
            Matrix::Smpte240m => ffi::SWS_CS_SMPTE240M,
            Matrix::Bt601 | Matrix::Rgb | Matrix::Other => ffi::SWS_CS_ITU601,
        }
    }
}

/// The matrix of a stream that does not say: players take pictures as large as those of HDTV for
/// BT.709 and smaller ones for BT.601. Where one ends is mpv's rule.
fn customary(width: u32, height: u32) -> Matrix {
    if width >= 1280 || height > 576 { Matrix::Bt709 } else { Matrix::Bt601 }
}

/// The format with the same planes as one that says by its name that its range is full.
pub(super) fn full_range_twin(format: Pixel) -> Option<Pixel> {
    Some(match format {
        Pixel::YUVJ411P => Pixel::YUV411P,
        Pixel::YUVJ420P => Pixel::YUV420P,
        Pixel::YUVJ422P => Pixel::YUV422P,
        Pixel::YUVJ440P => Pixel::YUV440P,
        Pixel::YUVJ444P => Pixel::YUV444P,
        _ => return None,
    })
}

impl Range {
    /// What each value of 8-bit luma is where black is 0 and white 255: of limited range
    /// (v - 16) · 255 / 219, as ITU-R BT.601-7, 2.5.3 and BT.709-6, 4.6 quantize it.
    pub(super) fn stretched(self) -> [u8; 256] {
        std::array::from_fn(|value| {
            let value = value as i32;
            let stretched = match self {
                Self::Full => value,
                Self::Limited => ((value - 16) * 255 + 219 / 2).div_euclid(219),
            };
            stretched.clamp(0, 255) as u8
        })
    }
}

#[cfg(test)]
mod tests;
