//! Damage of which libavcodec before version 7.0 tells its log alone.
//!
//! Its decoder of H.264 notes in a picture that parts of it could not be decoded. Where several
//! threads decode, each has a copy of every picture, made when the one before had hardly begun; a
//! picture that is reordered comes out of another thread than the one that decoded it, and what is
//! noted there comes too late for that copy. Lines of the log come from the thread that decodes, and
//! before the picture does: they are read in place of what is noted.

use std::ffi::CStr;
use std::sync::Once;

use ffmpeg_next::ffi;
use nix::libc::{c_char, c_int, c_void};
use parking_lot::Mutex;

use super::buffers::Buffers;

/// How lines begin that tell of parts that could not be decoded, in versions 4.4 to 6.1:
/// `decode_slice` in `h264_slice.c`, and `ff_er_frame_end` in `error_resilience.c`.
const LINES: [&[u8]; 2] = [b"error while decoding MB ", b"concealing "];

/// So many are remembered: more than a decoder holds.
const REMEMBERED: usize = 128;

/// The damaged frames of one decoder, by the number with which their access units went in.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Vec<i64>>);

impl Complaints {
    /// Those of a decoder that is to be opened; `None`: its frames say by themselves what is damaged.
    /// The log is read from the first one on.
    pub fn heard() -> Option<Self> {
        if cfg!(ffmpeg_7_0) {
            return None;
        }
        static READ_LOG: Once = Once::new();
        // SAFETY: the callback takes whatever libavcodec hands to it, from any thread.
        READ_LOG.call_once(|| unsafe { ffi::av_log_set_callback(Some(read_line)) });
        Some(Self::default())
    }

    /// Sees to it that the access unit that goes in next is known by this number where it is
    /// decoded.
    ///
    /// # Safety
    /// It must be a context of libavcodec.
    #[cfg_attr(ffmpeg_7_0, expect(unused_variables))]
    pub unsafe fn number_next(context: *mut ffi::AVCodecContext, number: i64) {
        // SAFETY: the caller's. The field went with version 7.0.
        #[cfg(not(ffmpeg_7_0))]
        unsafe {
            (*context).reordered_opaque = number;
        }
    }

    /// Whether this frame is damaged; it is asked once.
    pub fn take(&self, number: i64) -> bool {
        let mut damaged = self.0.lock();
        let before = damaged.len();
        damaged.retain(|&found| found != number);
        damaged.len() < before
    }

    /// The decoder is empty.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    fn note(&self, number: i64) {
        let mut damaged = self.0.lock();
        if damaged.len() == REMEMBERED {
            damaged.remove(0);
        }
        damaged.push(number);
    }
}

/// Reads a line of libavcodec's log, and hands it on to where it would have gone.
unsafe extern "C" fn read_line<Arguments>(
    from: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: Arguments,
) {
    type Callback<Arguments> = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, Arguments);
    // SAFETY: libavutil hands over a format, and an object that begins with a pointer to its class,
    // or null. The callback of its own has the type that it asks for, in which `Arguments`, a
    // `va_list`, is named otherwise for each kind of machine.
    unsafe {
        let line = CStr::from_ptr(format).to_bytes();
        if LINES.iter().any(|begins| line.starts_with(begins))
            && let Some(class) = from.cast::<*const ffi::AVClass>().as_ref()
            && std::ptr::eq(*class, ffi::avcodec_get_class())
        {
            let context = from.cast::<ffi::AVCodecContext>();
            if let Some(complaints) = Buffers::of(context).and_then(|it| it.complaints.as_ref()) {
                #[cfg(not(ffmpeg_7_0))]
                complaints.note((*context).reordered_opaque);
                #[cfg(ffmpeg_7_0)]
                let _ = complaints;
            }
        }
        let own = ffi::av_log_default_callback as *const ();
        std::mem::transmute::<*const (), Callback<Arguments>>(own)(from, level, format, arguments);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Decoder, Fidelity};
    use crate::video::clips;
    use crate::video::packet::{Codec, Inspector};

    /// Of each access unit whose frame comes out, whether that is said to be damaged.
    fn damaged(units: &[Vec<u8>], threads: usize) -> BTreeMap<u64, bool> {
        let h264 = Codec::from_name("h264").unwrap();
        let mut inspector = Inspector::new(h264);
        let mut decoder = Decoder::open(h264, threads, Fidelity::Exact).unwrap();
        let mut frames = BTreeMap::new();
        let mut receive = |decoder: &mut Decoder| {
            while let Ok(Some(decoded)) = decoder.receive() {
                frames.insert(decoded.seq.unwrap(), decoded.damaged);
            }
        };
        for (seq, unit) in (0..).zip(units) {
            let _ = decoder.send(Some(seq), unit, inspector.inspect(unit).unwrap());
            receive(&mut decoder);
        }
        decoder.finish();
        receive(&mut decoder);
        frames
    }

    #[test]
    fn damage_shows_however_many_threads_decode() {
        // Large frames, that take longer to decode than the next one takes to come.
        let picture = "testsrc2=size=960x540:rate=25,noise=alls=20:allf=t";
        for order in ["bframes=2:b-adapt=0:ref=2", "bframes=2:b-adapt=0:tff=1:ref=2"] {
            let units = clips::h264(picture, &format!("qp=20:scenecut=0:{order}"), 12);
            for cut in [3, 4, 9] {
                let mut units = units.clone();
                let length = units[cut].len() * 3 / 5;
                units[cut].truncate(length);
                let alone = damaged(&units, 1);
                assert!(alone[&(cut as u64)], "{order}: {cut}");
                for threads in [2, 4] {
                    let found = damaged(&units, threads);
                    assert!(found[&(cut as u64)], "{order}: {cut} with {threads} threads");
                    assert_eq!(found.len(), alone.len());
                }
            }
        }
    }
}
