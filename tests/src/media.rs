//! Footage as packets, and what the pictures in it are, found out by the `ffmpeg` command.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::ffmpeg::{ffmpeg, probe, run};
use crate::nal;
use crate::pictures::{self, Luma, Picture};
use crate::records::Record;

/// The time base of every clip, as the header `time_base` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBase(pub i64, pub i64);

impl TimeBase {
    fn parse(text: &str) -> Self {
        let (numerator, denominator) = text.split_once('/').expect("a fraction");
        Self(numerator.parse().unwrap(), denominator.parse().unwrap())
    }

    /// A time in microseconds.
    #[must_use]
    pub fn microseconds(self, time: i64) -> i64 {
        time * self.0 * 1_000_000 / self.1
    }
}

/// One packet of a clip.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The access unit; of H.264 and H.265 in Annex B, with parameter sets on key frames.
    pub data: Vec<u8>,
    /// Presentation time, in the clip's time base.
    pub pts: i64,
    /// Decoding time, likewise.
    pub dts: i64,
    /// Whether the file says that it is a key frame.
    pub keyframe: bool,
}

/// A clip: its packets in decoding order and its pictures in presentation order.
pub struct Clip {
    /// The codec as `codec` in a camera's configuration names it.
    pub codec: &'static str,
    /// What its times count in.
    pub time_base: TimeBase,
    /// Its packets, in decoding order.
    pub packets: Vec<Packet>,
    /// Its pictures, in presentation order, decoded by one thread of the `ffmpeg` command; none of
    /// a clip that was only [scaled](Clip::scaled).
    pub pictures: Vec<Picture>,
    luma: Luma,
    _directory: Option<TempDir>,
}

macro_rules! clip {
    ($(#[$doc:meta])* $name:ident, $make:expr) => {
        $(#[$doc])*
        ///
        /// # Panics
        /// When ffmpeg can't read or make it.
        pub fn $name() -> &'static Clip {
            static CLIP: OnceLock<Clip> = OnceLock::new();
            CLIP.get_or_init(|| $make)
        }
    };
}

clip!(
    /// 240 pictures of 768×576, with B-frames and a pyramid, a key frame every 20.
    bframes,
    Clip::of_file("h264", &footage("bframes"))
);
clip!(
    /// The same pictures without B-frames.
    lowdelay,
    Clip::of_file("h264", &footage("lowdelay"))
);
clip!(
    /// 120 pictures in H.265, with B-frames and open groups of pictures.
    hevc,
    Clip::of_file("h265", &footage("hevc"))
);
clip!(
    /// The B-frame clip without its packet 45, which others refer to.
    damaged,
    Clip::made("h264", "mp4", &["-c", "copy", "-bsf:v", r"noise=drop=eq(n\,45)"])
);
clip!(
    /// 20 pictures of another size.
    other_size,
    Clip::made("h264", "mp4", &["-frames:v", "20", "-s", "384x288", "-c:v", "libx264"])
);
clip!(
    /// 20 pictures of the same size from an encoder with other parameter sets.
    other_parameter_sets,
    Clip::made(
        "h264",
        "mp4",
        &["-frames:v", "20", "-c:v", "libx264", "-profile:v", "baseline", "-refs", "4"],
    )
);
clip!(
    /// 40 small pictures in Motion JPEG.
    mjpeg,
    Clip::made("mjpeg", "mov", &["-frames:v", "40", "-s", "192x144", "-c:v", "mjpeg"])
);
clip!(
    /// 100 small pictures that are refreshed gradually, every 20, behind a single key frame.
    refreshed,
    Clip::made(
        "h264",
        "mp4",
        &["-frames:v", "100", "-s", "192x144", "-c:v", "libx264", "-bf", "0", "-refs", "1",
          "-x264-params", "intra-refresh=1:keyint=20"],
    )
);
clip!(
    /// 60 small pictures in H.265 of four slices each, a key frame every 20.
    sliced,
    Clip::made(
        "h265",
        "mp4",
        &["-frames:v", "60", "-s", "320x240", "-c:v", "libx265", "-x265-params",
          "slices=4:ctu=32:keyint=20:min-keyint=20:scenecut=0:bframes=0:pools=1:frame-threads=1:\
           log-level=none"],
    )
);
clip!(
    /// 40 small pictures in VP8.
    vp8,
    Clip::made(
        "vp8",
        "ivf",
        &["-frames:v", "40", "-s", "192x144", "-c:v", "libvpx", "-g", "20"]
    )
);
clip!(
    /// 40 small pictures in VP9.
    vp9,
    Clip::made(
        "vp9",
        "ivf",
        &["-frames:v", "40", "-s", "192x144", "-c:v", "libvpx-vp9", "-g", "20", "-deadline",
          "realtime", "-cpu-used", "5"],
    )
);
clip!(
    /// 40 small pictures in AV1.
    av1,
    Clip::made(
        "av1",
        "ivf",
        &["-frames:v", "40", "-s", "192x144", "-c:v", "libaom-av1", "-g", "20", "-cpu-used", "8"],
    )
);

/// The file of a clip of the pedestrians.
#[must_use]
pub fn footage(name: &str) -> PathBuf {
    crate::tests_dir().join("media").join(format!("pedestrians-{name}.mp4"))
}

/// Writes the first packets of the pedestrians without B-frames to `path`, at four a second.
///
/// # Panics
/// When ffmpeg can't write there.
pub fn slowed_down(path: &Path, packets: usize) {
    // The footage has 25 a second.
    let mut command = ffmpeg();
    command.args(["-itsscale", "6.25", "-i"]).arg(footage("lowdelay"));
    run(command.args(["-frames:v", &packets.to_string(), "-c", "copy"]).arg(path));
}

impl Clip {
    /// A clip that the `ffmpeg` command makes of the pedestrians.
    fn made(codec: &'static str, container: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clip").with_extension(container);
        run(ffmpeg().arg("-i").arg(footage("bframes")).args(arguments).arg(&path));
        Self { _directory: Some(directory), ..Self::of_file(codec, &path) }
    }

    /// A scene of 160×112 that `ffmpeg` makes, in which everything moves.
    ///
    /// # Panics
    /// When ffmpeg can't encode it.
    #[must_use]
    pub fn of_noise(codec: &'static str, container: &str, arguments: &[&str]) -> Self {
        const SCENE: &str = "testsrc2=size=160x112:rate=25,noise=alls=10:allf=t";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clip").with_extension(container);
        run(ffmpeg().args(["-f", "lavfi", "-i", SCENE]).args(arguments).arg(&path));
        Self { _directory: Some(directory), ..Self::of_file(codec, &path) }
    }

    /// The pedestrians in another size, such as `1920x1080`, at 25 fps and so many kbit/s, a key
    /// frame every two seconds, made once and kept at `path`. Nobody looks at its pictures, so they
    /// are not decoded here.
    ///
    /// # Panics
    /// When ffmpeg can't make it.
    #[must_use]
    pub fn scaled(
        codec: &'static str,
        (size, kilobits): (&str, u32),
        encoder: &[&str],
        path: &Path,
    ) -> Self {
        if !path.is_file() {
            fs::create_dir_all(path.parent().expect("a directory")).unwrap();
            let draft = path.with_extension("draft.mp4");
            // Sensors are noisy; scaled pictures are not, and those that the footage has too few of
            // least of all.
            let filter = format!("scale={},fps=25,noise=alls=2:allf=t", size.replace('x', ":"));
            let rate = format!("{kilobits}k");
            let mut command = ffmpeg();
            command.arg("-i").arg(footage("bframes")).args(["-vf", &filter]);
            command.args(encoder).args(["-b:v", &rate, "-g", "50", "-y"]);
            run(command.arg(&draft));
            fs::rename(draft, path).unwrap();
        }
        Self::packets_of(codec, path)
    }

    /// Pictures as they lie in memory, one after the other, encoded. `layout` is how `ffmpeg` calls
    /// their format, and their size, such as `256x64`. Whoever has the samples knows what is to
    /// come out: the clip has no pictures.
    ///
    /// # Panics
    /// When ffmpeg can't encode them.
    #[must_use]
    pub fn encoded(
        codec: &'static str,
        samples: &[u8],
        (format, size): (&str, &str),
        encoder: &[&str],
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (raw, path) = (directory.path().join("raw"), directory.path().join("clip.mp4"));
        fs::write(&raw, samples).unwrap();
        let mut command = ffmpeg();
        command.args(["-f", "rawvideo", "-pix_fmt", format, "-s", size, "-i"]).arg(&raw);
        run(command.args(encoder).arg(&path));
        Self { _directory: Some(directory), ..Self::packets_of(codec, &path) }
    }

    fn of_file(codec: &'static str, path: &Path) -> Self {
        let luma = Luma::of_file(path);
        let pictures = pictures::of_file(path, luma);
        Self { pictures, luma, ..Self::packets_of(codec, path) }
    }

    fn packets_of(codec: &'static str, path: &Path) -> Self {
        let nal_units = matches!(codec, "h264" | "h265");
        let parameter_sets = if nal_units { parameter_sets(path, codec) } else { Vec::new() };
        let file = fs::read(path).unwrap();
        let mut packets = Vec::new();
        let is_ivf = path.extension().is_some_and(|extension| extension == "ivf");
        for line in probe(path, "packet=pts,dts,size,pos,flags").lines() {
            let [pts, dts, size, pos, flags] = line.split(',').collect::<Vec<_>>()[..] else {
                panic!("a packet of ffprobe: {line}");
            };
            let (size, mut begin): (usize, usize) = (size.parse().unwrap(), pos.parse().unwrap());
            // ffprobe's position is that of the frame header, which is 12 bytes long.
            begin += if is_ivf { 12 } else { 0 };
            let sample = &file[begin..begin + size];
            let keyframe = flags.starts_with('K');
            let data = if nal_units {
                let mut units = nal::length_prefixed_units(sample);
                if keyframe {
                    units.splice(..0, parameter_sets.iter().map(Vec::as_slice));
                }
                nal::annexb(&units)
            } else {
                sample.to_vec()
            };
            let (pts, dts) = (pts.parse().unwrap(), dts.parse().unwrap());
            packets.push(Packet { data, pts, dts, keyframe });
        }
        let time_base = TimeBase::parse(&probe(path, "stream=time_base"));
        let (pictures, luma) = (Vec::new(), Luma::default());
        Self { codec, time_base, packets, pictures, luma, _directory: None }
    }

    /// The mean of the luma plane of the picture in a packet, when the decoder made one of it. In a
    /// loop, pictures come again and times go on.
    #[must_use]
    pub fn mean(&self, pts: i64) -> Option<f64> {
        self.picture(pts).map(|picture| picture.mean)
    }

    /// The picture of this time, when the decoder made one; in a loop, as [`mean`](Self::mean).
    #[must_use]
    pub fn picture(&self, pts: i64) -> Option<&Picture> {
        let first = self.pictures.first()?.pts;
        let in_clip = first + (pts - first).rem_euclid(self.duration());
        self.pictures.iter().find(|picture| picture.pts == in_clip)
    }

    /// The fingerprints of what `ffmpeg` shows of a stream of these records, right and wrong.
    ///
    /// # Panics
    /// When ffmpeg can't be run.
    #[must_use]
    pub fn shown_by_ffmpeg(&self, records: &[Record]) -> Vec<String> {
        let values = records.iter().map(|record| record.value.as_deref().unwrap());
        let (format, stream) = match self.codec {
            "vp8" => ("ivf", ivf(*b"VP80", values)),
            "vp9" => ("ivf", ivf(*b"VP90", values)),
            "av1" => ("ivf", ivf(*b"AV01", values)),
            "h265" => ("hevc", values.collect::<Vec<_>>().concat()),
            "mpeg2video" => ("mpegvideo", values.collect::<Vec<_>>().concat()),
            "mpeg4" => ("m4v", values.collect::<Vec<_>>().concat()),
            "jpeg2000" => ("j2k_pipe", values.collect::<Vec<_>>().concat()),
            "tiff" => ("tiff_pipe", values.collect::<Vec<_>>().concat()),
            "png" => ("png_pipe", values.collect::<Vec<_>>().concat()),
            same => (same, values.collect::<Vec<_>>().concat()),
        };
        pictures::fingerprints(&stream, format, self.luma)
    }

    /// How much later each time is when the clip comes again.
    fn duration(&self) -> i64 {
        let mut times: Vec<i64> = self.packets.iter().map(|packet| packet.pts).collect();
        times.sort_unstable();
        let step = times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(1);
        times[times.len() - 1] - times[0] + step
    }

    /// The elementary stream.
    #[must_use]
    pub fn stream(&self) -> Vec<u8> {
        self.packets.iter().flat_map(|packet| packet.data.clone()).collect()
    }

    /// A record of each packet, as a careful producer writes it: with times and key frame as
    /// headers, and ten packets to the second.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.looped(self.packets.len())
    }

    /// The first `count` records of the clip in a loop.
    #[must_use]
    pub fn looped(&self, count: usize) -> Vec<Record> {
        (0..count).map(|number| self.record(number)).collect()
    }

    /// The record of this number, from 0; behind the clip's end it begins again, and its times go
    /// on.
    #[must_use]
    pub fn record(&self, number: usize) -> Record {
        let packet = &self.packets[number % self.packets.len()];
        let later = self.duration() * i64::try_from(number / self.packets.len()).unwrap();
        let TimeBase(numerator, denominator) = self.time_base;
        let text = |value: String| Some(value.into_bytes());
        Record {
            key: None,
            value: Some(packet.data.clone()),
            timestamp: 1_700_000_000_000 + 100 * i64::try_from(number).unwrap(),
            headers: vec![
                ("pts".to_owned(), text((packet.pts + later).to_string())),
                ("dts".to_owned(), text((packet.dts + later).to_string())),
                ("time_base".to_owned(), text(format!("{numerator}/{denominator}"))),
                ("keyframe".to_owned(), text(u8::from(packet.keyframe).to_string())),
            ],
        }
    }
}

/// The `framemd5` hashes of the pictures of an elementary stream. ffmpeg must find no fault in it.
///
/// # Panics
/// When it does.
#[must_use]
pub fn hashes(codec: &str, stream: &[u8]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream");
    fs::write(&path, stream).unwrap();
    let format = if codec == "h265" { "hevc" } else { codec };
    let output = run(ffmpeg().args(["-f", format, "-i"]).arg(&path).args(["-f", "framemd5", "-"]));
    let lines = output.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// An IVF file of these frames, whose times are their numbers. Its header is described with
/// libvpx's tools: 32 bytes, and 12 before each frame.
fn ivf<'a>(fourcc: [u8; 4], frames: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut file = [&b"DKIF"[..], &[0, 0, 32, 0], &fourcc, &[160, 0, 112, 0]].concat();
    file.extend([25_u32, 1, 0, 0].map(u32::to_le_bytes).concat());
    for (frame, number) in frames.zip(0_u64..) {
        file.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
        file.extend(number.to_le_bytes());
        file.extend(frame);
    }
    file
}

/// A JPEG picture.
#[must_use]
pub fn jpeg() -> Vec<u8> {
    mjpeg().packets[0].data.clone()
}

/// The parameter sets from the head of a file, as units.
fn parameter_sets(path: &Path, codec: &str) -> Vec<Vec<u8>> {
    let format = if codec == "h265" { "hevc" } else { codec };
    let mut command = ffmpeg();
    command.arg("-i").arg(path).args(["-map", "0:v", "-c", "copy", "-frames:v", "1", "-f", format]);
    let output = command.arg("-").output().unwrap();
    let units = nal::units(&output.stdout);
    let sets = units.into_iter().filter(|unit| nal::is_parameter_set(unit, codec == "h265"));
    let sets: Vec<Vec<u8>> = sets.map(<[u8]>::to_vec).collect();
    assert!(sets.len() >= 2, "parameter sets of {}", path.display());
    sets
}
