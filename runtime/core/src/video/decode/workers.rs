//! The CPU time of the threads with which libavcodec decodes several frames at once.
//!
//! They are libavcodec's own, and it does not tell which. But each asks for a buffer for every
//! frame that it begins, in a callback that is ours: there it is noted, with its clock.

use std::sync::Arc;
use std::time::Duration;

use ffmpeg_next::codec::Context;
use ffmpeg_next::ffi;
use nix::libc;
use parking_lot::Mutex;

use crate::sched::ThreadClock;

/// The threads of one decoder.
#[derive(Debug)]
pub(crate) struct Workers {
    /// The thread that feeds the decoder; it is none of them, whatever it does.
    feeder: libc::pthread_t,
    threads: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    thread: libc::pthread_t,
    clock: ThreadClock,
    /// Its CPU time when it was looked at last.
    seen: Duration,
}

impl Workers {
    /// The threads of a decoder that is to be opened with them, and fed by the calling thread. They
    /// must be kept for as long as it is open.
    pub fn of(context: &mut Context) -> Arc<Self> {
        // SAFETY: it asks for nothing but the thread's name.
        let feeder = unsafe { libc::pthread_self() };
        let workers = Arc::new(Self { feeder, threads: Mutex::default() });
        // SAFETY: the context is ours, and not open yet. libavcodec hands `opaque` on to the
        // callback and does nothing else with it.
        unsafe {
            let context = context.as_mut_ptr();
            (*context).opaque = Arc::as_ptr(&workers).cast_mut().cast();
            (*context).get_buffer2 = Some(get_buffer);
            // Without it, libavcodec before version 6.0 lets the feeder call back for its threads.
            #[cfg(not(ffmpeg_6_0))]
            {
                (*context).thread_safe_callbacks = 1;
            }
        }
        workers
    }

    /// CPU time that they used since this was asked last.
    pub fn cpu_since_last(&self) -> Duration {
        let mut threads = self.threads.lock();
        let used = threads.iter_mut().map(|worker| {
            let now = worker.clock.now().unwrap_or(worker.seen);
            now.saturating_sub(std::mem::replace(&mut worker.seen, now))
        });
        used.sum()
    }

    /// The calling thread is one of them.
    fn note_this_thread(&self) {
        // SAFETY: it asks for nothing but the thread's name.
        let thread = unsafe { libc::pthread_self() };
        if thread == self.feeder {
            return;
        }
        let mut threads = self.threads.lock();
        if threads.iter().any(|worker| worker.thread == thread) {
            return;
        }
        if let Some((clock, _)) = ThreadClock::of_this_thread() {
            threads.push(Worker { thread, clock, seen: Duration::ZERO });
        }
    }
}

/// Gives a frame its buffers, as libavcodec would by itself.
unsafe extern "C" fn get_buffer(
    context: *mut ffi::AVCodecContext,
    frame: *mut ffi::AVFrame,
    flags: libc::c_int,
) -> libc::c_int {
    // SAFETY: libavcodec's contexts have the `opaque` that `of` has set, and are closed before it
    // is dropped; all else is passed on as it came.
    unsafe {
        let workers = (*context).opaque.cast::<Workers>().as_ref();
        if let Some(workers) = workers {
            workers.note_this_thread();
        }
        ffi::avcodec_default_get_buffer2(context, frame, flags)
    }
}
