//! A record's headers, as they are: bytes.
//!
//! Any producer may give a header a name that is no UTF-8, and rdkafka's own iterator panics on
//! one.

use std::ffi::CStr;
use std::ptr;

use rdkafka::bindings::{rd_kafka_header_get_all, rd_kafka_headers_t};
use rdkafka::message::BorrowedHeaders;
use rdkafka::types::RDKafkaRespErr;

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
    use rdkafka::bindings::rd_kafka_header_add;
    use rdkafka::message::{Header, OwnedHeaders};

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
}
