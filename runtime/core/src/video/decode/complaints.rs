//! Damage of which libavcodec before version 7.0 tells its log alone.
//!
//! Its decoder of H.264 notes in a picture that parts of it could not be decoded. Where several
//! threads decode, each has a copy of every picture, made when the one before had hardly begun; a
//! picture that is reordered comes out of another thread than the one that decoded it, and what is
//! noted there comes too late for that copy. Lines of the log come from the thread that decodes,
//! and before the picture does: they are read in place of what is noted.

use ffmpeg_next::ffi;
use parking_lot::Mutex;

/// How lines begin that tell of parts that could not be decoded, in versions 4.4 to 6.1:
/// `decode_slice` in `h264_slice.c`, and `ff_er_frame_end` in `error_resilience.c`.
const LINES: [&[u8]; 2] = [b"error while decoding MB ", b"concealing "];

/// So many are remembered: more than a decoder holds.
#[cfg(not(ffmpeg_7_0))]
const REMEMBERED: usize = 128;

/// The damaged frames of one decoder, by the number with which their access units went in.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Vec<i64>>);

impl Complaints {
    /// Those of a decoder; `None`: its frames say by themselves what is damaged.
    pub fn needed() -> Option<Self> {
        if cfg!(ffmpeg_7_0) { None } else { Some(Self::default()) }
    }

    /// The thread of this context has logged a line that begins like this.
    ///
    /// # Safety
    /// It must be a context of libavcodec.
    #[cfg_attr(ffmpeg_7_0, expect(unused_variables))]
    pub unsafe fn hear(&self, context: *mut ffi::AVCodecContext, line: &[u8]) {
        if LINES.iter().any(|begins| line.starts_with(begins)) {
            // SAFETY: the caller's.
            #[cfg(not(ffmpeg_7_0))]
            self.note(unsafe { (*context).reordered_opaque });
        }
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

    #[cfg(not(ffmpeg_7_0))]
    fn note(&self, number: i64) {
        let mut damaged = self.0.lock();
        if damaged.len() == REMEMBERED {
            damaged.remove(0);
        }
        damaged.push(number);
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
