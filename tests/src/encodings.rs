//! The ways in which a scene can be encoded: codecs, orders of pictures, slices, fields, depths,
//! chroma, and where parameter sets stand.

use self::Arrangement::{MessagesApart, Reserved, SetsApart, SetsOnce, Silent};
use crate::media::Clip;
use crate::records::Record;
use crate::{nal, obu};

/// How the units of a stream are put into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// Each access unit is a record, with parameter sets or a sequence header where decoding can
    /// begin.
    Usual,
    /// The sets come in the first record alone.
    SetsOnce,
    /// They come in a record of their own, each time.
    SetsApart,
    /// Messages (SEI) come in a record of their own before their access unit.
    MessagesApart,
    /// The sequence parameter set of H.264 does not say how far pictures are reordered.
    Silent,
    /// Before each frame of AV1 there is an OBU of a reserved type.
    Reserved,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    /// What it is called in what a test prints, and in names of topics.
    pub name: &'static str,
    /// The codec, as a camera's configuration has it.
    pub codec: &'static str,
    arguments: &'static str,
    arrangement: Arrangement,
    /// Whether it is among the few that stand for all.
    pub is_sample: bool,
}

/// Records from one place to begin to the next, of most of them.
pub const GROUP: usize = 12;

const fn encoding(name: &'static str, codec: &'static str, arguments: &'static str) -> Encoding {
    Encoding { name, codec, arguments, arrangement: Arrangement::Usual, is_sample: false }
}

impl Encoding {
    const fn sample(self) -> Self {
        Self { is_sample: true, ..self }
    }

    const fn arranged(self, arrangement: Arrangement) -> Self {
        Self { arrangement, ..self }
    }

    /// Whether it has no key frames but the first.
    #[must_use]
    pub fn is_refreshed(&self) -> bool {
        self.arguments.contains("intra-refresh=1")
    }

    /// The scene, encoded: 48 frames, a place to begin every 12.
    ///
    /// # Panics
    /// When ffmpeg can't.
    #[must_use]
    pub fn clip(&self) -> Clip {
        let (container, always) = match self.codec {
            "h264" => ("mp4", "-c:v libx264 -g 12 -keyint_min 12 -sc_threshold 0"),
            "h265" => ("mp4", "-c:v libx265 -preset veryfast"),
            "vp8" => ("ivf", "-c:v libvpx -g 12 -deadline realtime -cpu-used 8"),
            "vp9" => ("ivf", "-c:v libvpx-vp9 -g 12 -deadline realtime -cpu-used 8"),
            "av1" => ("ivf", "-g 12"),
            // Of MP4's head only H.264's and H.265's sets are taken; the others bring theirs along.
            "mpeg2video" | "mpeg4" => {
                ("mp4", "-g 12 -sc_threshold 1000000000 -q:v 3 -bsf:v dump_extra")
            }
            _ => ("mov", "-q:v 3"),
        };
        let h265 = "-x265-params log-level=none:pools=1:frame-threads=1:scenecut=0:keyint=12:\
                    min-keyint=12";
        let mut arguments: Vec<String> = ["-frames:v", "48"].map(str::to_owned).to_vec();
        arguments.extend(always.split(' ').map(str::to_owned));
        if self.codec == "h265" {
            // `-x265-params` given twice would be the second alone.
            let (own, others) = self.arguments.split_once(' ').unwrap_or((self.arguments, ""));
            arguments.extend(format!("{h265}:{own}").split(' ').map(str::to_owned));
            arguments.extend(others.split_whitespace().map(str::to_owned));
        } else {
            arguments.extend(self.arguments.split_whitespace().map(str::to_owned));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Clip::of_noise(self.codec, container, &arguments)
    }

    /// The clip's records, as its units are arranged.
    #[must_use]
    pub fn records(&self, clip: &Clip) -> Vec<Record> {
        let mut records = Vec::new();
        for record in clip.records() {
            let unit = record.value.as_ref().unwrap();
            let (before, rest) = self.arrange(unit, records.is_empty());
            if let Some(before) = before {
                // It shows no picture, and no container would say when.
                let is_of_picture = |(name, _): &(String, _)| name == "keyframe" || name == "pts";
                let others = record.headers.iter().filter(|header| !is_of_picture(header));
                let headers = others.cloned().collect();
                records.push(Record { headers, value: Some(before), ..record.clone() });
            }
            records.push(Record { value: Some(rest), ..record });
        }
        records
    }

    /// What goes into a record before that of an access unit, and into its own.
    fn arrange(&self, data: &[u8], is_first: bool) -> (Option<Vec<u8>>, Vec<u8>) {
        let is_av1 = self.codec == "av1";
        if !is_av1 && !matches!(self.codec, "h264" | "h265") {
            return (None, data.to_vec());
        }
        let units = if is_av1 { obu::units(data) } else { nal::units(data) };
        let whole = |units: &[&[u8]]| if is_av1 { units.concat() } else { nal::annexb(units) };
        let is_set = |unit: &&[u8]| match self.codec {
            "av1" => obu::is_sequence_header(unit),
            codec => nal::is_parameter_set(unit, codec == "h265"),
        };
        // ITU-T H.264, table 7-1; H.265, table 7-1.
        let is_message = |unit: &&[u8]| match self.codec {
            "h264" => unit[0] & 0x1f == 6,
            _ => unit[0] >> 1 & 0x3f == 39,
        };
        let apart = |is_apart: &dyn Fn(&&[u8]) -> bool| {
            let (apart, others): (Vec<&[u8]>, Vec<&[u8]>) =
                units.iter().partition(|it| is_apart(it));
            ((!apart.is_empty()).then(|| whole(&apart)), whole(&others))
        };
        match self.arrangement {
            Arrangement::Usual => (None, data.to_vec()),
            Arrangement::SetsOnce if is_first => (None, data.to_vec()),
            Arrangement::SetsOnce => (None, apart(&is_set).1),
            Arrangement::SetsApart => apart(&is_set),
            Arrangement::MessagesApart => apart(&is_message),
            Arrangement::Silent => {
                let unit = |unit: &&[u8]| match unit[0] & 0x1f {
                    7 => nal::without_usability(unit),
                    _ => unit.to_vec(),
                };
                let units: Vec<Vec<u8>> = units.iter().map(unit).collect();
                (None, whole(&units.iter().map(Vec::as_slice).collect::<Vec<_>>()))
            }
            Arrangement::Reserved => {
                let (delimiter, others) = units.split_at(1);
                let reserved = obu::reserved();
                (None, whole(&[delimiter, &[&reserved], others].concat()))
            }
        }
    }
}

/// All of them.
pub const ENCODINGS: [Encoding; 77] = [
    encoding("h264-low-delay", "h264", "-bf 0").sample(),
    encoding("h264-reordered", "h264", "-bf 2 -b_strategy 0"),
    encoding("h264-pyramid", "h264", "-bf 4 -b_strategy 0 -refs 4").sample(),
    encoding("h264-open", "h264", "-bf 2 -b_strategy 0 -x264-params open-gop=1").sample(),
    encoding("h264-refresh", "h264", "-bf 0 -refs 1 -x264-params intra-refresh=1").sample(),
    encoding("h264-refresh-refs", "h264", "-bf 0 -refs 3 -x264-params intra-refresh=1"),
    encoding("h264-one-reference", "h264", "-bf 0 -refs 1"),
    encoding("h264-intra", "h264", "-g 1"),
    encoding("h264-slices", "h264", "-bf 2 -b_strategy 0 -slices 4"),
    encoding("h264-slices-low-delay", "h264", "-bf 0 -slices 4"),
    encoding("h264-fields", "h264", "-bf 2 -b_strategy 0 -x264-params tff=1").sample(),
    encoding("h264-fields-low-delay", "h264", "-bf 0 -x264-params bff=1"),
    encoding("h264-10-bit", "h264", "-bf 2 -pix_fmt yuv420p10le"),
    encoding("h264-422", "h264", "-bf 2 -pix_fmt yuv422p"),
    encoding("h264-422-10-bit", "h264", "-bf 0 -pix_fmt yuv422p10le"),
    encoding("h264-444", "h264", "-bf 2 -pix_fmt yuv444p"),
    encoding("h264-gray", "h264", "-bf 0 -pix_fmt gray"),
    encoding("h264-baseline", "h264", "-profile:v baseline -pix_fmt yuv420p"),
    encoding("h264-cavlc", "h264", "-bf 2 -coder 0"),
    encoding("h264-weighted", "h264", "-bf 2 -weightp 2 -weightb 1 -refs 3"),
    encoding("h264-lossless", "h264", "-qp 0 -bf 0"),
    encoding("h264-temporal", "h264", "-bf 3 -b_strategy 0 -direct-pred temporal"),
    encoding("h264-long", "h264", "-bf 2 -g 1000"),
    encoding("h264-sets-once", "h264", "-bf 2 -b_strategy 0").arranged(SetsOnce),
    encoding("h264-sets-apart", "h264", "-bf 2 -b_strategy 0").arranged(SetsApart).sample(),
    encoding("h264-silent", "h264", "-bf 2 -b_strategy 0").arranged(Silent).sample(),
    encoding("h264-silent-single", "h264", "-bf 1 -b_strategy 0").arranged(Silent),
    encoding("h264-silent-pyramid", "h264", "-bf 4 -b_strategy 0 -refs 4").arranged(Silent),
    encoding("h264-silent-fields", "h264", "-bf 2 -b_strategy 0 -x264-params tff=1")
        .arranged(Silent),
    encoding("h264-messages-apart", "h264", "-bf 2 -b_strategy 0 -x264-params open-gop=1")
        .arranged(MessagesApart),
    encoding("h264-refresh-messages-apart", "h264", "-bf 0 -refs 1 -x264-params intra-refresh=1")
        .arranged(MessagesApart),
    encoding("h265-low-delay", "h265", "bframes=0").sample(),
    encoding("h265-reordered", "h265", "bframes=2:b-adapt=0:open-gop=0"),
    encoding("h265-pyramid", "h265", "bframes=4:b-adapt=0:open-gop=0"),
    encoding("h265-open", "h265", "bframes=3:b-adapt=0:open-gop=1").sample(),
    encoding("h265-slices", "h265", "bframes=0:slices=3:ctu=16"),
    encoding("h265-one-reference", "h265", "bframes=0:ref=1"),
    encoding("h265-intra", "h265", "keyint=1:min-keyint=1"),
    encoding("h265-10-bit", "h265", "bframes=2 -pix_fmt yuv420p10le"),
    encoding("h265-12-bit", "h265", "bframes=0 -pix_fmt yuv420p12le"),
    encoding("h265-422", "h265", "bframes=2 -pix_fmt yuv422p"),
    encoding("h265-444", "h265", "bframes=0 -pix_fmt yuv444p"),
    encoding("h265-gray", "h265", "bframes=0 -pix_fmt gray"),
    encoding("h265-wavefronts", "h265", "bframes=2:wpp=1:ctu=16"),
    encoding("h265-weighted", "h265", "bframes=2:weightb=1"),
    encoding("h265-lossless", "h265", "bframes=0:lossless=1"),
    encoding("h265-long", "h265", "bframes=2:keyint=1000"),
    encoding("h265-sets-once", "h265", "bframes=2:open-gop=0").arranged(SetsOnce),
    encoding("h265-sets-apart", "h265", "bframes=2:open-gop=0").arranged(SetsApart),
    encoding("vp8-low-delay", "vp8", "-auto-alt-ref 0"),
    encoding("vp8-hidden", "vp8", "-auto-alt-ref 1 -lag-in-frames 8 -deadline good").sample(),
    encoding("vp8-resilient", "vp8", "-error-resilient partitions"),
    encoding("vp9-low-delay", "vp9", "").sample(),
    encoding("vp9-hidden", "vp9", "-auto-alt-ref 1 -lag-in-frames 8 -deadline good"),
    encoding("vp9-resilient", "vp9", "-error-resilient 1"),
    encoding("vp9-10-bit", "vp9", "-pix_fmt yuv420p10le"),
    encoding("vp9-444", "vp9", "-pix_fmt yuv444p"),
    encoding("vp9-440", "vp9", "-pix_fmt yuv440p"),
    encoding("vp9-lossless", "vp9", "-lossless 1"),
    encoding("av1-low-delay", "av1", "-c:v libaom-av1 -usage realtime -cpu-used 8").sample(),
    encoding("av1-hidden", "av1", "-c:v libaom-av1 -cpu-used 8 -lag-in-frames 8"),
    encoding("av1-rav1e", "av1", "-c:v librav1e -speed 10"),
    encoding("av1-444", "av1", "-c:v libaom-av1 -usage realtime -cpu-used 8 -pix_fmt yuv444p"),
    encoding("av1-10-bit", "av1", "-c:v libaom-av1 -cpu-used 8 -pix_fmt yuv420p10le"),
    encoding("av1-once", "av1", "-c:v libaom-av1 -usage realtime -cpu-used 8").arranged(SetsOnce),
    encoding("av1-apart", "av1", "-c:v libaom-av1 -cpu-used 8 -lag-in-frames 8")
        .arranged(SetsApart),
    encoding("av1-reserved", "av1", "-c:v libaom-av1 -usage realtime -cpu-used 8")
        .arranged(Reserved),
    encoding("mjpeg-420", "mjpeg", "-c:v mjpeg -pix_fmt yuvj420p").sample(),
    encoding("mjpeg-422", "mjpeg", "-c:v mjpeg -pix_fmt yuvj422p"),
    encoding("mjpeg-444", "mjpeg", "-c:v mjpeg -pix_fmt yuvj444p"),
    encoding("png-gray", "png", "-c:v png -pix_fmt gray"),
    encoding("jpeg2000", "jpeg2000", "-c:v jpeg2000 -pix_fmt yuv420p"),
    encoding("tiff", "tiff", "-c:v tiff -pix_fmt gray"),
    encoding("mpeg2-low-delay", "mpeg2video", "-c:v mpeg2video -bf 0"),
    encoding("mpeg2-reordered", "mpeg2video", "-c:v mpeg2video -bf 2").sample(),
    encoding("mpeg2-fields", "mpeg2video", "-c:v mpeg2video -flags +ildct+ilme"),
    encoding("mpeg4-low-delay", "mpeg4", "-c:v mpeg4 -bf 0"),
];
