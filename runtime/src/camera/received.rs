//! A record as a camera received it, and what its own headers say.

use std::time::Instant;

use rdkafka::message::{BorrowedMessage, Headers, Message};

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
        let pts_us = pts_us(&message);
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

    /// The record's own headers, for plugins. Those without a value come with an empty one.
    pub fn headers(&self) -> Vec<ResultHeader> {
        let headers = self.message.headers().into_iter().flat_map(|headers| headers.iter());
        let own = |header: rdkafka::message::Header<'_, &[u8]>| ResultHeader {
            name: header.key.to_owned(),
            value: header.value.unwrap_or_default().to_vec(),
        };
        headers.map(own).collect()
    }
}

/// The input header `keyframe`, for codecs that are not looked into.
pub(super) fn keyframe_header(message: &BorrowedMessage<'_>) -> Option<bool> {
    match text_header(message, "keyframe")? {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// The input header `pts`, in units of `time_base` (`1/90000`, say), else of microseconds.
fn pts_us(message: &BorrowedMessage<'_>) -> Option<i64> {
    let pts: i64 = text_header(message, "pts")?.parse().ok()?;
    let Some(time_base) = text_header(message, "time_base") else { return Some(pts) };
    let (numerator, denominator) = time_base.split_once('/')?;
    let (numerator, denominator): (i128, i128) =
        (numerator.parse().ok()?, denominator.parse().ok()?);
    let scaled = i128::from(pts).checked_mul(numerator)?.checked_mul(1_000_000)?;
    i64::try_from(scaled.checked_div(denominator)?).ok()
}

fn text_header<'m>(message: &'m BorrowedMessage<'_>, key: &str) -> Option<&'m str> {
    let header = message.headers()?.iter().find(|header| header.key == key)?;
    std::str::from_utf8(header.value?).ok().map(str::trim)
}
