//! A record's headers, as they are: bytes.
//!
//! Any producer may give a header a name that is no UTF-8, and rdkafka's own iterator panics on
//! one.

use std::ffi::CStr;
use std::ptr;

use rdkafka::bindings::{rd_kafka_header_add, rd_kafka_header_get_all, rd_kafka_headers_t};
use rdkafka::message::{BorrowedHeaders, OwnedHeaders};
use rdkafka::types::RDKafkaRespErr;

use crate::record::header;

/// The names and values of headers, in their order.
pub fn each_header(
    headers: Option<&BorrowedHeaders>,
) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let headers = headers.into_iter();
    headers.flat_map(|headers| (0..).map_while(move |index| get(headers, index)))
}

/// The value of the first header of this name, when it is text.
#[must_use]
pub fn text_header<'h>(headers: Option<&'h BorrowedHeaders>, name: &str) -> Option<&'h str> {
    let (_, value) = each_header(headers).find(|(found, _)| *found == name.as_bytes())?;
    std::str::from_utf8(value?).ok()
}

/// Whether a header of this name looks like one of the runtime's own. Some readers do not tell
/// capital letters from small ones.
#[must_use]
pub fn is_reserved(name: &[u8]) -> bool {
    let start = name.get(..header::PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(header::PREFIX.as_bytes()))
}

/// The headers that a record brought, in their order. Those that look like the runtime's own are
/// renamed: `comux-status` to `comux-in-status`.
#[must_use]
pub fn none_reserved(headers: &BorrowedHeaders) -> OwnedHeaders {
    let copy = OwnedHeaders::new();
    // rdkafka's reference is librdkafka's pointer, and nobody else has this one.
    let raw: *mut rd_kafka_headers_t = ptr::from_ref(copy.as_borrowed()).cast_mut().cast();
    for (name, value) in each_header(Some(headers)) {
        let renamed;
        let name = match name.get(header::PREFIX.len()..) {
            Some(rest) if is_reserved(name) => {
                renamed = [header::INPUT_PREFIX.as_bytes(), rest].concat();
                &renamed[..]
            }
            _ => name,
        };
        let (value, length) = value.map_or((ptr::null(), 0), |it| (it.as_ptr(), it.len()));
        // SAFETY: `raw` lives as long as `copy`; the name and the value go together with their
        // lengths, which Kafka keeps below 2³¹, and are copied.
        unsafe {
            let (name, name_length) = (name.as_ptr().cast(), name.len().cast_signed());
            rd_kafka_header_add(raw, name, name_length, value.cast(), length.cast_signed());
        }
    }
    copy
}

fn get(headers: &BorrowedHeaders, index: usize) -> Option<(&[u8], Option<&[u8]>)> {
    // rdkafka's reference is librdkafka's pointer; see `BorrowedHeaders::from_native_ptr`.
    let headers: *const rd_kafka_headers_t = ptr::from_ref(headers).cast();
    let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
    // SAFETY: `headers` is valid for as long as the reference it came from. Without an error,
    // `name` is a C string and `value`, where it is not null, has `length` bytes; both live as long
    // as `headers`.
    unsafe {
        let answer =
            rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut length);
        if answer != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast(), length));
        Some((CStr::from_ptr(name).to_bytes(), value))
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Header;

    use super::*;

    #[test]
    fn names_that_are_no_text_are_read_like_others() {
        let headers = OwnedHeaders::new().insert(Header { key: "pts", value: Some("7") });
        let raw: *mut rd_kafka_headers_t = ptr::from_ref(headers.as_borrowed()).cast_mut().cast();
        let name = b"\xff\xfe";
        // SAFETY: `headers` is alive, and the name and its length go together.
        unsafe { rd_kafka_header_add(raw, name.as_ptr().cast(), 2, ptr::null(), 0) };
        let headers = headers.insert(Header { key: "", value: Some(b"\xff") });
        let read: Vec<_> = each_header(Some(headers.as_borrowed())).collect();
        assert_eq!(read, [(&b"pts"[..], Some(&b"7"[..])), (name, None), (b"", Some(b"\xff"))]);
        assert_eq!(text_header(Some(headers.as_borrowed()), "pts"), Some("7"));
        assert_eq!(text_header(Some(headers.as_borrowed()), ""), None);
        assert_eq!(each_header(None).count(), 0);
    }

    #[test]
    fn what_a_record_brings_is_not_taken_for_the_runtimes_own() {
        let (value, none): (Option<&[u8]>, Option<&[u8]>) = (Some(b"\xff\0"), None);
        let brought = [("pts", value), ("comux-status", value), ("Comux-in-a", none)];
        let brought = brought.into_iter().chain([("comux", none), ("comux-", Some(b""))]);
        let brought = brought
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value }));
        let copy = none_reserved(brought.as_borrowed());
        let read: Vec<_> = each_header(Some(copy.as_borrowed())).collect();
        let renamed: [(&[u8], _); 5] = [
            (b"pts", value),
            (b"comux-in-status", value),
            (b"comux-in-in-a", none),
            (b"comux", none),
            (b"comux-in-", Some(b"")),
        ];
        assert_eq!(read, renamed);
    }
}
