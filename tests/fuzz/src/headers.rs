//! Output headers: what a record brought, what the runtime says and what plugins said, in the bytes
//! that go to the broker; and input headers, which any producer writes.
//!
//! An input is the facts, the headers of the record, and the plugins' results; see [`Cursor`].

use std::ptr;

use comux::camera::fuzzing::{keyframe_header, pts_us};
use comux::kafka::{GopStart, RecordFacts, with_results};
use comux::kafka::{each_header, text_header};
use comux::plugin::fuzzing::is_header_name;
use comux::record::{FailReason, Outcome, ResultHeader, SkipReason, Status, Timing};
use rdkafka::bindings::{rd_kafka_header_add, rd_kafka_headers_t};
use rdkafka::message::OwnedHeaders;

use crate::cursor::Cursor;

const SOURCE: &str = "raw_a/0/7";

type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

pub fn run(data: &[u8]) {
    let mut input = Cursor(data);
    let facts = RecordFacts {
        seq: input.number(),
        pts_us: (input.byte() & 1 == 1).then(|| input.number().cast_signed()),
        keyframe: input.byte() & 1 == 1,
        times_made_again: 0,
    };
    let mut outcome = Outcome::bare(status(input.byte()));
    outcome.timing = (input.byte() & 1 == 1).then(|| Timing {
        queue: input.number(),
        decode: input.number(),
        plugin: input.number(),
    });
    outcome.plugins = std::str::from_utf8(input.block()).ok().map(str::to_owned);
    let own = headers(&mut input);
    for (name, value) in headers(&mut input) {
        let name = String::from_utf8_lossy(&name).into_owned();
        // No other is loaded: see `plugin::engine`.
        if is_header_name(&name) {
            outcome.headers.push(ResultHeader { name, value: value.unwrap_or_default() });
        }
    }
    let encoded = with_results(native(&own), SOURCE, facts, &outcome);
    let decoded: Headers = each_header(Some(encoded.as_borrowed()))
        .map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)))
        .collect();
    assert_eq!(decoded, expected(&own, facts, &outcome));
    // A plugin can't write what the runtime says.
    let of_plugins = &decoded[decoded.len() - outcome.headers.len()..];
    assert!(of_plugins.iter().all(|(name, _)| !name.starts_with(b"comux-")));
    is_understood(&own);
}

/// What a record's own headers say does not depend on what else there is.
fn is_understood(own: &Headers) {
    let headers = native(own);
    let headers = Some(headers.as_borrowed());
    let text = |name: &str| {
        let (_, value) = own.iter().find(|(found, _)| until_nul(found) == name.as_bytes())?;
        Some(std::str::from_utf8(value.as_deref()?).ok()?.trim().to_owned())
    };
    for name in ["pts", "time_base", "keyframe", "correlation-id"] {
        assert_eq!(text_header(headers, name).map(str::trim), text(name).as_deref());
    }
    if text("time_base").is_none() {
        assert_eq!(pts_us(headers), text("pts").and_then(|pts| pts.parse().ok()));
    }
    assert!(pts_us(headers).is_none() || text("pts").is_some());
    assert!(keyframe_header(headers).is_none() || text("keyframe").is_some());
    if let Some(begins) = text("correlation-id").as_deref().and_then(GopStart::from_metadata) {
        assert_eq!(GopStart::from_metadata(&begins.to_metadata()).unwrap().offset, begins.offset);
    }
}

fn status(byte: u8) -> Status {
    let index = usize::from(byte / 4);
    match byte % 4 {
        0 => Status::Analysed,
        1 => Status::Passthrough,
        2 => Status::Skipped(SkipReason::ALL[index % SkipReason::ALL.len()]),
        _ => Status::Failed(FailReason::ALL[index % FailReason::ALL.len()]),
    }
}

/// A list of names and values, of which either may be anything, and a value null.
fn headers(input: &mut Cursor<'_>) -> Headers {
    let count = input.byte() % 16;
    let header = |_| {
        let name = input.block().to_vec();
        let value = (input.byte() & 1 == 0).then(|| input.block().to_vec());
        (name, value)
    };
    (0..count).map(header).collect()
}

/// As a consumer gets them from librdkafka.
fn native(headers: &Headers) -> OwnedHeaders {
    let native = OwnedHeaders::new();
    let raw: *mut rd_kafka_headers_t = ptr::from_ref(native.as_borrowed()).cast_mut().cast();
    for (name, value) in headers {
        let (bytes, length) =
            value.as_ref().map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
        // SAFETY: `native` is alive and nobody else has it; pointers and lengths go together.
        unsafe {
            let (name, name_length) = (name.as_ptr().cast(), name.len().cast_signed());
            rd_kafka_header_add(raw, name, name_length, bytes.cast(), length.cast_signed());
        }
    }
    native
}

/// What must come out, said a second time.
fn expected(own: &Headers, facts: RecordFacts, outcome: &Outcome) -> Headers {
    let own = own.iter().map(|(name, value)| (until_nul(name).to_vec(), value.clone()));
    let mut expected: Headers = own.collect();
    let mut say =
        |name: &str, value: String| expected.push((name.into(), Some(value.into_bytes())));
    say("comux-seq", facts.seq.to_string());
    say("comux-source", SOURCE.to_owned());
    let (status, reason) = match outcome.status {
        Status::Analysed => ("analysed", None),
        Status::Passthrough => ("passthrough", None),
        Status::Skipped(reason) => ("skipped", Some(reason.word())),
        Status::Failed(reason) => ("failed", Some(reason.word())),
    };
    say("comux-status", status.to_owned());
    if let Some(reason) = reason {
        say("comux-reason", reason.to_owned());
    }
    if let Some(plugins) = &outcome.plugins {
        say("comux-plugin", plugins.clone());
    }
    if let Some(pts) = facts.pts_us {
        say("comux-pts", pts.to_string());
    }
    if facts.keyframe {
        say("comux-keyframe", "1".to_owned());
    }
    if let Some(Timing { queue, decode, plugin }) = outcome.timing {
        say("comux-timing", format!("queue={queue};decode={decode};plugin={plugin}"));
    }
    let results = outcome.headers.iter();
    expected.extend(
        results.map(|ResultHeader { name, value }| (name.clone().into(), Some(value.clone()))),
    );
    expected
}

/// librdkafka gives out names as C strings. What it sends has the whole name.
fn until_nul(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or_default()
}
