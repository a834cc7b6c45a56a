//! Gray pictures to call a plugin with, swaps to put it through, and what it tells of itself, in
//! native tests.
//!
//! ```
//! use comux_sdk::testing::TestFrame;
//!
//! let before = TestFrame::gray(64, 36, |_, _| 20);
//! let picture = TestFrame::gray(64, 36, |x, _| if x < 32 { 20 } else { 120 }).after(&before);
//! assert_eq!(picture.frame().luma().mean, 70.0);
//! assert_eq!(picture.frame().motion_grid(2, 1), Some(vec![0, 100]));
//! ```

pub(crate) mod told;

pub use told::{Metrics, metrics};

pub use crate::native_frame::NativeFrame;
use crate::{
    ColourMatrix, ColourRange, Frame, FrameFormat, FrameInfo, Header, Headers, LumaStats,
    PixelFormat, Pixels, Plugin, PluginError, ReadError, Rect, Restored, StateError, Stateful,
    View, state,
};

/// Has a plugin analyse a frame, and looks at what it gives as the host does: the host refuses
/// results with a name that the plugin has not declared, and a test should not be the last to know.
///
/// # Errors
/// The plugin's own.
///
/// # Panics
/// When a header is not among [`Plugin::HEADERS`].
pub fn analyse<P: Plugin>(plugin: &mut P, frame: &Frame) -> Result<Headers, PluginError> {
    let headers = plugin.on_frame(frame)?;
    let undeclared = headers.names().find(|name| !P::HEADERS.contains(name));
    assert_eq!(undeclared, None, "the plugin writes a header that is not in its HEADERS");
    Ok(headers)
}

/// Hands over the memory of one plugin to another as the host does on a swap: by a snapshot.
///
/// # Errors
/// When the state can't be saved, or the successor refuses it.
pub fn hand_over<Before: Stateful, Successor: Stateful>(
    before: &Before,
    successor: &mut Successor,
) -> Result<Restored, StateError> {
    let saved = state::save(before, "0.0.0")?;
    state::restore(successor, &saved)
}

/// A gray picture that answers as the host would, with the mean over each target pixel's area
/// where the host scales by other filters.
#[derive(Debug, Clone)]
pub struct TestFrame {
    camera: String,
    info: FrameInfo,
    format: FrameFormat,
    luma: Vec<u8>,
    previous: Option<Vec<u8>>,
    headers: Vec<Header>,
}

impl TestFrame {
    /// How a picture is coded unless it is [said](Self::coded) otherwise: in full range, so that
    /// 0 is black and 255 white, and upright.
    pub const FORMAT: FrameFormat = FrameFormat {
        range: ColourRange::Full,
        range_stated: true,
        matrix: ColourMatrix::Bt601,
        matrix_stated: true,
        bit_depth: 8,
        rotation: 0,
        mirrored: false,
        sample_aspect_ratio: None,
    };

    /// A picture of `width` by `height` pixels whose luma at `x`, `y` is `luma(x, y)`; the first
    /// of camera `test` of tenant `test`.
    pub fn gray(width: u32, height: u32, luma: impl Fn(u32, u32) -> u8) -> Self {
        let luma = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| luma(x, y))
            .collect();
        Self {
            camera: "test".to_owned(),
            info: FrameInfo {
                sequence: 0,
                pts_us: Some(0),
                recorded_at_us: None,
                width,
                height,
                keyframe: true,
                discontinuity: false,
            },
            format: Self::FORMAT,
            luma,
            previous: None,
            headers: Vec::new(),
        }
    }

    /// Makes this the picture that follows `before`, 40 ms later.
    #[must_use]
    pub fn after(mut self, before: &TestFrame) -> Self {
        let same_size =
            self.info.width == before.info.width && self.info.height == before.info.height;
        self.info.sequence = before.info.sequence + 1;
        self.info.pts_us = before.info.pts_us.map(|pts| pts + 40_000);
        self.info.keyframe = false;
        self.info.discontinuity = !same_size;
        self.previous = same_size.then(|| before.luma.clone());
        self
    }

    /// Makes this a picture that its stream codes in this way.
    #[must_use]
    pub fn coded(mut self, format: FrameFormat) -> Self {
        self.format = format;
        self
    }

    /// Makes this a picture of the camera of this id.
    #[must_use]
    pub fn of(mut self, camera: &str) -> Self {
        camera.clone_into(&mut self.camera);
        self
    }

    /// Adds a header of the input record.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Header { name: name.to_owned(), value: value.into() });
        self
    }

    /// What a plugin is called with.
    pub fn frame(&self) -> Frame<'_> {
        Frame::native(self)
    }
}

impl NativeFrame for TestFrame {
    fn info(&self) -> FrameInfo {
        self.info
    }

    fn format(&self) -> FrameFormat {
        self.format
    }

    fn camera(&self) -> String {
        self.camera.clone()
    }

    fn tenant(&self) -> String {
        "test".to_owned()
    }

    fn headers(&self) -> Vec<Header> {
        self.headers.clone()
    }

    fn luma(&self) -> LumaStats {
        let count = self.luma.len().max(1) as f64;
        let mean = self.luma.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let squares = self.luma.iter().map(|&v| (f64::from(v) - mean).powi(2));
        LumaStats { mean, stddev: (squares.sum::<f64>() / count).sqrt() }
    }

    fn histogram(&self) -> Vec<u32> {
        let mut counts = vec![0; 256];
        for &value in &self.luma {
            if let Some(count) = counts.get_mut(usize::from(value)) {
                *count += 1;
            }
        }
        counts
    }

    fn motion_grid(&self, cols: u32, rows: u32) -> Vec<u8> {
        let Some(previous) = &self.previous else {
            return Vec::new();
        };
        let fits = |cells: u32, pixels: u32| cells > 0 && cells <= 256 && cells <= pixels;
        if !fits(cols, self.info.width) || !fits(rows, self.info.height) {
            return Vec::new();
        }
        let pairs = self.luma.iter().zip(previous);
        let differences: Vec<u8> = pairs.map(|(now, before)| now.abs_diff(*before)).collect();
        scale(&differences, self.info.width, self.whole(), cols, rows)
    }

    fn read(&self, view: View) -> Result<Pixels, ReadError> {
        let region = self.clip(view.region.unwrap_or(self.whole()));
        let (width, height) = view.size.unwrap_or((region.width, region.height));
        if region.width == 0 || region.height == 0 || width == 0 || height == 0 {
            return Err(ReadError::Unsupported("the view is empty".to_owned()));
        }
        let luma = scale(&self.luma, self.info.width, region, width, height);
        let neutral_chroma = 2 * (width.div_ceil(2) * height.div_ceil(2)) as usize;
        // From floating point, `as` rounds towards zero and stops at 0 and 255.
        let shown = |&v: &u8| self.format.normalised(f64::from(v)).round() as u8;
        let data = match view.format {
            PixelFormat::Gray8 => luma,
            PixelFormat::Rgb24 | PixelFormat::Bgr24 => {
                luma.iter().map(shown).flat_map(|v| [v; 3]).collect()
            }
            PixelFormat::Rgba32 => luma.iter().map(shown).flat_map(|v| [v, v, v, 255]).collect(),
            PixelFormat::I420 | PixelFormat::Nv12 => {
                let chroma = std::iter::repeat_n(128, neutral_chroma);
                luma.into_iter().chain(chroma).collect()
            }
        };
        Ok(Pixels { width, height, format: view.format, data })
    }
}

impl TestFrame {
    fn whole(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.info.width, height: self.info.height }
    }

    fn clip(&self, region: Rect) -> Rect {
        let x = region.x.min(self.info.width);
        let y = region.y.min(self.info.height);
        Rect {
            x,
            y,
            width: region.width.min(self.info.width - x),
            height: region.height.min(self.info.height - y),
        }
    }
}

/// The rounded mean over the area of each target pixel.
fn scale(plane: &[u8], stride: u32, region: Rect, width: u32, height: u32) -> Vec<u8> {
    let span = |i: u32, cells: u32, pixels: u32| {
        let edge = |i: u32| (u64::from(i) * u64::from(pixels) / u64::from(cells)) as usize;
        edge(i)..edge(i + 1).max(edge(i) + 1)
    };
    let cells = (0..height).flat_map(|row| (0..width).map(move |col| (col, row)));
    let means = cells.map(|(col, row)| {
        let columns = span(col, width, region.width);
        let mut sum = 0;
        let mut count = 0;
        for y in span(row, height, region.height) {
            let start = (region.y as usize + y) * stride as usize + region.x as usize;
            let line = plane.get(start + columns.start..start + columns.end);
            for &value in line.unwrap_or_default() {
                sum += u64::from(value);
                count += 1;
            }
        }
        ((sum + count / 2) / count.max(1)) as u8
    });
    means.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_crop_and_scale() {
        let picture = TestFrame::gray(4, 2, |x, y| (x * 10 + y) as u8);
        let right = Rect { x: 2, y: 0, width: 9, height: 9 };
        let read = picture.frame().read(View::gray8().region(right)).unwrap();
        assert_eq!((read.width, read.height), (2, 2));
        assert_eq!(read.data, [20, 30, 21, 31]);
        let read = picture.frame().read(View::gray8().size(2, 1)).unwrap();
        assert_eq!(read.data, [6, 26]);
        let outside = Rect { x: 4, ..right };
        assert!(picture.frame().read(View::gray8().region(outside)).is_err());
    }

    #[test]
    fn the_first_frame_has_no_motion_grid() {
        let picture = TestFrame::gray(8, 8, |_, _| 9);
        assert_eq!(picture.frame().motion_grid(2, 2), None);
        let next = TestFrame::gray(8, 8, |_, _| 10).after(&picture);
        assert_eq!(next.frame().motion_grid(2, 2), Some(vec![1; 4]));
        assert_eq!(next.frame().motion_grid(9, 2), None);
    }
}
