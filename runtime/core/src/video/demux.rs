//! Encoded packets of a file, device or URL, as cameras send them: H.264 and H.265 in Annex B with
//! parameter sets before key frames, everything else as the container has it.

use std::ptr;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::ffi;
use ffmpeg_next::media::Type;

/// A packet of video as it stands in the container.
#[derive(Debug, Clone)]
pub struct MediaPacket {
    /// One access unit.
    pub data: Vec<u8>,
    /// Presentation time in units of [`MediaReader::time_base`].
    pub pts: Option<i64>,
    /// Decoding time in the same units.
    pub dts: Option<i64>,
    /// No other packet is needed to decode it.
    pub keyframe: bool,
}

/// Reads the packets of a source's best video stream.
pub struct MediaReader {
    input: ffmpeg::format::context::Input,
    stream: usize,
    filter: BitstreamFilter,
    /// Seconds per unit of the packets' times, as a fraction.
    pub time_base: ffmpeg::Rational,
    /// The codec's name in libavcodec.
    pub codec: &'static str,
    /// The source's length in seconds, when it says so.
    pub duration: Option<f64>,
    /// How many packets the stream has, when it says so.
    pub packets: Option<u64>,
}

impl MediaReader {
    /// Opens whatever libavformat opens: a file, a device, an RTSP or HTTP URL.
    ///
    /// # Errors
    /// When it can't be opened or has no video.
    pub fn open(source: &str) -> Result<Self, ffmpeg::Error> {
        ffmpeg::init()?;
        // Capture devices look like files but need the driver that reads them.
        let input = if source.starts_with("/dev/video") {
            let driver = ffmpeg::device::input::video()
                .find(|format| format.name() == "video4linux2,v4l2")
                .ok_or(ffmpeg::Error::DemuxerNotFound)?;
            ffmpeg::format::open(source, &driver)?.input()
        } else {
            ffmpeg::format::input(source)?
        };
        let stream = input.streams().best(Type::Video).ok_or(ffmpeg::Error::StreamNotFound)?;
        let parameters = stream.parameters();
        let filter_name = match parameters.id() {
            ffmpeg::codec::Id::H264 => c"h264_mp4toannexb",
            ffmpeg::codec::Id::HEVC => c"hevc_mp4toannexb",
            _ => c"null",
        };
        let filter = BitstreamFilter::new(filter_name, &stream)?;
        let seconds = input.duration() as f64 / f64::from(ffi::AV_TIME_BASE);
        Ok(Self {
            stream: stream.index(),
            time_base: stream.time_base(),
            codec: parameters.id().name(),
            duration: (input.duration() > 0).then_some(seconds),
            packets: u64::try_from(stream.frames()).ok().filter(|&count| count > 0),
            filter,
            input,
        })
    }

    /// The time of a packet in seconds: when it is sent by a camera.
    #[must_use]
    pub fn seconds(&self, packet: &MediaPacket) -> Option<f64> {
        let time = packet.dts.or(packet.pts)?;
        Some(time as f64 * f64::from(self.time_base))
    }

    /// The next packet. `None`: the source has ended.
    ///
    /// # Errors
    /// When the source can't be read further.
    pub fn next_packet(&mut self) -> Result<Option<MediaPacket>, ffmpeg::Error> {
        loop {
            let mut packet = ffmpeg::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) => {}
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(error) => return Err(error),
            }
            if packet.stream() == self.stream {
                return self.filter.apply(packet).map(Some);
            }
        }
    }
}

/// A filter of libavcodec that turns one packet into one packet.
struct BitstreamFilter {
    context: *mut ffi::AVBSFContext,
}

// SAFETY: the context belongs to this value alone, and libavcodec does not tie it to a thread.
unsafe impl Send for BitstreamFilter {}

impl BitstreamFilter {
    fn new(name: &std::ffi::CStr, stream: &ffmpeg::Stream<'_>) -> Result<Self, ffmpeg::Error> {
        let mut context = ptr::null_mut();
        // SAFETY: the filter is looked up by name and checked; the parameters are copied from a
        // stream that is open.
        unsafe {
            let filter = ffi::av_bsf_get_by_name(name.as_ptr());
            if filter.is_null() {
                return Err(ffmpeg::Error::BsfNotFound);
            }
            check(ffi::av_bsf_alloc(filter, &raw mut context))?;
            let this = Self { context };
            let parameters = stream.parameters();
            check(ffi::avcodec_parameters_copy((*context).par_in, parameters.as_ptr()))?;
            (*context).time_base_in = stream.time_base().into();
            check(ffi::av_bsf_init(context))?;
            Ok(this)
        }
    }

    fn apply(&mut self, mut packet: ffmpeg::Packet) -> Result<MediaPacket, ffmpeg::Error> {
        use ffmpeg::packet::Mut;
        // SAFETY: both contexts are ours; the packet's contents move through the filter and back.
        unsafe {
            check(ffi::av_bsf_send_packet(self.context, packet.as_mut_ptr()))?;
            check(ffi::av_bsf_receive_packet(self.context, packet.as_mut_ptr()))?;
        }
        Ok(MediaPacket {
            data: packet.data().unwrap_or_default().to_vec(),
            pts: packet.pts(),
            dts: packet.dts(),
            keyframe: packet.is_key(),
        })
    }
}

impl Drop for BitstreamFilter {
    fn drop(&mut self) {
        // SAFETY: allocated by `av_bsf_alloc` and freed once.
        unsafe { ffi::av_bsf_free(&raw mut self.context) }
    }
}

fn check(code: i32) -> Result<(), ffmpeg::Error> {
    if code < 0 { Err(ffmpeg::Error::from(code)) } else { Ok(()) }
}
