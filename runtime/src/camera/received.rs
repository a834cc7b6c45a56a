//! A record as a camera received it, and what its own headers say.

use std::time::Instant;

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message};

use crate::kafka::{self, each_header};
use crate::outcome::ResultHeader;

/// A record on its way through a camera.
pub(super) struct Received<'q> {
    pub message: BorrowedMessage<'q>,
    pub at: Instant,
    pub decode_us: u64,
    pub keyframe: bool,
    /// Pictures are missing before the one that begins here.
    pub discontinuity: bool,
    pub pts_us: Option<i64>,
    /// The latest key frame up to here; decoding can begin there again.
    pub gop_start: Option<i64>,
}

impl<'q> Received<'q> {
    pub fn new(message: BorrowedMessage<'q>) -> Self {
        let pts_us = pts_us(message.headers());
        Self {
            at: Instant::now(),
            decode_us: 0,
            keyframe: false,
            discontinuity: false,
            pts_us,
            gop_start: None,
            message,
        }
    }

    /// The record's Kafka timestamp in microseconds since 1970.
    pub fn recorded_at_us(&self) -> Option<i64> {
        self.message.timestamp().to_millis().and_then(|millis| millis.checked_mul(1000))
    }

    /// The record's own headers, for plugins. Those without a value come with an empty one; those
    /// whose name is no text can't be told to a plugin.
    pub fn headers(&self) -> Vec<ResultHeader> {
        let own = |(name, value): (&[u8], Option<&[u8]>)| {
            let name = std::str::from_utf8(name).ok()?.to_owned();
            Some(ResultHeader { name, value: value.unwrap_or_default().to_vec() })
        };
        each_header(self.message.headers()).filter_map(own).collect()
    }
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
