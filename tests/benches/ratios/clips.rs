//! What is fed: the same scene in the sizes and codecs that are compared, made by ffmpeg at first
//! use.

use std::path::PathBuf;
use std::sync::OnceLock;

use comux_tests::figures::directory;
use comux_tests::media::Clip;

/// A clip, its names in rows, and its file, for those who read files.
pub struct Footage {
    pub codec: &'static str,
    pub size: &'static str,
    pub clip: Clip,
    pub path: PathBuf,
}

const X264: [&str; 6] = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0"];
const X264_BFRAMES: [&str; 6] = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3"];
const X265: [&str; 6] =
    ["-c:v", "libx265", "-preset", "superfast", "-x265-params", "log-level=error"];

macro_rules! footage {
    ($function:ident, $name:literal, $codec:literal, ($size:literal, $kilobits:literal), $encoder:expr) => {
        pub fn $function() -> &'static Footage {
            static FOOTAGE: OnceLock<Footage> = OnceLock::new();
            FOOTAGE.get_or_init(|| {
                let path = directory().join(concat!(stringify!($function), ".mp4"));
                let clip = Clip::scaled($codec, ($size, $kilobits), &$encoder, &path);
                Footage { codec: $name, size: $size, clip, path }
            })
        }
    };
}

footage!(full_hd_bframes, "H.264 with B-frames", "h264", ("1920x1080", 4000), X264_BFRAMES);
footage!(full_hd, "H.264 without", "h264", ("1920x1080", 4000), X264);
footage!(full_hd_h265, "H.265", "h265", ("1920x1080", 4000), X265);
footage!(hd, "H.264 without", "h264", ("1280x720", 2000), X264);
// What many cameras send for analysis beside the large stream.
footage!(substream, "H.264 without", "h264", ("640x360", 700), X264);
