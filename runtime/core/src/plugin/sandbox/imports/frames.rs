//! The interface `frames`: a plugin's view of the frames it was called with.

use std::ops::Range;
use std::sync::Arc;

use wasmtime::component::{ComponentType, Linker, Lower, Resource};
use wasmtime::{StoreContextMut, Trap};

use super::context::{Caller, CallerOf};
use crate::plugin::sandbox::bindings::FrameHandle;
use crate::plugin::sandbox::bindings::comux::plugin::frames::{
    self, Host, HostFrame, LumaStats, ReadError,
};
use crate::plugin::sandbox::bindings::comux::plugin::types::{
    self, ColourMatrix, ColourRange, FrameFormat, FrameInfo, Header, PixelFormat, Pixels, View,
};
use crate::plugin::sandbox::frame_view::LentFrame;
use crate::policy::Grant;
use crate::record::ResultHeader;
use crate::video::frame::{self, Frame, Matrix, Range as LumaRange, Rect, Scaler};

/// As in `wit/`.
pub(super) const NAME: &str = "frames";
/// Every plugin gets it.
pub(super) const NEEDS: Option<Grant> = None;

/// Bytes of a buffer that is kept whether it is needed or not.
const LEAST_BUFFER: usize = 1024 * 1024;

/// As [`Pixels`], but lowered from a buffer that is shared instead of copied.
#[derive(ComponentType, Lower)]
#[component(record)]
struct SharedPixels {
    width: u32,
    height: u32,
    format: PixelFormat,
    data: Arc<Vec<u8>>,
}

/// What is kept of the call under way, and what one leaves to the next.
#[derive(Default)]
pub(crate) struct State {
    /// The frames of the call under way, …
    frames: Vec<LentFrame>,
    /// … and the handle that stands for the first of them. Each call has others than the one
    /// before.
    first_handle: u32,
    scaler: Scaler,
    /// The buffer that pixels are lowered from; reused as soon as the call has copied it.
    pixels: Arc<Vec<u8>>,
}

impl State {
    /// A call begins, with these frames. Returns the handles that stand for them.
    pub fn lend(&mut self, frames: impl IntoIterator<Item = LentFrame>) -> Range<u32> {
        self.frames.extend(frames);
        let count = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        self.first_handle..self.first_handle.wrapping_add(count)
    }

    /// The call is over: its frames are given back.
    pub fn take_back(&mut self) -> impl Iterator<Item = LentFrame> {
        let most_read = self.frames.iter().map(|frame| frame.bytes_read).max().unwrap_or_default();
        let needed = usize::try_from(most_read).unwrap_or(usize::MAX);
        if self.pixels.capacity() / 4 > needed.max(LEAST_BUFFER) {
            // One huge read must not be paid for as long as the instance lives.
            self.pixels = Arc::default();
            self.scaler.free_buffers();
        }
        let count = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        self.first_handle = self.first_handle.wrapping_add(count);
        self.frames.drain(..)
    }

    /// Where the frame of a handle is.
    fn position(&self, handle: &Resource<FrameHandle>) -> usize {
        handle.rep().wrapping_sub(self.first_handle) as usize
    }

    fn lent(&self, handle: &Resource<FrameHandle>) -> wasmtime::Result<&LentFrame> {
        self.frames.get(self.position(handle)).ok_or_else(call_is_over)
    }

    fn lent_mut(&mut self, handle: &Resource<FrameHandle>) -> wasmtime::Result<&mut LentFrame> {
        let position = self.position(handle);
        self.frames.get_mut(position).ok_or_else(call_is_over)
    }
}

fn call_is_over() -> wasmtime::Error {
    wasmtime::format_err!("a frame was asked after the call that it was lent for")
}

pub(super) fn link<T: 'static>(
    linker: &mut Linker<T>,
    caller: fn(&mut T) -> Caller<'_, State>,
) -> wasmtime::Result<()> {
    frames::add_to_linker::<T, CallerOf<State>>(linker, caller)?;
    // A function that shares, in the place of the generated one that copies.
    linker.allow_shadowing(true);
    linker.instance("comux:plugin/frames@0.1.0")?.func_wrap(
        "[method]frame.read",
        move |mut store: StoreContextMut<'_, T>, (frame, want): (Resource<FrameHandle>, View)| {
            Ok((caller(store.data_mut()).read_shared(&frame, want)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

impl Caller<'_, State> {
    fn frame(&self, handle: &Resource<FrameHandle>) -> wasmtime::Result<&Frame> {
        Ok(&self.state.lent(handle)?.frame)
    }

    fn read_shared(
        &mut self,
        handle: &Resource<FrameHandle>,
        want: View,
    ) -> wasmtime::Result<Result<SharedPixels, ReadError>> {
        let (clock, position) = (&self.context.clock, self.state.position(handle));
        let State { frames, scaler, pixels, .. } = &mut *self.state;
        let lent = frames.get_mut(position).ok_or_else(call_is_over)?;
        // Only the plugin's own copy is left by now, so this never clones.
        let out = Arc::make_mut(pixels);
        let budget = lent.most_read - lent.bytes_read;
        let read = lent.frame.read(view(want), budget, scaler, out, || clock.has_run_out());
        Ok(match read {
            Ok((width, height)) => {
                lent.bytes_read += out.len() as u64;
                let data = Arc::clone(pixels);
                Ok(SharedPixels { width, height, format: want.format, data })
            }
            Err(frame::ReadError::Unsupported(why)) => Err(ReadError::Unsupported(why)),
            Err(frame::ReadError::TooLarge(bytes)) => Err(ReadError::TooLarge(bytes)),
            Err(frame::ReadError::GivenUp) => return Err(Trap::Interrupt.into()),
        })
    }
}

fn view(want: View) -> frame::View {
    let format = match want.format {
        PixelFormat::Gray8 => frame::PixelFormat::Gray8,
        PixelFormat::Rgb24 => frame::PixelFormat::Rgb24,
        PixelFormat::Bgr24 => frame::PixelFormat::Bgr24,
        PixelFormat::Rgba32 => frame::PixelFormat::Rgba32,
        PixelFormat::I420 => frame::PixelFormat::I420,
        PixelFormat::Nv12 => frame::PixelFormat::Nv12,
    };
    let region =
        want.region.map(|types::Rect { x, y, width, height }| Rect { x, y, width, height });
    frame::View { region, size: want.size, format }
}

fn format(frame: &Frame) -> FrameFormat {
    let (colour, display) = (frame.colour(), frame.display());
    FrameFormat {
        range: match colour.range {
            LumaRange::Limited => ColourRange::Limited,
            LumaRange::Full => ColourRange::Full,
        },
        range_stated: colour.is_range_stated,
        matrix: match colour.matrix {
            Matrix::Bt601 => ColourMatrix::Bt601,
            Matrix::Bt709 => ColourMatrix::Bt709,
            Matrix::Bt2020 => ColourMatrix::Bt2020,
            Matrix::Fcc => ColourMatrix::Fcc,
            Matrix::Smpte240m => ColourMatrix::Smpte240m,
            Matrix::Rgb => ColourMatrix::Rgb,
            Matrix::Other => ColourMatrix::Other,
        },
        matrix_stated: colour.is_matrix_stated,
        bit_depth: colour.bit_depth,
        rotation: display.rotation,
        mirrored: display.mirrored,
        sample_aspect_ratio: display.pixel_aspect,
    }
}

impl Host for Caller<'_, State> {}

impl HostFrame for Caller<'_, State> {
    fn info(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<FrameInfo> {
        let lent = self.state.lent(&frame)?;
        let info = lent.frame.info();
        Ok(FrameInfo {
            sequence: info.seq,
            pts_us: info.pts_us,
            recorded_at_us: info.recorded_at_us,
            width: lent.frame.width(),
            height: lent.frame.height(),
            keyframe: info.keyframe,
            discontinuity: lent.discontinuity,
        })
    }

    fn format(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<FrameFormat> {
        Ok(format(self.frame(&frame)?))
    }

    fn camera(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<String> {
        Ok(self.state.lent(&frame)?.camera.to_string())
    }

    fn tenant(&mut self, _: Resource<FrameHandle>) -> wasmtime::Result<String> {
        Ok(self.context.owner.tenant.to_string())
    }

    fn read(
        &mut self,
        frame: Resource<FrameHandle>,
        want: View,
    ) -> wasmtime::Result<Result<Pixels, ReadError>> {
        let read = self.read_shared(&frame, want)?;
        Ok(read.map(|SharedPixels { width, height, format, data }| Pixels {
            width,
            height,
            format,
            data: data.to_vec(),
        }))
    }

    fn luma(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<LumaStats> {
        let frame::LumaStats { mean, stddev } = self.frame(&frame)?.luma_stats();
        Ok(LumaStats { mean, stddev })
    }

    fn histogram(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.frame(&frame)?.histogram().to_vec())
    }

    fn motion_grid(
        &mut self,
        frame: Resource<FrameHandle>,
        cols: u32,
        rows: u32,
    ) -> wasmtime::Result<Vec<u8>> {
        let lent = self.state.lent_mut(&frame)?;
        lent.wants_motion = true;
        let now = lent.frame.luma();
        let previous = lent.previous.as_ref();
        let grid =
            previous.and_then(|previous| frame::motion_grid(previous.luma(), now, cols, rows));
        Ok(grid.unwrap_or_default())
    }

    fn headers(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<Vec<Header>> {
        let headers = &self.state.lent(&frame)?.headers;
        let copy = |header: &ResultHeader| Header {
            name: header.name.clone(),
            value: header.value.clone(),
        };
        Ok(headers.iter().map(copy).collect())
    }

    fn drop(&mut self, _: Resource<FrameHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ffmpeg_next as ffmpeg;

    use super::*;
    use crate::plugin::sandbox::frame_view::FrameView;
    use crate::policy::Limits;
    use crate::video::frame::FrameFacts;

    fn lent(width: u32) -> LentFrame {
        let info = FrameFacts {
            seq: 7,
            pts_us: None,
            recorded_at_us: None,
            keyframe: true,
            discontinuity: false,
            decode_us: 0,
        };
        let frame = ffmpeg::frame::Video::new(ffmpeg::format::Pixel::GRAY8, width, 8);
        let frame = Arc::new(Frame::new(info, frame));
        FrameView::of("gate".into()).lend((frame, Vec::new()), &Limits::default())
    }

    #[test]
    fn a_handle_leads_to_the_frame_of_its_call_and_later_to_none() {
        let mut state = State::default();
        let handle = Resource::<FrameHandle>::new_borrow;
        let handles: Vec<u32> = state.lend([lent(8), lent(16)]).collect();
        assert_eq!(handles.len(), 2);
        assert_eq!(state.lent(&handle(handles[1])).unwrap().frame.width(), 16);
        assert_eq!(state.take_back().count(), 2);
        let next = state.lend([lent(32)]).start;
        assert_eq!(state.lent(&handle(next)).unwrap().frame.width(), 32);
        for old in handles {
            assert!(state.lent(&handle(old)).is_err());
        }
        assert!(state.lent(&handle(next + 1)).is_err());
    }
}
