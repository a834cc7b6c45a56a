//! libavcodec, with the record's number travelling through it in place of a timestamp.
//!
//! A packet's `pts` is the one value that every decoder of libavcodec carries to the frame that
//! it makes of it, through reordering, delay and frame threads. So the record's number is the
//! `pts`; real presentation times never enter the decoder.

use std::sync::Arc;
use std::time::Duration;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::capabilities::Capabilities;

use super::complaints::Complaints;
use super::coverage::{Coverage, is_whole};
use super::open::{DecoderError, Fidelity, Open, Terms};
use crate::record::{MAX_OVERTAKEN, Seq};
use crate::video::packet::{Codec, Content, Inspection, ParameterSets, lengths_to_start_codes};

/// The `pts` of access units that belong to no record.
const SILENT: i64 = -1;

/// A frame as it came out of the decoder.
pub struct Decoded {
    /// The record whose frame it is; `None` for one that was fed silently.
    pub seq: Option<Seq>,
    /// The frame, in libavcodec's own buffers.
    pub frame: ffmpeg::frame::Video,
    /// libavcodec had to invent parts of it, or has left some out.
    pub damaged: bool,
}

/// Whether an access unit went into the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WasSent {
    /// It did.
    Yes,
    /// It did not: it is left out, or comes from somewhere else.
    No,
}

/// One camera's decoder. It is opened when it is first needed: that of H.264 takes 750 KiB, which a
/// camera that passes its records through can do without.
pub struct Decoder {
    terms: Terms,
    threads: usize,
    open: Option<Open>,
    /// Units went in since the last flush, so pictures may be inside.
    fed: bool,
    /// NAL units that came without a picture, for the next access unit.
    headers: Vec<u8>,
    sets: ParameterSets,
    /// Some of the sets never went into libavcodec's decoder.
    are_sets_untold: bool,
    /// See [`Self::expect_reordering`].
    reorders: i32,
    /// The number of the frame that went in last; its second field may follow.
    latest: i64,
    /// What threads used that are gone, and was not asked for yet.
    unasked: Duration,
}

/// The most bytes of NAL units that are kept for the next picture; parameter sets take hundreds.
const MAX_HEADER_BYTES: usize = 64 * 1024;

impl Decoder {
    /// A decoder that is still to be opened. `threads` above 1 decode several pictures at once,
    /// each a frame later.
    #[must_use]
    pub fn new(codec: Codec, threads: usize, fidelity: Fidelity) -> Self {
        let coverage = Coverage::of(codec).map(Arc::new);
        Self {
            terms: Terms { codec, fidelity, max_pixels: i64::MAX, coverage },
            threads,
            open: None,
            fed: false,
            headers: Vec::new(),
            sets: ParameterSets::default(),
            are_sets_untold: false,
            reorders: 0,
            latest: SILENT,
            unasked: Duration::ZERO,
        }
    }

    /// The same, and refuses pictures of more pixels: a stream's own headers say how large it is,
    /// and libavcodec would believe gigabytes of a record of a hundred bytes.
    #[must_use]
    pub fn at_most(self, max_pixels: u64) -> Self {
        let max_pixels = i64::try_from(max_pixels).unwrap_or(i64::MAX);
        Self { terms: Terms { max_pixels, ..self.terms }, ..self }
    }

    /// As [`Self::new`], and opens it.
    ///
    /// # Errors
    /// When libavcodec can't open it.
    pub fn open(codec: Codec, threads: usize, fidelity: Fidelity) -> Result<Self, DecoderError> {
        let mut decoder = Self::new(codec, threads, fidelity);
        decoder.open_if_needed()?;
        Ok(decoder)
    }

    /// Opens it, unless it is open.
    ///
    /// # Errors
    /// When libavcodec can't.
    pub fn open_if_needed(&mut self) -> Result<(), DecoderError> {
        if self.open.is_none() {
            self.open = Some(Open::new(&self.terms, self.threads, self.reorders)?);
            self.are_sets_untold = true;
        }
        Ok(())
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How many threads decode, once it is open.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// How many access units it takes before it says what became of one. `None`: it is a library of
    /// its own whose threads nobody knows.
    #[must_use]
    pub fn delay(&self) -> Option<usize> {
        if self.threads == 1 {
            return Some(0);
        }
        // SAFETY: the context is open.
        let active =
            self.open.as_ref().map(|it| unsafe { (*it.context.as_ptr()).active_thread_type });
        let has_frame_threads = active.is_some_and(|kind| kind & ffmpeg::ffi::FF_THREAD_FRAME != 0);
        match has_frame_threads {
            true => Some(self.threads - 1),
            false if self.terms.codec.has_threads_of_its_own() => None,
            false => Some(0),
        }
    }

    /// Notes the parameter sets in an access unit, which pictures behind it may need, however far.
    pub fn learn(&mut self, data: &[u8], was_sent: WasSent) {
        if let Some(coverage) = &self.terms.coverage {
            coverage.learn(data);
        }
        let is_news = self.sets.learn(self.terms.codec, data);
        self.are_sets_untold |= is_news && was_sent == WasSent::No;
    }

    /// The parameter sets so far, in Annex B; `None`: there are none, or too many to be kept.
    #[must_use]
    pub fn parameter_sets(&self) -> Option<Arc<[u8]>> {
        self.sets.all()
    }

    /// The parameter sets without which an access unit and those behind it can't be decoded, unless
    /// it brings them all along.
    #[must_use]
    pub fn parameter_sets_missing_in(&self, data: &[u8]) -> Option<Arc<[u8]>> {
        if self.sets.are_in(self.terms.codec, data) {
            None
        } else {
            self.sets.needed(self.terms.codec)
        }
    }

    /// Whether [`Self::reopen`] could give it other threads: libavcodec has to know how to decode
    /// several pictures at once, and all that the stream has said so far has to be known.
    #[must_use]
    pub fn can_reopen(&self) -> bool {
        let capabilities = self.terms.codec.decoder().capabilities();
        capabilities.contains(Capabilities::FRAME_THREADS) && !self.sets.are_too_many()
    }

    /// Decodes with so many threads from here on. It must be empty, as behind [`Self::restart`],
    /// and a key frame must come next.
    ///
    /// # Errors
    /// When libavcodec can't open another decoder; then it is as before.
    pub fn reopen(&mut self, threads: usize) -> Result<(), DecoderError> {
        if self.open.is_some() {
            let open = Open::new(&self.terms, threads, self.has_b_frames().max(self.reorders))?;
            self.unasked = self.workers_cpu().unwrap_or_default();
            self.open = Some(open);
            self.are_sets_untold = true;
        }
        self.threads = threads;
        Ok(())
    }

    /// CPU time of its own threads since this was asked last. `None`: it has some, and libavcodec
    /// does not tell which.
    pub fn workers_cpu(&mut self) -> Option<Duration> {
        let before = std::mem::take(&mut self.unasked);
        match self.open.as_ref().and_then(|open| open.buffers.as_ref()?.workers.as_ref()) {
            None => Some(before),
            Some(workers) => {
                // Decoders of other libraries may have threads that libavcodec does not know
                // either.
                let are_others = self.terms.codec.has_threads_of_its_own();
                (!are_others).then(|| before + workers.cpu_since_last())
            }
        }
    }

    /// Has it hold back at least so many frames, because of a stream that does not say how many. It
    /// would else lose some while it finds that out.
    pub fn expect_reordering(&mut self, frames: u8) {
        // With several threads it has to know before it is opened, and then it may hold one too
        // many.
        let frames = i32::from(if self.threads > 1 { frames.max(2) } else { frames });
        if frames <= self.reorders {
            return;
        }
        self.reorders = frames;
        let Some(open) = &mut self.open else { return };
        if self.threads == 1 {
            // SAFETY: the context is ours. libavcodec looks at it with each picture that comes.
            unsafe {
                let context = open.context.as_mut_ptr();
                (*context).has_b_frames = (*context).has_b_frames.max(frames);
            }
        } else if !self.fed {
            // It was open before; if it can't be opened again, it goes on as it is.
            let _ = self.reopen(self.threads);
        }
    }

    /// Feeds the access unit of record `seq`; of no record, when only later pictures need it.
    ///
    /// # Errors
    /// When libavcodec refuses it. Frames that it makes before are still to be received.
    pub fn send(
        &mut self,
        seq: Option<Seq>,
        data: &[u8],
        inspection: Inspection,
    ) -> Result<(), DecoderError> {
        self.open_if_needed()?;
        if std::mem::take(&mut self.are_sets_untold)
            && let Some(sets) = self.sets.all()
        {
            self.headers.splice(..0, sets.iter().copied());
        }
        let mut packet = ffmpeg::Packet::new(self.headers.len() + data.len());
        if self.terms.codec.is_still() {
            // libavcodec adds PNG pictures without this to the one before.
            packet.set_flags(ffmpeg::codec::packet::Flags::KEY);
        }
        let number = seq.and_then(|seq| i64::try_from(seq).ok()).unwrap_or(SILENT);
        packet.set_pts(Some(number));
        if inspection.content != Content::Continuation {
            self.latest = number;
        }
        if let Some(whole) = packet.data_mut() {
            let (headers, unit) = whole.split_at_mut(self.headers.len());
            headers.copy_from_slice(&self.headers);
            unit.copy_from_slice(data);
            if inspection.length_prefixed {
                lengths_to_start_codes(unit);
            }
        }
        if let (Some(coverage), Some(whole)) = (&self.terms.coverage, packet.data()) {
            coverage.learn(whole);
        }
        self.headers.clear();
        let Some(open) = &mut self.open else { return Ok(()) };
        self.fed = true;
        // SAFETY: the context is ours.
        unsafe {
            Complaints::number_next(open.context.as_mut_ptr(), self.latest);
        }
        open.context.send_packet(&packet).map_err(DecoderError::Broken)
    }

    /// Feeds what holds no picture: parameter sets, a hidden frame. Nothing will come of it.
    pub fn send_without_picture(&mut self, data: &[u8], inspection: Inspection) {
        if !self.terms.codec.has_nal_units() {
            // Whether it is broken shows in the frames that need it.
            let _ = self.send(None, data, inspection);
            return;
        }
        // Alone, libavcodec would take them and report the missing frame as an error.
        if self.headers.len() + data.len() > MAX_HEADER_BYTES {
            self.headers.clear();
            self.are_sets_untold = true;
        }
        let before = self.headers.len();
        self.headers.extend_from_slice(data.get(..MAX_HEADER_BYTES).unwrap_or(data));
        if inspection.length_prefixed
            && let Some(added) = self.headers.get_mut(before..)
        {
            lengths_to_start_codes(added);
        }
    }

    /// The next frame that is ready, in presentation order.
    ///
    /// # Errors
    /// When a packet sent before turns out to be broken.
    pub fn receive(&mut self) -> Result<Option<Decoded>, DecoderError> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let mut frame = ffmpeg::frame::Video::empty();
        match open.context.receive_frame(&mut frame) {
            Ok(()) => {}
            Err(ffmpeg::Error::Eof) => return Ok(None),
            Err(ffmpeg::Error::Other { errno }) if errno == ffmpeg::error::EAGAIN => {
                return Ok(None);
            }
            Err(error) => return Err(DecoderError::Broken(error)),
        }
        // SAFETY: the frame is valid and was filled by libavcodec.
        let errors = unsafe { (*frame.as_ptr()).decode_error_flags };
        let is_complained_of =
            open.complaints().is_some_and(|it| it.take(frame.pts().unwrap_or(SILENT)));
        let damaged = is_complained_of || errors != 0 || frame.is_corrupt() || !is_whole(&frame);
        let seq = frame.pts().and_then(|pts| u64::try_from(pts).ok());
        Ok(Some(Decoded { seq, frame, damaged }))
    }

    /// No more access units: the frames inside come out next, and then [`Decoder::restart`].
    pub fn finish(&mut self) {
        if let Some(open) = &mut self.open
            && self.fed
        {
            // It only fails when it was told before.
            let _ = open.context.send_eof();
        }
    }

    /// As [`Self::restart`], behind damage. Of H.264 it is another decoder that goes on:
    /// libavcodec's keeps what was left of a macroblock that it could not decode, and adds it to
    /// the next one.
    pub fn restart_after_damage(&mut self) {
        self.restart();
        if self.terms.codec.id() == ffmpeg::codec::Id::H264 {
            self.unasked = self.workers_cpu().unwrap_or_default();
            self.reorders = self.reorders.max(self.has_b_frames());
            self.open = None;
        }
    }

    /// By how many frames it reorders now.
    fn has_b_frames(&self) -> i32 {
        // SAFETY: the context is open.
        self.open.as_ref().map_or(0, |open| unsafe { (*open.context.as_ptr()).has_b_frames })
    }

    /// Forgets all frames, but not the parameter sets; a key frame comes next.
    pub fn restart(&mut self) {
        if let Some(open) = &mut self.open
            && std::mem::take(&mut self.fed)
        {
            open.context.flush();
            if let Some(complaints) = open.complaints() {
                complaints.clear();
            }
            // Decoders of AV1 forget their sequence header, those of NAL units do not.
            self.are_sets_untold |= !self.terms.codec.has_nal_units();
        }
    }

    /// How often a frame may be overtaken and still come out.
    #[must_use]
    pub fn most_overtaken(&self) -> u32 {
        let has_b_frames = self.open.as_ref().is_some_and(|open| open.context.has_b_frames());
        if self.terms.codec.reorders() && has_b_frames { MAX_OVERTAKEN } else { 0 }
    }
}
