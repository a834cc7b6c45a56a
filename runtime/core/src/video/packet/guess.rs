//! What a record that is not of the camera's codec looks like, for whoever reads the warning.

use super::annexb;

/// What a record looks like, with what to do; `None`: like nothing that is known.
#[must_use]
pub fn looks_like(data: &[u8]) -> Option<&'static str> {
    let begins = |magic: &[u8]| data.starts_with(magic);
    let is_transport_stream =
        data.len() >= 188 && data.iter().step_by(188).all(|&byte| byte == 0x47);
    Some(match data {
        _ if begins(&[0xff, 0xd8, 0xff]) => "JPEG: set `codec = \"mjpeg\"`",
        _ if begins(b"\x89PNG") => "PNG: set `codec = \"png\"`",
        _ if is_transport_stream => {
            "an MPEG transport stream: publish the packets in it, as `comux publish` does"
        }
        _ if data.get(4..8) == Some(b"ftyp") || begins(&[0x1a, 0x45, 0xdf, 0xa3]) => {
            "a file of video: publish the packets in it, as `comux publish` does"
        }
        _ if begins(b"DKIF") => "an IVF file: publish the packets in it",
        [0x12, 0, ..] => "AV1: set `codec = \"av1\"`",
        [_, 0x12, 0, ..] | [_, _, 1, 0x10, ..] if annexb::packaging(data).is_none() => {
            "AV1 in the framing of annex B, which is not read: publish it as low-overhead OBUs"
        }
        _ if begins(b"{") || begins(b"[") => "JSON: check `consume_topic`",
        _ => return nal_units(data),
    })
}

/// By the units that both standards say how they begin: H.265's video parameter set, whose layer is
/// 0 and sub-layer 1, and H.264's sequence parameter set, whose second byte is a known profile.
fn nal_units(data: &[u8]) -> Option<&'static str> {
    let packaging = annexb::packaging(data)?;
    let mut found = None;
    annexb::for_each_unit(data, packaging, |unit| {
        found = match unit {
            [0x40 | 0x42 | 0x44, 1, ..] => Some("H.265: set `codec = \"h265\"`"),
            [header, 66 | 77 | 88 | 100 | 110 | 122 | 244, ..] if header & 0x9f == 7 => {
                Some("H.264: set `codec = \"h264\"`")
            }
            _ => None,
        };
        found.is_none()
    });
    found.or(Some("H.264 or H.265, or single parts of them: check `codec` and `framing`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_often_published_by_mistake_is_named() {
        let says = |data: &[u8], word: &str| {
            let said = looks_like(data).unwrap_or("nothing");
            assert!(said.contains(word), "{data:?}: {said}");
        };
        says(&[0xff, 0xd8, 0xff, 0xe0], "mjpeg");
        says(&[0, 0, 0, 1, 0x40, 1, 0x0c, 1, 0, 0, 1, 0x42, 1, 1], "h265");
        says(&[0, 0, 0, 1, 9, 0x10, 0, 0, 1, 0x67, 100, 0, 31], "h264");
        says(&[0, 0, 0, 6, 0x27, 77, 0, 31, 1, 1], "h264");
        says(&[0x12, 0, 0x0a, 1, 0], "av1");
        let mut packets = [0; 188 * 3];
        (0..3).for_each(|packet| packets[packet * 188] = 0x47);
        says(&packets, "transport stream");
        says(b"\0\0\0\x20ftypisom", "file");
        says(b"{\"action\": \"create\"}", "JSON");
        assert_eq!(looks_like(&[1, 2, 3, 4, 5]), None);
        assert_eq!(looks_like(&[]), None);
    }
}
