//! A plugin for tests that looks at everything it can reach, and reports it in a header: all that
//! the interface offers, and its own memory to the last byte. It leaves a mark wherever it can, so
//! that another instance would find it.

#[cfg(target_family = "wasm")]
mod memory;

#[cfg(not(target_family = "wasm"))]
mod memory {
    //! A native build has no linear memory to search.
    pub fn search() -> super::Found {
        super::Found::default()
    }
    pub fn mark(_: &str) {}
}

use comux_sdk::prelude::*;
use comux_sdk::serde_json::{Value, json};

comux_sdk::config! {
    struct Config {
        /// Something that nobody else is to see.
        secret: String = String::new(),
    }
}

/// What was in the memory before anything was put there.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(crate = "comux_sdk::serde")]
pub struct Found {
    /// Bytes other than 0 in memory that the host has just granted.
    fresh: usize,
    /// Marks, anywhere.
    marks: usize,
}

struct Spy {
    secret: String,
    found: Found,
    remembered: Vec<String>,
}

impl Plugin for Spy {
    type Config = Config;
    const HEADERS: &'static [&'static str] = &["spy.seen"];

    fn new(config: Config) -> Result<Self, ConfigError> {
        let found = memory::search();
        memory::mark(&config.secret);
        Ok(Self { secret: config.secret, found, remembered: Vec::new() })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        let info = frame.info();
        metrics::add("spy.frames", 1);
        metrics::add(&self.secret, 1);
        comux_sdk::debug!("{}", self.secret);
        let (tenant, camera) = (frame.tenant(), frame.camera());
        let own = format!("{tenant}/{camera} {}", self.secret);
        let seen = json!({
            "tenant": tenant,
            "camera": camera,
            "sequence": info.sequence,
            "pts": info.pts_us,
            "recorded": info.recorded_at_us,
            "size": [info.width, info.height],
            "keyframe": info.keyframe,
            "discontinuity": info.discontinuity,
            "format": format!("{:?}", frame.format()),
            "headers": headers(frame),
            "pixels": pixels(frame),
            "luma": format!("{:?}", frame.luma()),
            "histogram": hash(frame.histogram().iter().flat_map(|count| count.to_le_bytes())),
            "grids": [grid(frame, 256, 256), grid(frame, 1, 1), grid(frame, 32, 18)],
            "remembered": self.remembered,
            "memory": self.found,
        });
        if !self.remembered.contains(&own) {
            self.remembered.push(own);
        }
        Headers::new().json("spy.seen", &seen)
    }
}

impl Stateful for Spy {
    type State = Vec<String>;

    fn save(&self) -> Vec<String> {
        self.remembered.clone()
    }

    fn restore(&mut self, remembered: Vec<String>) -> Result<Restored, StateError> {
        self.remembered = remembered;
        Ok(Restored::Full)
    }
}

/// All of the picture, in every format, and from beyond its edges, as far as it is answered.
fn pixels(frame: &Frame) -> Value {
    let (width, height) = (frame.info().width, frame.info().height);
    let formats = [
        PixelFormat::Gray8,
        PixelFormat::Rgb24,
        PixelFormat::Bgr24,
        PixelFormat::Rgba32,
        PixelFormat::I420,
        PixelFormat::Nv12,
    ];
    let mut seen = Vec::new();
    for format in formats {
        for region in [
            None,
            Some(Rect { x: width - 8, y: height - 8, width: u32::MAX, height: u32::MAX }),
            Some(Rect { x: width, y: height, width: 64, height: 64 }),
        ] {
            for size in [None, Some((61, 47))] {
                let view = View { region, size, format };
                seen.push(match frame.read(view) {
                    Ok(pixels) => json!(hash(pixels.data)),
                    Err(ReadError::Unsupported(why)) => json!(why),
                    Err(ReadError::TooLarge(bytes)) => json!(bytes),
                });
            }
        }
    }
    json!(seen)
}

fn headers(frame: &Frame) -> Value {
    let headers = frame.headers();
    let headers = headers.iter().map(|header| (&header.name, hash(header.value.iter().copied())));
    json!(headers.collect::<Vec<_>>())
}

fn grid(frame: &Frame, cols: u32, rows: u32) -> Option<String> {
    frame.motion_grid(cols, rows).map(hash)
}

/// FNV-1a, 64 bit.
fn hash(bytes: impl IntoIterator<Item = u8>) -> String {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step))
}

comux_sdk::export!(Spy, state);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::{TestFrame, analyse};

    #[test]
    fn it_reports_what_it_is_called_with() {
        let picture = TestFrame::gray(32, 32, |x, y| (x + y) as u8).header("own", "1");
        let mut spy = Spy::new(Config { secret: "s".to_owned() }).unwrap();
        let headers = analyse(&mut spy, &picture.frame()).unwrap();
        let seen: Value =
            comux_sdk::serde_json::from_str(headers.get("spy.seen").unwrap()).unwrap();
        assert_eq!(seen["camera"], "test");
        assert_eq!(seen["headers"][0][0], "own");
        assert_eq!(seen["pixels"].as_array().map(Vec::len), Some(36));
    }
}
