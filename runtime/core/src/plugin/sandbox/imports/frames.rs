//! The interface `frames`: a plugin's view of the frames it was called with.

use std::sync::Arc;

use wasmtime::Trap;
use wasmtime::component::{ComponentType, Linker, Lower, Resource};

use crate::plugin::sandbox::bindings::FrameHandle;
use crate::plugin::sandbox::bindings::comux::plugin::frames::{
    Host, HostFrame, LumaStats, ReadError,
};
use crate::plugin::sandbox::bindings::comux::plugin::types;
use crate::plugin::sandbox::bindings::comux::plugin::types::{
    FrameInfo, Header, PixelFormat, Pixels, View,
};
use crate::plugin::sandbox::host_state::HostState;
use crate::video::frame;
use crate::video::frame::{Frame, Rect};

/// As [`Pixels`], but lowered from a buffer that is shared instead of copied.
#[derive(ComponentType, Lower)]
#[component(record)]
struct SharedPixels {
    width: u32,
    height: u32,
    format: PixelFormat,
    data: Arc<Vec<u8>>,
}

/// Puts a function that shares into the linker, in the place of the generated one that copies.
pub(crate) fn link_shared(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut frames = linker.instance("comux:plugin/frames@0.1.0")?;
    frames.func_wrap(
        "[method]frame.read",
        |mut store, (frame, want): (Resource<FrameHandle>, View)| {
            Ok((store.data_mut().read(&frame, want)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

impl HostState {
    fn picture(&self, frame: &Resource<FrameHandle>) -> wasmtime::Result<&Frame> {
        Ok(&self.lent(frame)?.picture)
    }

    fn read(
        &mut self,
        frame: &Resource<FrameHandle>,
        want: View,
    ) -> wasmtime::Result<Result<SharedPixels, ReadError>> {
        let (frame, clock, scaler, pixels) = self.reading(frame)?;
        // Only the plugin's own copy is left by now, so this never clones.
        let out = Arc::make_mut(pixels);
        let budget = frame.most_read - frame.bytes_read;
        let read = frame.picture.read(view(want), budget, scaler, out, || clock.has_run_out());
        Ok(match read {
            Ok((width, height)) => {
                frame.bytes_read += out.len() as u64;
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

impl Host for HostState {}

impl types::Host for HostState {}

impl HostFrame for HostState {
    fn info(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<FrameInfo> {
        let frame = self.lent(&frame)?;
        let info = frame.picture.info();
        Ok(FrameInfo {
            sequence: info.seq,
            pts_us: info.pts_us,
            recorded_at_us: info.recorded_at_us,
            width: frame.picture.width(),
            height: frame.picture.height(),
            keyframe: info.keyframe,
            discontinuity: frame.discontinuity,
        })
    }

    fn camera(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<String> {
        Ok(self.lent(&frame)?.camera.to_string())
    }

    fn tenant(&mut self, _: Resource<FrameHandle>) -> wasmtime::Result<String> {
        Ok(self.owner.tenant.to_string())
    }

    fn read(
        &mut self,
        frame: Resource<FrameHandle>,
        want: View,
    ) -> wasmtime::Result<Result<Pixels, ReadError>> {
        let read = HostState::read(self, &frame, want)?;
        Ok(read.map(|SharedPixels { width, height, format, data }| Pixels {
            width,
            height,
            format,
            data: data.to_vec(),
        }))
    }

    fn luma(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<LumaStats> {
        let frame::LumaStats { mean, stddev } = self.picture(&frame)?.luma_stats();
        Ok(LumaStats { mean, stddev })
    }

    fn histogram(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.picture(&frame)?.histogram().to_vec())
    }

    fn motion_grid(
        &mut self,
        frame: Resource<FrameHandle>,
        cols: u32,
        rows: u32,
    ) -> wasmtime::Result<Vec<u8>> {
        let (frame, ..) = self.reading(&frame)?;
        frame.wants_motion = true;
        let now = frame.picture.luma();
        let previous = frame.previous.as_ref();
        let grid =
            previous.and_then(|previous| frame::motion_grid(previous.luma(), now, cols, rows));
        Ok(grid.unwrap_or_default())
    }

    fn headers(&mut self, frame: Resource<FrameHandle>) -> wasmtime::Result<Vec<Header>> {
        let headers = &self.lent(&frame)?.headers;
        let copy = |header: &crate::record::ResultHeader| Header {
            name: header.name.clone(),
            value: header.value.clone(),
        };
        Ok(headers.iter().map(copy).collect())
    }

    fn drop(&mut self, _: Resource<FrameHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}
