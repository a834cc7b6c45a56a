//! What is done where libavcodec asks for the buffers of a frame that it is about to decode.

use std::sync::Arc;

use ffmpeg_next::codec::Context;
use ffmpeg_next::ffi;
use nix::libc;

use super::complaints::Complaints;
use super::coverage::Coverage;
use super::workers::Workers;

/// The callback of one decoder.
pub(super) struct Buffers {
    /// Notes which threads decode.
    pub workers: Option<Workers>,
    /// Marks what is to be decoded.
    pub coverage: Option<Arc<Coverage>>,
    /// Hears what is damaged.
    pub complaints: Option<Complaints>,
}

impl Buffers {
    /// Has a decoder that is to be opened call back. They must be kept for as long as it is open.
    pub fn serve(self, context: &mut Context) -> Arc<Self> {
        let buffers = Arc::new(self);
        // SAFETY: the context is ours, and not open yet. libavcodec hands `opaque` on to the
        // callback and does nothing else with it.
        unsafe {
            let context = context.as_mut_ptr();
            (*context).opaque = Arc::as_ptr(&buffers).cast_mut().cast();
            (*context).get_buffer2 = Some(get_buffer);
            // Without it, libavcodec before version 6.0 lets the feeder call back for its threads.
            #[cfg(not(ffmpeg_6_0))]
            {
                (*context).thread_safe_callbacks = 1;
            }
        }
        buffers
    }

    /// Those that serve a decoder, or one of its threads.
    ///
    /// # Safety
    /// It must be a context of libavcodec.
    pub unsafe fn of<'a>(context: *mut ffi::AVCodecContext) -> Option<&'a Self> {
        // SAFETY: who has our callback has what `serve` has set with it.
        unsafe {
            let callback = (*context).get_buffer2?;
            let is_ours = std::ptr::fn_addr_eq(callback, get_buffer as GetBuffer);
            if is_ours { (*context).opaque.cast::<Self>().as_ref() } else { None }
        }
    }
}

type GetBuffer =
    unsafe extern "C" fn(*mut ffi::AVCodecContext, *mut ffi::AVFrame, libc::c_int) -> libc::c_int;

/// Gives a frame its buffers, as libavcodec would by itself.
unsafe extern "C" fn get_buffer(
    context: *mut ffi::AVCodecContext,
    frame: *mut ffi::AVFrame,
    flags: libc::c_int,
) -> libc::c_int {
    // SAFETY: libavcodec's contexts have the `opaque` that `serve` has set, and are closed before
    // it is dropped; all else is passed on as it came. What a frame has just been given nobody
    // else uses.
    unsafe {
        let buffers = (*context).opaque.cast::<Buffers>().as_ref();
        if let Some(workers) = buffers.and_then(|buffers| buffers.workers.as_ref()) {
            workers.note_this_thread();
        }
        let result = ffi::avcodec_default_get_buffer2(context, frame, flags);
        if let Some(coverage) = buffers.and_then(|buffers| buffers.coverage.as_ref())
            && result >= 0
        {
            coverage.mark(frame, (*context).pix_fmt);
        }
        result
    }
}
