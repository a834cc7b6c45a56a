//! What is done where libavcodec asks for the buffers of a frame that it is about to decode.

use std::ffi::CStr;
use std::sync::{Arc, Once};

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
        if self.complaints.is_some() {
            static READ_LOG: Once = Once::new();
            // SAFETY: the callback takes whatever libavcodec hands to it, from any thread.
            READ_LOG.call_once(|| unsafe { ffi::av_log_set_callback(Some(read_line)) });
        }
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
    unsafe fn of<'a>(context: *mut ffi::AVCodecContext) -> Option<&'a Self> {
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

/// Reads a line of libavcodec's log, and hands it on to where it would have gone.
unsafe extern "C" fn read_line<Arguments>(
    from: *mut libc::c_void,
    level: libc::c_int,
    format: *const libc::c_char,
    arguments: Arguments,
) {
    type Callback<Arguments> =
        unsafe extern "C" fn(*mut libc::c_void, libc::c_int, *const libc::c_char, Arguments);
    // SAFETY: libavutil hands over a format, and an object that begins with a pointer to its class,
    // or null. The callback of its own has the type that it asks for, in which `Arguments`, a
    // `va_list`, is named otherwise for each kind of machine.
    unsafe {
        if let Some(class) = from.cast::<*const ffi::AVClass>().as_ref()
            && std::ptr::eq(*class, ffi::avcodec_get_class())
            && let Some(buffers) = Buffers::of(from.cast())
            && let Some(complaints) = &buffers.complaints
        {
            complaints.hear(from.cast(), CStr::from_ptr(format).to_bytes());
        }
        let own = ffi::av_log_default_callback as *const ();
        std::mem::transmute::<*const (), Callback<Arguments>>(own)(from, level, format, arguments);
    }
}
