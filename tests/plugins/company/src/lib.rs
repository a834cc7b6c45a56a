//! A plugin that says in whose company each frame is analysed, and fails as it is told to.

use comux_sdk::prelude::*;

comux_sdk::config! {
    struct Config {
        /// A call about a frame of this camera traps, …
        traps_for: String = String::new(),
        /// … from the record of this number on.
        traps_from: u64 = 0,
        /// A frame of this camera has an error for an answer.
        fails_for: String = String::new(),
        /// A call about several frames never ends.
        loops: bool = false,
        /// A call about several frames is answered about this many less.
        forgets: u32 = 0,
    }
}

struct Company {
    config: Config,
    calls: u64,
}

impl Company {
    fn look(&self, frame: &Frame, company: &[String]) -> Result<Headers, PluginError> {
        let camera = frame.camera();
        let sequence = frame.info().sequence;
        let traps = camera == self.config.traps_for && sequence >= self.config.traps_from;
        if traps {
            trap();
        }
        if camera == self.config.fails_for {
            return Err(PluginError::Transient("told to fail".to_owned()));
        }
        let grid = frame.motion_grid(1, 1).unwrap_or_default();
        let motion = grid.first().map_or(-1, |cell| i32::from(*cell));
        Ok(Headers::new()
            .text("company.cameras", company.join(","))
            .text("company.call", self.calls)
            .text("company.sequence", sequence)
            .text("company.motion", motion)
            .text("company.discontinuity", frame.info().discontinuity)
            .number("company.mean", frame.luma().mean, 3))
    }
}

impl Plugin for Company {
    type Config = Config;
    const HEADERS: &'static [&'static str] = &[
        "company.cameras",
        "company.call",
        "company.sequence",
        "company.motion",
        "company.discontinuity",
        "company.mean",
    ];

    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { config, calls: 0 })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        self.calls += 1;
        self.look(frame, &[frame.camera()])
    }
}

impl Batched for Company {
    fn on_batch(&mut self, frames: &[Frame]) -> Vec<Result<Headers, PluginError>> {
        self.calls += 1;
        metrics::observe("company.frames", frames.len() as f64);
        if self.config.loops {
            loop {
                std::hint::black_box(());
            }
        }
        let company: Vec<String> = frames.iter().map(Frame::camera).collect();
        let about = frames.len() - self.config.forgets as usize;
        frames.iter().take(about).map(|frame| self.look(frame, &company)).collect()
    }
}

/// Without a panic's words in the log, which tests take for one of comux.
fn trap() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    std::process::abort();
}

comux_sdk::export!(Company, batches);
