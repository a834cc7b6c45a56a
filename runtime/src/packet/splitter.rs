//! Cuts a stream of arbitrary chunks into access units, for `framing = "bytestream"`.
//!
//! libavcodec's parser does the cutting; this module keeps count of bytes, so that each access
//! unit is known by the chunk in which it begins.

use std::collections::VecDeque;

use ffmpeg_next::ffi;

use super::codec::Codec;
use crate::ledger::Seq;

/// One access unit and the chunk in which its first byte lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The chunk's number; `None` for one that belongs to no record.
    pub seq: Option<Seq>,
    /// The whole access unit.
    pub data: Vec<u8>,
}

/// A parser of libavcodec, and the way back from a byte of the stream to its chunk.
pub struct Splitter {
    parser: *mut ffi::AVCodecParserContext,
    context: *mut ffi::AVCodecContext,
    /// Bytes of the stream that went into the parser.
    fed: u64,
    /// Where each chunk begins that an access unit to come may begin in.
    chunks: VecDeque<(u64, Option<Seq>)>,
    padded: Vec<u8>,
}

// SAFETY: both contexts belong to this value alone, and libavcodec ties neither to a thread.
unsafe impl Send for Splitter {}

impl Splitter {
    /// A parser for this codec. `None`: libavcodec can't find the pictures of such a stream.
    #[must_use]
    pub fn new(codec: Codec) -> Option<Self> {
        let id: ffi::AVCodecID = codec.id().into();
        // SAFETY: `av_parser_init` takes any codec id and returns null for what it does not know.
        let parser = unsafe { ffi::av_parser_init(id as i32) };
        if parser.is_null() {
            return None;
        }
        // SAFETY: a null codec makes a context for no codec in particular.
        let context = unsafe { ffi::avcodec_alloc_context3(std::ptr::null()) };
        let mut splitter =
            Self { parser, context, fed: 0, chunks: VecDeque::new(), padded: Vec::new() };
        if splitter.context.is_null() {
            return None;
        }
        splitter.chunks.reserve(8);
        Some(splitter)
    }

    /// Feeds the chunk `seq`; gives out the access units that it completes.
    pub fn push(&mut self, seq: Option<Seq>, chunk: &[u8]) -> Vec<Unit> {
        self.chunks.push_back((self.fed, seq));
        let mut units = Vec::new();
        self.padded.clear();
        self.padded.extend_from_slice(chunk);
        self.padded.resize(chunk.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize, 0);
        let mut position = 0;
        while position < chunk.len() {
            let (used, unit) = self.parse(position, chunk.len() - position);
            units.extend(unit);
            position += used;
            if used == 0 {
                break;
            }
        }
        self.fed += chunk.len() as u64;
        units
    }

    /// The stream has ended, for now: gives out what is left as the last access unit.
    pub fn finish(&mut self) -> Option<Unit> {
        self.padded.clear();
        self.padded.resize(ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize, 0);
        self.parse(0, 0).1
    }

    /// The first chunk in which an access unit to come may begin.
    #[must_use]
    pub fn earliest_open(&self) -> Option<Seq> {
        self.chunks.iter().find_map(|&(_, seq)| seq)
    }

    fn parse(&mut self, position: usize, length: usize) -> (usize, Option<Unit>) {
        let mut output = std::ptr::null_mut();
        let mut output_length = 0;
        let input = self.padded.get(position..).unwrap_or_default();
        // SAFETY: `input` holds `length` bytes and the padding that the parser may read beyond; the
        // output points into it or into the parser's own buffer, valid until the next call.
        let (used, data, begin) = unsafe {
            let used = ffi::av_parser_parse2(
                self.parser,
                self.context,
                &raw mut output,
                &raw mut output_length,
                input.as_ptr(),
                i32::try_from(length).unwrap_or(i32::MAX),
                ffi::AV_NOPTS_VALUE,
                ffi::AV_NOPTS_VALUE,
                -1,
            );
            let size = usize::try_from(output_length).unwrap_or(0);
            let data = (size > 0).then(|| std::slice::from_raw_parts(output, size).to_vec());
            (used, data, (*self.parser).frame_offset)
        };
        let begin = u64::try_from(begin).unwrap_or(0);
        let unit = data.map(|data| {
            // The next access unit begins behind this one, so earlier chunks are done with.
            while self.chunks.get(1).is_some_and(|&(start, _)| start <= begin) {
                self.chunks.pop_front();
            }
            let seq = self.chunks.front().and_then(|&(_, seq)| seq);
            Unit { seq, data }
        });
        (usize::try_from(used).unwrap_or(0), unit)
    }
}

impl Drop for Splitter {
    fn drop(&mut self) {
        // SAFETY: both were allocated in `new` and are freed once.
        unsafe {
            ffi::av_parser_close(self.parser);
            ffi::avcodec_free_context(&raw mut self.context);
        }
    }
}
