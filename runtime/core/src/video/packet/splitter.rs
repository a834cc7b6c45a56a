//! Cuts a stream of arbitrary chunks into access units, for `framing = "bytestream"`.
//!
//! libavcodec's parser does the cutting; this module keeps count of bytes, so that each access
//! unit is known by the chunk in which it begins.

use std::collections::VecDeque;

use ffmpeg_next::ffi;

use super::codec::Codec;
use crate::record::Seq;
use crate::video::packet::annexb;

/// Bytes of a stream in which no access unit ends, after which there is none: far more than the
/// largest picture.
const MAX_OPEN_BYTES: u64 = 16 * 1024 * 1024;
/// Likewise chunks, which may be empty: the largest picture in the packets of a transport stream.
const MAX_OPEN_CHUNKS: usize = 64 * 1024;

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
    codec: Codec,
    parser: *mut ffi::AVCodecParserContext,
    context: *mut ffi::AVCodecContext,
    /// Bytes of the stream that went into the parser, and that came out.
    fed: u64,
    given: u64,
    /// Where the next access unit begins.
    next_begin: u64,
    /// Where each chunk begins that an access unit to come may begin in.
    chunks: VecDeque<(u64, Option<Seq>)>,
    padded: Vec<u8>,
}

// SAFETY: both contexts belong to this value alone, and libavcodec ties neither to a thread.
unsafe impl Send for Splitter {}

/// libavcodec's parser for this codec; null if it has none.
fn new_parser(codec: Codec) -> *mut ffi::AVCodecParserContext {
    let id: ffi::AVCodecID = codec.id().into();
    // Before version 9 it takes a number.
    #[cfg(not(ffmpeg_9_0))]
    let id = id as i32;
    // SAFETY: it takes any codec id and returns null for what it does not know.
    unsafe { ffi::av_parser_init(id) }
}

impl Splitter {
    /// A parser for this codec. `None`: libavcodec can't find the pictures of such a stream.
    #[must_use]
    pub fn new(codec: Codec) -> Option<Self> {
        let parser = new_parser(codec);
        if parser.is_null() {
            return None;
        }
        // SAFETY: a null codec makes a context for no codec in particular.
        let context = unsafe { ffi::avcodec_alloc_context3(std::ptr::null()) };
        let mut splitter = Self {
            codec,
            parser,
            context,
            fed: 0,
            given: 0,
            next_begin: 0,
            chunks: VecDeque::new(),
            padded: Vec::new(),
        };
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
            position += used;
            // A unit that ended in the chunk before comes out without anything used of this one.
            if used == 0 && unit.is_none() {
                break;
            }
            units.extend(unit);
        }
        self.fed += chunk.len() as u64;
        units
    }

    /// The stream has ended, for now: gives out what is left as the last access unit.
    pub fn finish(&mut self) -> Option<Unit> {
        self.padded.clear();
        self.padded.resize(ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize, 0);
        let unit = self.parse(0, 0).1;
        // A flushed parser would take the next chunk for the middle of a unit.
        let fresh = new_parser(self.codec);
        if !fresh.is_null() {
            // SAFETY: it is ours, and nothing else knows of it.
            unsafe { ffi::av_parser_close(self.parser) }
            self.parser = fresh;
        }
        self.chunks.clear();
        self.given = self.fed;
        self.next_begin = self.fed;
        unit
    }

    /// Whether so much has come without the end of an access unit that there is none to come.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.fed - self.given > MAX_OPEN_BYTES || self.chunks.len() > MAX_OPEN_CHUNKS
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
        let (used, data) = unsafe {
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
            (used, (size > 0).then(|| std::slice::from_raw_parts(output, size).to_vec()))
        };
        let unit = data.map(|mut data| {
            // The parser gives out every byte that it takes, and its own `frame_offset` is off
            // where a start code lies across chunks.
            let mut begin = self.next_begin;
            self.given += data.len() as u64;
            // The H.265 parser leaves the first byte of a four-byte start code to the unit before.
            self.next_begin = self.given - u64::from(data.last() == Some(&0));
            // After a start in the middle of a unit, the first one begins with the end of another.
            if self.codec.has_nal_units()
                && let Some(lead) = annexb::first_start_code(&data)
            {
                data.drain(..lead);
                begin += lead as u64;
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::demux::MediaReader;

    /// However the stream is cut, each access unit comes out whole, known by the chunk in which its
    /// first byte lies.
    fn access_units_are_found(clip: &str) {
        let path = format!("{}/../../tests/media/{clip}", env!("CARGO_MANIFEST_DIR"));
        let mut reader = MediaReader::open(&path).expect("the clip");
        let codec = Codec::from_name(reader.codec).expect("its codec");
        let (mut stream, mut begins) = (Vec::new(), Vec::new());
        while let Some(packet) = reader.next_packet().expect("a packet") {
            begins.push(stream.len());
            stream.extend(packet.data);
        }
        begins.push(stream.len());
        for chunk_size in [1, 7, 60, 61, 1000, 100_000] {
            let mut splitter = Splitter::new(codec).expect("a parser");
            let mut units = Vec::new();
            for (seq, chunk) in (0..).zip(stream.chunks(chunk_size)) {
                units.extend(splitter.push(Some(seq), chunk));
            }
            units.extend(splitter.finish());
            assert_eq!(units.len() + 1, begins.len(), "{clip} in chunks of {chunk_size}");
            for (number, (unit, span)) in units.iter().zip(begins.windows(2)).enumerate() {
                let whole = &stream[span[0]..span[1]];
                assert!(
                    without_zeros(&unit.data) == without_zeros(whole),
                    "{clip}: unit {number} in chunks of {chunk_size}"
                );
                let seq = Some((span[0] / chunk_size) as Seq);
                assert_eq!(unit.seq, seq, "{clip}: unit {number} in chunks of {chunk_size}");
            }
        }
    }

    /// A zero between two units may count to either.
    fn without_zeros(mut unit: &[u8]) -> &[u8] {
        while let [0, rest @ ..] | [rest @ .., 0] = unit {
            unit = rest;
        }
        unit
    }

    #[test]
    fn after_an_end_the_stream_goes_on_with_its_units_in_their_own_chunks() {
        for clip in ["pedestrians-bframes.mp4", "pedestrians-hevc.mp4"] {
            let path = format!("{}/../../tests/media/{clip}", env!("CARGO_MANIFEST_DIR"));
            let mut reader = MediaReader::open(&path).expect("the clip");
            let codec = Codec::from_name(reader.codec).expect("its codec");
            let mut splitter = Splitter::new(codec).expect("a parser");
            // Each chunk is the end of a lost unit and a whole one, and the stream ends behind it.
            for seq in 0..40 {
                let packet = reader.next_packet().expect("a packet").expect("one more");
                let before = [0x55, 0x66, 0x77];
                let mut units = splitter.push(Some(2 * seq), &before);
                units.extend(splitter.push(Some(2 * seq + 1), &packet.data));
                units.extend(splitter.finish());
                let [unit] = &units[..] else { panic!("{clip}: {} units", units.len()) };
                assert!(without_zeros(&unit.data) == without_zeros(&packet.data), "{clip} {seq}");
                assert_eq!(unit.seq, Some(2 * seq + 1), "{clip}");
            }
        }
    }

    #[test]
    fn a_stream_in_which_nothing_ends_is_lost_before_it_fills_the_memory() {
        let h264 = Codec::from_name("h264").expect("h264");
        for (chunk, most) in [(&b""[..], MAX_OPEN_CHUNKS), (&[0x55; 1 << 20], 16)] {
            let mut splitter = Splitter::new(h264).expect("a parser");
            for seq in 0..most {
                splitter.push(Some(seq as Seq), chunk);
                assert!(!splitter.is_lost());
            }
            splitter.push(Some(most as Seq), chunk);
            assert!(splitter.is_lost());
            splitter.finish();
            assert!(!splitter.is_lost());
        }
    }

    #[test]
    fn access_units_of_h264_are_found() {
        access_units_are_found("pedestrians-bframes.mp4");
        access_units_are_found("pedestrians-lowdelay.mp4");
    }

    #[test]
    fn access_units_of_h265_are_found() {
        access_units_are_found("pedestrians-hevc.mp4");
    }
}
