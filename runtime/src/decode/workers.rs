//! The CPU time of the threads with which libavcodec decodes several pictures at once.
//!
//! They are libavcodec's own, and it does not tell which. But each asks for a buffer for every picture
//! that it begins, in a callback that is ours: there it is noted, with its clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ffmpeg_next::codec::Context;
use ffmpeg_next::ffi;

/// The threads of one decoder.
#[derive(Debug)]
pub(super) struct Workers {
    /// The thread that feeds the decoder; it is none of them, whatever it does.
    feeder: libc::pthread_t,
    threads: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    thread: libc::pthread_t,
    clock: libc::clockid_t,
    /// Its CPU time when it was looked at last.
    seen: Duration,
}

impl Workers {
    /// The threads of a decoder that is to be opened with them, and fed by the calling thread. They must
    /// be kept for as long as it is open.
    pub fn of(context: &mut Context) -> Arc<Self> {
        // SAFETY: it asks for nothing but the thread's name.
        let feeder = unsafe { libc::pthread_self() };
        let workers = Arc::new(Self { feeder, threads: Mutex::default() });
        // SAFETY: the context is ours, and not open yet. libavcodec hands `opaque` on to the callback
        // and does nothing else with it.
        unsafe {
            let context = context.as_mut_ptr();
            (*context).opaque = Arc::as_ptr(&workers).cast_mut().cast();
            (*context).get_buffer2 = Some(get_buffer);
        }
        workers
    }

    /// CPU time that they used since this was asked last.
    pub fn cpu_since_last(&self) -> Duration {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let used = threads.iter_mut().map(|worker| {
            let now = cpu(worker.clock).unwrap_or(worker.seen);
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
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.iter().any(|worker| worker.thread == thread) {
            return;
        }
        let mut clock = 0;
        // SAFETY: the thread runs, since it is this one; the clock lives until the call returns.
        if unsafe { libc::pthread_getcpuclockid(thread, &raw mut clock) } == 0 {
            threads.push(Worker { thread, clock, seen: Duration::ZERO });
        }
    }
}

/// Gives a picture its buffers, as libavcodec would by itself.
unsafe extern "C" fn get_buffer(
    context: *mut ffi::AVCodecContext,
    frame: *mut ffi::AVFrame,
    flags: libc::c_int,
) -> libc::c_int {
    // SAFETY: libavcodec's contexts have the `opaque` that `of` has set, and are closed before it is
    // dropped; all else is passed on as it came.
    unsafe {
        let workers = (*context).opaque.cast::<Workers>().as_ref();
        if let Some(workers) = workers {
            workers.note_this_thread();
        }
        ffi::avcodec_default_get_buffer2(context, frame, flags)
    }
}

fn cpu(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is that of a thread which libavcodec ends when the decoder is closed; one that
    // is gone is an error. `time` lives until the call returns.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    Some(Duration::new(seconds, nanos))
}
