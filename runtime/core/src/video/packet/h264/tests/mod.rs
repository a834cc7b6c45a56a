//! Streams to read: of an encoder, decoded by libavcodec for comparison, and written by hand.

mod fields;
mod loss;
mod records;
mod refresh;
mod strangers;
mod write;

use std::collections::BTreeMap;

use ffmpeg_next as ffmpeg;

use super::H264;
use crate::video::clips;
use crate::video::packet::{Content, Inspection, Lack};

/// Everything moves, and no two pictures are alike anywhere.
const MOVING: &str = "testsrc2=size=96x64:rate=25,noise=alls=12:allf=t";

/// The access units of a clip that libx264 makes with these parameters.
fn encoded(parameters: &str, frames: u32) -> Vec<Vec<u8>> {
    clips::h264(MOVING, &format!("scenecut=0:qp=24:{parameters}"), frames)
}

/// A hash of each picture that libavcodec shows, by the number of the access unit. `damaged`: also of
/// those that it knows to be wrong.
fn decoded<'a>(
    units: impl Iterator<Item = (usize, &'a [u8])>,
    damaged: bool,
) -> BTreeMap<usize, u64> {
    let flags = ffmpeg::codec::Flags::OUTPUT_CORRUPT;
    let flags = if damaged { flags } else { ffmpeg::codec::Flags::empty() };
    clips::decoded(ffmpeg::codec::Id::H264, flags, units)
}

/// All of them but some, with their numbers.
fn without(
    units: &[Vec<u8>],
    lost: impl Fn(usize) -> bool,
) -> impl Iterator<Item = (usize, &[u8])> {
    let numbered = units.iter().map(Vec::as_slice).enumerate();
    numbered.filter(move |&(number, _)| !lost(number))
}

fn inspected<'a>(units: impl Iterator<Item = (usize, &'a [u8])>) -> BTreeMap<usize, Inspection> {
    let mut reader = H264::default();
    units.map(|(number, unit)| (number, reader.read(unit).expect("H.264"))).collect()
}

fn contents(found: &[Inspection]) -> Vec<Content> {
    found.iter().map(|it| it.content).collect()
}

fn lacks(found: &[Inspection]) -> Vec<Option<Lack>> {
    found.iter().map(|it| it.lacks).collect()
}

/// Parameter sets and messages, without the picture.
fn sets_of(unit: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let is_picture = |window: &[u8]| window[..3] == [0, 0, 1] && window[3] & 0x1f == 5;
    let picture = unit.windows(4).position(is_picture).unwrap();
    std::iter::once((usize::MAX, &unit[..picture]))
}
