//! Tells when a camera is covered, defocused or moved. Each picture is measured on a small gray
//! copy (`measures`), compared with what is usual for this camera (`scene`), and an event is
//! reported once it has held (`hold`). The formulas and the headers are in the README.

mod hold;
mod measures;
mod scene;

use comux_sdk::prelude::*;
use hold::{Hold, State};
use measures::Measures;
use scene::Scene;

comux_sdk::config! {
    /// What counts as tampering, and after how many analysed frames.
    #[derive(Debug, Clone)]
    struct Config {
        /// Width of the gray copy that is looked at, 64 to 640 pixels.
        width: u32 = 160,
        /// Height of the gray copy, 36 to 360 pixels.
        height: u32 = 90,
        /// Covered: contrast, the standard deviation of the gray levels 0 to 255, is below this.
        covered_below: f64 = 6.0,
        /// Defocused: sharpness is below this share of the usual, 0 to 1.
        defocused_below: f64 = 0.4,
        /// Moved: similarity with the usual picture is below this, -1 to 1.
        moved_below: f64 = 0.5,
        /// A change of state is reported after it has held for this many frames, at least 1.
        hold_frames: u32 = 50,
        /// Frames until defocused and moved can be told, at least 1.
        warmup_frames: u32 = 50,
        /// The usual is a running mean over about this many frames; not less than `warmup_frames`.
        memory_frames: u32 = 1500,
        /// After this many frames defocused or moved, what is seen becomes the usual; 0: never.
        relearn_frames: u32 = 15_000,
    }
}

/// The measures of a picture beside what is usual, as reported.
#[derive(Debug, Serialize)]
#[serde(crate = "comux_sdk::serde")]
struct Detail {
    contrast: f64,
    sharpness: f64,
    /// Absent until there is a usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    usual_sharpness: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<f64>,
}

struct Tamper {
    config: Config,
    scene: Scene,
    hold: Hold,
    frames_off_usual: u32,
}

impl Tamper {
    /// The state that this picture alone speaks for. A covered camera also looks blurred and
    /// strange, and a turned one may see something smoother, so the order matters.
    fn look(&self, measures: &Measures) -> State {
        if measures.contrast < self.config.covered_below {
            return State::Covered;
        }
        let Some(usual) = self.scene.usual() else {
            return State::Ok;
        };
        if usual.similarity(measures) < self.config.moved_below {
            State::Moved
        } else if measures.sharpness < self.config.defocused_below * usual.sharpness() {
            State::Defocused
        } else {
            State::Ok
        }
    }

    fn learn(&mut self, measures: &Measures, seen: State) {
        match seen {
            State::Ok => {
                self.frames_off_usual = 0;
                self.scene.learn(measures);
            }
            State::Covered => {}
            State::Defocused | State::Moved => {
                self.frames_off_usual = self.frames_off_usual.saturating_add(1);
                if self.frames_off_usual == self.config.relearn_frames {
                    self.frames_off_usual = 0;
                    self.scene.forget();
                    warn!(
                        "{} for {} frames: what is seen now is taken as usual",
                        seen.name(),
                        self.config.relearn_frames
                    );
                }
            }
        }
    }

    fn detail(&self, measures: &Measures) -> Detail {
        let usual = self.scene.usual();
        Detail {
            contrast: rounded(measures.contrast),
            sharpness: rounded(measures.sharpness),
            usual_sharpness: usual.map(|usual| rounded(usual.sharpness())),
            similarity: usual.map(|usual| rounded(usual.similarity(measures))),
        }
    }
}

impl Plugin for Tamper {
    type Config = Config;
    const HEADERS: &'static [&'static str] = &["tamper.state", "tamper.detail"];

    fn new(config: Config) -> Result<Self, ConfigError> {
        check(&config)?;
        Ok(Self {
            scene: Scene::new(config.warmup_frames, config.memory_frames),
            hold: Hold::new(config.hold_frames),
            frames_off_usual: 0,
            config,
        })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        let view = View::gray8().size(self.config.width, self.config.height);
        let measures = Measures::of(&frame.read(view)?);
        let seen = self.look(&measures);
        let detail = self.detail(&measures);
        self.learn(&measures, seen);
        Headers::new()
            .text("tamper.state", self.hold.report(seen).name())
            .json("tamper.detail", &detail)
    }
}

fn check(config: &Config) -> Result<(), ConfigError> {
    let refuse = |key, allowed| Err(ConfigError::key(key, allowed));
    if !(64..=640).contains(&config.width) {
        return refuse("width", "must be 64 to 640");
    }
    if !(36..=360).contains(&config.height) {
        return refuse("height", "must be 36 to 360");
    }
    if !(0.0..=127.5).contains(&config.covered_below) {
        return refuse("covered_below", "must be 0 to 127.5");
    }
    if !(0.0..=1.0).contains(&config.defocused_below) {
        return refuse("defocused_below", "must be 0 to 1");
    }
    if !(-1.0..=1.0).contains(&config.moved_below) {
        return refuse("moved_below", "must be -1 to 1");
    }
    if config.hold_frames == 0 {
        return refuse("hold_frames", "must be at least 1");
    }
    if config.warmup_frames == 0 {
        return refuse("warmup_frames", "must be at least 1");
    }
    if config.memory_frames < config.warmup_frames {
        return refuse("memory_frames", "must not be less than warmup_frames");
    }
    Ok(())
}

/// To three decimals, as JSON shows it.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

comux_sdk::export!(Tamper);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::{TestFrame, analyse};

    const HOLD: usize = 5;
    const WARMUP: usize = 10;

    fn plugin(relearn_frames: u32) -> Tamper {
        Tamper::new(Config {
            hold_frames: HOLD as u32,
            warmup_frames: WARMUP as u32,
            relearn_frames,
            ..Config::default()
        })
        .unwrap()
    }

    /// A scene of blocks of 20 pixels whose gray is a hash of their place, `blur` pixels soft at
    /// their edges, seen `shift` pixels further right.
    fn scene(shift: u32, blur: u32) -> TestFrame {
        let block = |x: u32, y: u32| {
            let (col, row) = ((x + shift) / 20, y / 20);
            let hash = ((col * 73_856_093) ^ (row * 19_349_663)).wrapping_mul(2_654_435_761);
            f64::from(hash >> 24)
        };
        TestFrame::gray(320, 180, |x, y| {
            let reach = 2 * blur + 1;
            let around = (0..reach).flat_map(|dy| (0..reach).map(move |dx| (dx, dy)));
            let sum: f64 = around.map(|(dx, dy)| block(x + dx, y + dy)).sum();
            (sum / f64::from(reach * reach)) as u8
        })
    }

    fn states(plugin: &mut Tamper, picture: &TestFrame, frames: usize) -> Vec<String> {
        let states = (0..frames).map(|_| {
            let headers = analyse(plugin, &picture.frame()).unwrap();
            headers.get("tamper.state").unwrap().to_owned()
        });
        states.collect()
    }

    /// After a usual scene, the state reported one frame before `HOLD` and from then on.
    fn reported(picture: &TestFrame) -> (String, String) {
        let mut plugin = plugin(0);
        let usual = states(&mut plugin, &scene(0, 0), 2 * WARMUP);
        assert!(usual.iter().all(|state| state == "ok"));
        let states = states(&mut plugin, picture, 3 * HOLD);
        let expected = states[HOLD..].iter().all(|state| *state == states[HOLD]);
        assert!(expected, "{states:?}");
        (states[HOLD - 2].clone(), states[HOLD - 1].clone())
    }

    #[test]
    fn a_covered_camera_is_reported_once_it_has_held() {
        let covered = TestFrame::gray(320, 180, |x, y| 30 + ((x + y) % 5) as u8);
        assert_eq!(reported(&covered), ("ok".into(), "covered".into()));
    }

    #[test]
    fn a_camera_is_covered_even_before_anything_is_usual() {
        let covered = TestFrame::gray(320, 180, |_, _| 30);
        let states = states(&mut plugin(0), &covered, HOLD);
        assert_eq!(states[HOLD - 1], "covered");
    }

    #[test]
    fn a_defocused_camera_is_reported() {
        assert_eq!(reported(&scene(0, 8)), ("ok".into(), "defocused".into()));
    }

    #[test]
    fn a_turned_camera_is_reported() {
        assert_eq!(reported(&scene(60, 0)), ("ok".into(), "moved".into()));
    }

    #[test]
    fn a_darker_or_brighter_scene_is_the_same_scene() {
        let usual = scene(0, 0);
        let pixels = usual.frame().read(View::gray8()).unwrap();
        let dusk = TestFrame::gray(320, 180, |x, y| pixels.data[(y * 320 + x) as usize] / 3 + 10);
        assert_eq!(reported(&dusk).1, "ok");
    }

    #[test]
    fn a_lorry_that_passes_is_no_event() {
        let usual = scene(0, 0);
        let mut plugin = plugin(0);
        states(&mut plugin, &usual, 2 * WARMUP);
        let passing = states(&mut plugin, &scene(60, 0), HOLD - 1);
        let after = states(&mut plugin, &usual, HOLD);
        assert!(passing.iter().chain(&after).all(|state| state == "ok"));
    }

    #[test]
    fn a_turned_camera_that_stays_becomes_usual_when_wished() {
        let mut plugin = plugin(20);
        states(&mut plugin, &scene(0, 0), 2 * WARMUP);
        let states = states(&mut plugin, &scene(60, 0), 20 + HOLD);
        assert_eq!(states[19], "moved");
        assert_eq!(states[19 + HOLD], "ok");
    }

    #[test]
    fn the_detail_has_no_usual_before_the_warm_up() {
        let mut plugin = plugin(0);
        let first = analyse(&mut plugin, &scene(0, 0).frame()).unwrap();
        assert!(!first.get("tamper.detail").unwrap().contains("similarity"));
        states(&mut plugin, &scene(0, 0), WARMUP);
        let later = analyse(&mut plugin, &scene(0, 0).frame()).unwrap();
        let detail = later.get("tamper.detail").unwrap();
        assert!(detail.contains(r#""similarity":1.0"#), "{detail}");
    }

    #[test]
    fn impossible_values_are_refused_with_their_key() {
        let config = Config { memory_frames: 1, ..Config::default() };
        let refusal = Tamper::new(config).err().unwrap().to_string();
        assert_eq!(refusal, "memory_frames: must not be less than warmup_frames");
    }
}
