//! Pictures as the `ffmpeg` command decodes them, with one thread.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::ffmpeg::{ffmpeg, probe};

/// A picture as the `ffmpeg` command decodes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Presentation time, in the clip's time base.
    pub pts: i64,
    /// The mean of its luma plane, in 8 bits.
    pub mean: f64,
    /// The hash of that plane, as the plugin `fingerprint` has it.
    pub fingerprint: String,
    /// The hash of the whole picture, as ffmpeg's `framemd5` has it.
    pub md5: String,
}

/// How the luma of a clip's pictures lies in memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Luma {
    samples: usize,
    bits: u32,
}

impl Luma {
    /// That of the pictures in a file.
    ///
    /// # Panics
    /// When ffmpeg can't read it.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        let stream = probe(path, "stream=width,height,pix_fmt");
        let fields: Vec<&str> = stream.split(',').collect();
        let [width, height, format] = fields[..] else { panic!("a stream of ffprobe: {stream}") };
        let (width, height): (usize, usize) = (width.parse().unwrap(), height.parse().unwrap());
        // As `yuv420p10le`; formats of 8 bits don't say so.
        let name = format.trim_end_matches("le");
        let digits = name.rsplit(|letter: char| !letter.is_ascii_digit()).next().unwrap();
        Self { samples: width * height, bits: digits.parse().unwrap_or(8) }
    }

    /// The mean and the fingerprint of each picture whose luma comes out of `output`.
    fn read(self, output: &mut impl Read) -> Vec<(f64, String)> {
        let mut plane = vec![0_u8; self.samples * if self.bits > 8 { 2 } else { 1 }];
        let mut pictures = Vec::new();
        while output.read_exact(&mut plane).is_ok() {
            let luma = self.in_8_bits(&plane);
            let sum: u64 = luma.iter().map(|&sample| u64::from(sample)).sum();
            let hash = luma.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            pictures.push((sum as f64 / luma.len() as f64, format!("{hash:016x}")));
        }
        pictures
    }

    fn in_8_bits(self, plane: &[u8]) -> Vec<u8> {
        if self.bits == 8 {
            return plane.to_vec();
        }
        let more = self.bits - 8;
        let rounded = |bytes: &[u8]| {
            let sample = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
            u8::try_from((sample + (1 << (more - 1))) >> more).unwrap_or(u8::MAX)
        };
        plane.chunks_exact(2).map(rounded).collect()
    }
}

const AS_IT_COMES: [&str; 4] = ["-map", "0:v", "-fps_mode", "passthrough"];
/// The luma of all pictures on standard output.
const LUMA: [&str; 5] = ["-vf", "extractplanes=y", "-f", "rawvideo", "-"];

/// Decodes a file. What the decoder has to say is not heard: some clips are damaged on purpose.
pub(crate) fn of_file(path: &Path, luma: Luma) -> Vec<Picture> {
    let directory = tempfile::tempdir().unwrap();
    let hashes = directory.path().join("framemd5");
    let mut command = ffmpeg();
    command.arg("-copyts").arg("-i").arg(path);
    command.args(AS_IT_COMES).args(["-enc_time_base", "-1", "-f", "framemd5"]).arg(&hashes);
    let planes = read_luma(command.args(AS_IT_COMES).args(["-enc_time_base", "-1"]), luma);
    let hashes = fs::read_to_string(hashes).unwrap();
    let lines: Vec<&str> = hashes.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), planes.len(), "pictures of {}", path.display());
    let picture = |(line, (mean, fingerprint)): (&str, (f64, String))| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        Picture { pts: fields[2].parse().unwrap(), mean, fingerprint, md5: fields[5].to_owned() }
    };
    lines.into_iter().zip(planes).map(picture).collect()
}

/// The fingerprints of what `ffmpeg` shows of a stream, right and wrong, however it is damaged.
pub(crate) fn fingerprints(stream: &[u8], format: &str, luma: Luma) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream");
    fs::write(&path, stream).unwrap();
    let mut command = ffmpeg();
    let planes = read_luma(command.args(["-f", format, "-i"]).arg(&path).args(AS_IT_COMES), luma);
    planes.into_iter().map(|(_, fingerprint)| fingerprint).collect()
}

fn read_luma(command: &mut Command, luma: Luma) -> Vec<(f64, String)> {
    let process = command.args(LUMA).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut process = process.expect("ffmpeg; `make setup-test` installs it");
    let planes = luma.read(&mut process.stdout.take().unwrap());
    process.wait().unwrap();
    planes
}
