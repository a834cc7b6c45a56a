//! A record as a camera received it, and what its own headers say. It is a plain value that the
//! stages fill.
//!
//! What the frame path asks of a record is [`Input`], so that it takes packets of a file as well
//! (`super::playback`).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message, Timestamp};

use crate::kafka;
use crate::kafka::{GopStart, each_header};
use crate::record::{ResultHeader, Seq};
use crate::video::frame::FrameFacts;
use crate::video::packet::Inspection;

/// What the frame path asks of a record, and notes of it.
pub(crate) trait Input {
    /// The access unit, or a part of the stream.
    fn payload(&self) -> &[u8];

    /// When it was made, in microseconds since 1970.
    fn recorded_at_us(&self) -> Option<i64>;

    /// Its own headers, for plugins.
    fn headers(&self) -> Vec<ResultHeader>;

    /// Where it was read, as in `comux-source`.
    fn source(&self) -> String;

    fn progress(&self) -> &Progress;

    fn progress_mut(&mut self) -> &mut Progress;

    /// What is known of its frame beside the pixels. `seq`: its number.
    fn frame_facts(&self, seq: Seq) -> FrameFacts {
        let progress = self.progress();
        FrameFacts {
            seq,
            pts_us: progress.pts_us,
            recorded_at_us: self.recorded_at_us(),
            keyframe: progress.keyframe,
            discontinuity: progress.discontinuity,
            decode_us: progress.decode_us,
        }
    }
}

/// What is known of a record on its way.
pub(crate) struct Progress {
    /// When it came.
    pub at: Instant,
    pub decode_us: u64,
    pub keyframe: bool,
    /// So many frames come out of it before its own.
    pub superseded: u32,
    /// Frames are missing before the one that begins here.
    pub discontinuity: bool,
    pub pts_us: Option<i64>,
    /// What it holds, once it went into the decoder as a whole.
    pub sent: Option<Inspection>,
}

impl Progress {
    /// That of a record which comes now; `pts_us`: when its frame is shown.
    pub fn begin(pts_us: Option<i64>) -> Self {
        Self {
            at: Instant::now(),
            decode_us: 0,
            keyframe: false,
            superseded: 0,
            discontinuity: false,
            pts_us,
            sent: None,
        }
    }
}

/// A record of Kafka on its way through a camera.
pub(crate) struct InputRecord<'q> {
    pub message: BorrowedMessage<'q>,
    /// How often its topic was made again.
    pub times_made_again: u32,
    /// The latest place up to here at which decoding can begin again.
    pub gop_start: Option<Arc<GopStart>>,
    progress: Progress,
}

impl<'q> InputRecord<'q> {
    pub fn new(message: BorrowedMessage<'q>, times_made_again: u32) -> Self {
        let progress = Progress::begin(pts_us(message.headers()));
        Self { gop_start: None, message, times_made_again, progress }
    }
}

impl Input for InputRecord<'_> {
    fn payload(&self) -> &[u8] {
        self.message.payload().unwrap_or_default()
    }

    fn recorded_at_us(&self) -> Option<i64> {
        self.message.timestamp().to_millis().and_then(|millis| millis.checked_mul(1000))
    }

    fn source(&self) -> String {
        let message = &self.message;
        kafka::source(message.topic(), message.partition(), message.offset(), self.times_made_again)
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn progress_mut(&mut self) -> &mut Progress {
        &mut self.progress
    }

    /// Those without a value come with an empty one; those whose name is no text can't be told to a
    /// plugin.
    fn headers(&self) -> Vec<ResultHeader> {
        let own = |(name, value): (&[u8], Option<&[u8]>)| {
            let name = std::str::from_utf8(name).ok()?.to_owned();
            Some(ResultHeader { name, value: value.unwrap_or_default().to_vec() })
        };
        each_header(self.message.headers()).filter_map(own).collect()
    }
}

/// How long ago a record was made, by this machine's clock; none of those that do not say when. One
/// from the future was made just now, by a clock that is ahead.
#[must_use]
pub fn age(made: Timestamp, now: SystemTime) -> Option<Duration> {
    let made = u64::try_from(made.to_millis()?).ok()?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(Duration::from_millis(made)))
}

/// The input header `keyframe`, for codecs that are not looked into.
#[must_use]
pub fn keyframe_header(headers: Option<&BorrowedHeaders>) -> Option<bool> {
    match text_header(headers, "keyframe")? {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// The input header `pts`, in units of `time_base` (`1/90000`, say), else of microseconds.
#[must_use]
pub fn pts_us(headers: Option<&BorrowedHeaders>) -> Option<i64> {
    let pts: i64 = text_header(headers, "pts")?.parse().ok()?;
    let Some(time_base) = text_header(headers, "time_base") else { return Some(pts) };
    let (numerator, denominator) = time_base.split_once('/')?;
    let (numerator, denominator): (i128, i128) =
        (numerator.parse().ok()?, denominator.parse().ok()?);
    let scaled = i128::from(pts).checked_mul(numerator)?.checked_mul(1_000_000)?;
    i64::try_from(scaled.checked_div(denominator)?).ok()
}

fn text_header<'h>(headers: Option<&'h BorrowedHeaders>, name: &str) -> Option<&'h str> {
    kafka::text_header(headers, name).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_record_is_known_where_it_says_when_it_was_made() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(10_000);
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!(age(Timestamp::CreateTime(9_750), now), millis(250));
        assert_eq!(age(Timestamp::LogAppendTime(9_750), now), millis(250));
        assert_eq!(age(Timestamp::CreateTime(10_001), now), millis(0), "from the future");
        assert_eq!(age(Timestamp::NotAvailable, now), None);
        assert_eq!(age(Timestamp::CreateTime(-1), now), None);
    }
}
