//! Streams that tests have made for them, and what libavcodec makes of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

use ffmpeg_next as ffmpeg;

use super::demux::MediaReader;
use super::packet::annexb;

/// What x265 is asked for.
pub(crate) struct Clip<'a> {
    pub size: &'a str,
    pub pixels: &'a str,
    pub frames: u32,
    pub encoder: &'a str,
}

/// The access units of such a clip, and the presentation time of each.
pub(crate) fn h265(clip: &Clip<'_>) -> (Vec<Vec<u8>>, Vec<i64>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clip.mp4");
    let media = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/media");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i", &format!("{media}/pedestrians-bframes.mp4")])
        .args(["-frames:v", &clip.frames.to_string(), "-pix_fmt", clip.pixels])
        .args(["-vf", &format!("scale={}", clip.size), "-c:v", "libx265", "-x265-params"])
        .arg(format!("log-level=none:pools=1:frame-threads=1:{}", clip.encoder))
        .arg(&path)
        .status();
    assert!(status.expect("ffmpeg; `make setup-test` installs it").success());
    let mut reader = MediaReader::open(path.to_str().unwrap()).unwrap();
    let packets = std::iter::from_fn(|| reader.next_packet().unwrap());
    packets.map(|packet| (packet.data, packet.pts.unwrap())).unzip()
}

/// The access units that libx264 makes of such a picture of ffmpeg's with these parameters.
pub(crate) fn h264(picture: &str, parameters: &str, frames: u32) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.h264");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", picture, "-frames:v", &frames.to_string()])
        .args(["-pix_fmt", "yuv420p", "-c:v", "libx264"])
        .args(["-x264-params", &format!("threads=1:{parameters}")])
        .arg(&path)
        .status()
        .expect("ffmpeg; `make setup-test` installs it");
    assert!(status.success(), "{parameters}");
    let mut reader = MediaReader::open(path.to_str().unwrap()).unwrap();
    std::iter::from_fn(|| reader.next_packet().unwrap()).map(|packet| packet.data).collect()
}

/// A hash of each picture that libavcodec makes, by the number of its access unit.
pub(crate) fn decoded<'a>(
    codec: ffmpeg::codec::Id,
    flags: ffmpeg::codec::Flags,
    units: impl Iterator<Item = (usize, &'a [u8])>,
) -> BTreeMap<usize, u64> {
    let codec = ffmpeg::decoder::find(codec).unwrap();
    let mut context = ffmpeg::codec::Context::new_with_codec(codec);
    context.set_flags(flags);
    let mut decoder = context.decoder().open_as(codec).unwrap().video().unwrap();
    let mut pictures = BTreeMap::new();
    let mut receive = |decoder: &mut ffmpeg::decoder::Video| {
        let mut frame = ffmpeg::frame::Video::empty();
        while decoder.receive_frame(&mut frame).is_ok() {
            let mut hasher = DefaultHasher::new();
            for plane in 0..frame.planes() {
                let lines = frame.data(plane).chunks(frame.stride(plane));
                let width = frame.plane_width(plane) as usize;
                for line in lines.take(frame.plane_height(plane) as usize) {
                    line[..width].hash(&mut hasher);
                }
            }
            pictures.insert(frame.pts().unwrap() as usize, hasher.finish());
        }
    };
    for (number, unit) in units {
        let mut packet = ffmpeg::Packet::copy(unit);
        packet.set_pts(Some(number as i64));
        let _ = decoder.send_packet(&packet);
        receive(&mut decoder);
    }
    decoder.send_eof().unwrap();
    receive(&mut decoder);
    pictures
}

/// Its NAL units, without start codes.
pub(crate) fn nal_units(access_unit: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    annexb::for_each_unit(access_unit, annexb::packaging(access_unit).unwrap(), |unit| {
        units.push(annexb::alone(unit).to_vec());
        true
    });
    units
}

/// The other way round.
pub(crate) fn annexb_of(units: &[Vec<u8>]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1], &unit[..]].concat()).collect()
}

/// `nal_unit_type`.
pub(crate) fn kind(unit: &[u8]) -> u8 {
    (unit[0] >> 1) & 0x3f
}

/// Whether it is a part of a picture.
pub(crate) fn is_slice(unit: &[u8]) -> bool {
    kind(unit) < 32
}
