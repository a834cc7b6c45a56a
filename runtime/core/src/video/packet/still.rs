//! Codecs whose every packet is a whole picture of its own.

use super::inspect::{Content, Inspection};

/// Any of them that is not looked into.
pub(super) fn any(_: &[u8]) -> Option<Inspection> {
    Some(Inspection::of(Content::KeyPicture))
}

/// Motion JPEG. Its tables may be those of another picture.
pub(super) fn mjpeg(data: &[u8]) -> Option<Inspection> {
    let segments = data.strip_prefix(&[0xff, 0xd8])?;
    Some(Inspection { pixels: jpeg_pixels(segments), ..Inspection::of(Content::KeyPicture) })
}

/// By the frame header, which has a marker for each way of coding (ITU-T T.81, B.1.1.3 and B.2.2).
fn jpeg_pixels(mut segments: &[u8]) -> Option<u64> {
    loop {
        let (&[0xff, marker], rest) = segments.split_first_chunk()? else { return None };
        match (marker, rest) {
            // Bytes between segments.
            (0xff, _) => segments = segments.get(1..)?,
            (0xc4 | 0xc8 | 0xcc, _) => segments = behind(rest)?,
            (0xc0..=0xcf, &[_, _, _, h0, h1, w0, w1, ..]) => {
                let side = |bytes| u64::from(u16::from_be_bytes(bytes));
                return Some(side([w0, w1]) * side([h0, h1]));
            }
            // The scan; of a height that only comes behind it nothing is known.
            (0xda, _) => return None,
            (0x01 | 0xd0..=0xd8, _) => segments = rest,
            _ => segments = behind(rest)?,
        }
    }
}

/// What comes behind a segment that begins with its length.
fn behind(segment: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes(*segment.first_chunk()?);
    segment.get(usize::from(length)..).filter(|_| length >= 2)
}

/// PNG: its signature, and the chunk that comes first (W3C PNG, sections 5.2 and 11.2.1).
pub(super) fn png(data: &[u8]) -> Option<Inspection> {
    let chunk = data.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let pixels = match chunk.first_chunk::<16>() {
        Some(&[_, _, _, _, b'I', b'H', b'D', b'R', w0, w1, w2, w3, h0, h1, h2, h3]) => {
            let side = |bytes| u64::from(u32::from_be_bytes(bytes));
            Some(side([w0, w1, w2, w3]).saturating_mul(side([h0, h1, h2, h3])))
        }
        _ => None,
    };
    Some(Inspection { pixels, ..Inspection::of(Content::KeyPicture) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_still_is_read_from_its_header() {
        let jpeg = |segments: &[&[u8]]| {
            mjpeg(&[&[&[0xff, 0xd8][..]], segments].concat().concat()).unwrap().pixels
        };
        let (frame, other) = ([0xff, 0xc0, 0, 17, 8, 2, 64, 3, 0, 3], [0xff, 0xdb, 0, 4, 1, 2]);
        assert_eq!(jpeg(&[&other, &frame]), Some(768 * 576));
        assert_eq!(jpeg(&[&[0xff], &frame]), Some(768 * 576), "a byte between");
        assert_eq!(jpeg(&[&[0xff, 0xc2], &frame[2..]]), Some(768 * 576), "progressive");
        assert_eq!(jpeg(&[&[0xff, 0xc4, 0, 2], &frame]), Some(768 * 576), "tables before");
        assert_eq!(jpeg(&[&[0xff, 0xda, 0, 2], &frame]), None, "the picture has begun");
        for shorter in 0..frame.len() - 3 {
            assert_eq!(jpeg(&[&frame[..shorter]]), None);
        }
        assert_eq!(jpeg(&[&[0xff, 0xdb, 0, 0], &frame]), None, "a segment without a length");
        let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x03\0\0\0\x02\x40".to_vec();
        assert_eq!(png(&picture).unwrap().pixels, Some(768 * 576));
        picture[16] = 0xff;
        picture[20] = 0xff;
        assert!(png(&picture).unwrap().pixels.unwrap() > u64::MAX / 2);
        assert!(png(&picture[1..]).is_none());
    }
}
