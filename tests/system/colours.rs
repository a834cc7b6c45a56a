//! A plugin sees the colours of the scene, whatever matrix, range and depth the camera codes them
//! with, and is told which. What is expected is calculated here from the standards' formulas.

use comux_tests::media::Clip;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Record, consume, produce};
use serde_json::{Value, json};

use crate::promises::{assert_same_records, topics};

/// Black, white, gray, the colours of the cube's corners and BT.709's green, 0 to 1.
const SCENE: [[f64; 3]; 8] = [
    [0.0, 0.0, 0.0],
    [1.0, 1.0, 1.0],
    [0.5, 0.5, 0.5],
    [1.0, 0.0, 0.0],
    [0.0, 1.0, 0.0],
    [0.0, 0.0, 1.0],
    [0.0, 192.0 / 255.0, 0.0],
    [0.9, 0.6, 0.3],
];
/// Frames of a clip.
const FRAMES: usize = 3;

/// A camera, and how it codes the scene.
struct Camera {
    name: &'static str,
    codec: &'static str,
    size: (usize, usize),
    /// As ffmpeg calls the format.
    format: &'static str,
    bits: u32,
    full: bool,
    /// How much red and how much blue is in luma: ITU-R BT.601-7, 2.5.1; BT.709-6, 3.2; BT.2020-2,
    /// table 4.
    weights: (f64, f64),
    encoder: &'static [&'static str],
    /// As the plugin is to be told.
    told: (&'static str, bool, bool),
}

const LOSSLESS_H264: &[&str] = &["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast"];
const LOSSLESS_H265: &[&str] =
    &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "lossless=1:log-level=none"];

const BT_601: &[&str] = &["-colorspace", "smpte170m", "-color_range", "tv"];
const BT_601_FULL: &[&str] = &["-colorspace", "smpte170m", "-color_range", "pc"];
const BT_709: &[&str] = &["-colorspace", "bt709", "-color_range", "tv"];
const BT_2020: &[&str] = &["-colorspace", "bt2020nc", "-color_range", "tv"];

impl Camera {
    /// Luma, and two samples of chroma, of a colour: BT.601-7, 2.5.3, BT.709-6, 4.6 and BT.2020-2,
    /// table 5; of full range, ITU-T H.273, 8.3.
    fn coded(&self, [red, green, blue]: [f64; 3]) -> [f64; 3] {
        let (kr, kb) = self.weights;
        let luma = kr * red + (1.0 - kr - kb) * green + kb * blue;
        let chroma = [(blue - luma) / (2.0 * (1.0 - kb)), (red - luma) / (2.0 * (1.0 - kr))];
        let (scale, most) = (f64::from(1 << (self.bits - 8)), f64::from((1 << self.bits) - 1));
        let samples = if self.full {
            [luma * most, chroma[0] * most + 128.0 * scale, chroma[1] * most + 128.0 * scale]
        } else {
            [
                scale * (219.0 * luma + 16.0),
                scale * (224.0 * chroma[0] + 128.0),
                scale * (224.0 * chroma[1] + 128.0),
            ]
        };
        samples.map(|sample| sample.round().min(most))
    }

    fn is_gray(&self) -> bool {
        self.format.starts_with("gray")
    }

    /// The stripes as the planes of a picture.
    fn samples(&self) -> Vec<u8> {
        let (width, height) = self.size;
        let card = SCENE.map(|colour| self.coded(colour));
        let mut planes = vec![(0, width, height)];
        if !self.is_gray() {
            planes.extend([(1, width / 2, height / 2), (2, width / 2, height / 2)]);
        }
        let mut samples = Vec::new();
        for (part, width, height) in planes {
            let row = (0..width).flat_map(|x| {
                let sample = card[x * SCENE.len() / width][part] as u16;
                let [low, high] = sample.to_le_bytes();
                [low, high].into_iter().take(if self.bits > 8 { 2 } else { 1 })
            });
            samples.extend(row.collect::<Vec<u8>>().repeat(height));
        }
        samples.repeat(FRAMES)
    }

    fn records(&self) -> Vec<Record> {
        let size = format!("{}x{}", self.size.0, self.size.1);
        let lossless = if self.codec == "h264" { LOSSLESS_H264 } else { LOSSLESS_H265 };
        let encoder = [lossless, self.encoder].concat();
        Clip::encoded(self.codec, &self.samples(), (self.format, &size), &encoder).records()
    }
}

fn cameras() -> [Camera; 7] {
    let (bt_601, bt_709, bt_2020) = ((0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593));
    // What is stated goes against what is customary for the size.
    let small = Camera {
        name: "colours-709",
        codec: "h264",
        size: (256, 64),
        format: "yuv420p",
        bits: 8,
        full: false,
        weights: bt_709,
        encoder: BT_709,
        told: ("Bt709", true, true),
    };
    let large = Camera {
        name: "colours-601",
        size: (1280, 720),
        weights: bt_601,
        encoder: BT_601,
        told: ("Bt601", true, true),
        ..small
    };
    let full = Camera {
        name: "colours-full",
        format: "yuvj420p",
        full: true,
        weights: bt_601,
        encoder: BT_601_FULL,
        told: ("Bt601", true, true),
        ..small
    };
    let deep = Camera {
        name: "colours-2020",
        codec: "h265",
        format: "yuv420p10le",
        bits: 10,
        weights: bt_2020,
        encoder: BT_2020,
        told: ("Bt2020", true, true),
        ..small
    };
    let unstated = Camera {
        name: "colours-unstated",
        weights: bt_601,
        encoder: &[],
        told: ("Bt601", false, false),
        ..small
    };
    let unstated_large = Camera {
        name: "colours-unstated-large",
        size: (1280, 720),
        encoder: &[],
        told: ("Bt709", false, false),
        ..small
    };
    let gray = Camera {
        name: "colours-gray",
        codec: "h265",
        format: "gray10le",
        bits: 10,
        full: true,
        weights: bt_601,
        encoder: &["-color_range", "pc"],
        told: ("Bt601", true, false),
        ..small
    };
    [small, large, full, deep, unstated, unstated_large, gray]
}

fn stripes(record: &Record, header: &str) -> Vec<Vec<f64>> {
    let text = record.header(header).unwrap_or_else(|| panic!("{header}: {:?}", record.status()));
    serde_json::from_str(text).unwrap()
}

/// Each part of each stripe is within 2 levels of the scene, of which black is 0 and white 255.
fn assert_shows(about: &str, found: &[Vec<f64>], expected: impl Fn([f64; 3]) -> [f64; 3]) {
    assert_eq!(found.len(), SCENE.len(), "{about}");
    for (found, colour) in found.iter().zip(SCENE) {
        assert_eq!(found.len(), 3, "{about}: red, green and blue");
        for (found, part) in found.iter().zip(expected(colour)) {
            let differs = (found - 255.0 * part).abs();
            assert!(differs <= 2.0, "{about}: {colour:?} is seen as {found:?}");
        }
    }
}

#[test]
fn a_plugin_sees_the_colours_of_the_scene_whatever_the_stream_codes_them_with() {
    let cameras = cameras();
    let mut config = Config::new("colours");
    let mut inputs = Vec::new();
    for camera in &cameras {
        let records = camera.records();
        produce(&topics(camera.name).0, &records);
        let lines = format!(
            "codec = '{}'\nmode = 'every-frame'\nstart = 'beginning'\n{}",
            camera.codec,
            plugins_line("colours", &format!("stripes = {}", SCENE.len()))
        );
        config = config.camera(camera.name, &lines);
        inputs.push(records);
    }
    let comux = Comux::run(&config);
    let outputs =
        cameras.each_ref().map(|camera| consume(&format!("stream_{}", camera.name), FRAMES));
    comux.stop();
    for ((camera, input), output) in cameras.iter().zip(&inputs).zip(&outputs) {
        let name = camera.name;
        assert_same_records(input, output);
        let luma = SCENE.map(|colour| camera.coded(colour)[0]);
        let scale = f64::from(1 << (camera.bits - 8));
        let in_8_bit = luma.map(|luma| (luma / scale).round().min(255.0));
        let mean = in_8_bit.iter().sum::<f64>() / SCENE.len() as f64;
        let weights = camera.weights;
        let gray = |[red, green, blue]: [f64; 3]| {
            [weights.0 * red + (1.0 - weights.0 - weights.1) * green + weights.1 * blue; 3]
        };
        for record in output {
            for header in ["colours.whole", "colours.scaled"] {
                let (found, about) = (stripes(record, header), format!("{name}, {header}"));
                if camera.is_gray() {
                    assert_shows(&about, &found, gray);
                } else {
                    assert_shows(&about, &found, |colour| colour);
                }
            }
            let coded: Vec<f64> = stripes(record, "colours.gray").concat();
            assert_eq!(coded, in_8_bit, "{name}: gray8 is as coded");
            assert!((record.number("colours.luma") - mean).abs() < 0.001, "{name}: mean luma");
            let scene = SCENE.map(|colour| 255.0 * gray(colour)[0]).iter().sum::<f64>() / 8.0;
            let normalised = record.number("colours.normalised");
            assert!((normalised - scene).abs() < 1.0, "{name}: {normalised} of {scene}");
            let told: Value =
                serde_json::from_str(record.header("colours.format").unwrap()).unwrap();
            let (matrix, is_range_stated, is_matrix_stated) = camera.told;
            let expected = json!({
                "full": camera.full,
                "range-stated": is_range_stated,
                "matrix": format!("ColourMatrix::{matrix}"),
                "matrix-stated": is_matrix_stated,
                "bits": camera.bits,
                "rotation": 0,
                "mirrored": false,
                "aspect": null,
            });
            assert_eq!(told, expected, "{name}");
        }
    }
}

/// A display orientation SEI of H.264 (D.1.27): not mirrored, and turned by a quarter
/// anticlockwise. Three flags (cancel, horizontal, vertical), 16384 of 65536 in 16 bits, a period
/// of 0 and no extension, behind type 47 and a length of 3.
const TURNED: [u8; 11] = [0, 0, 0, 1, 0x06, 47, 3, 0b0000_1000, 0, 0b0001_0100, 0x80];

#[test]
fn a_plugin_is_told_how_the_frame_wants_to_be_shown() {
    let [camera, ..] = cameras();
    let encoder = &["-vf", "setsar=4/3"];
    let camera = Camera { name: "colours-turned", encoder, ..camera };
    let mut records = camera.records();
    let first = records[0].value.as_mut().unwrap();
    first.splice(..0, TURNED);
    let (input, output) = topics(camera.name);
    produce(&input, &records);
    let lines = format!(
        "codec = 'h264'\nmode = 'every-frame'\nstart = 'beginning'\n{}",
        plugins_line("colours", "")
    );
    let comux = Comux::run(&Config::new(camera.name).camera(camera.name, &lines));
    let result = consume(&output, records.len());
    comux.stop();
    assert_same_records(&records, &result);
    let told: Value = serde_json::from_str(result[0].header("colours.format").unwrap()).unwrap();
    assert_eq!(told["rotation"], 270, "{told}");
    assert_eq!(told["mirrored"], false, "{told}");
    assert_eq!(told["aspect"], json!([4, 3]), "{told}");
}
