//! A plugin for tests that fails in the way and as often as it is told.

use comux_sdk::prelude::*;
use std::hint::black_box;

/// The ways to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "comux_sdk::serde", rename_all = "kebab-case")]
enum How {
    /// Executes `unreachable`.
    Trap,
    /// Never returns.
    Loop,
    /// Takes memory until the host refuses, then traps.
    Grow,
    /// Writes a header that it has not declared.
    Undeclared,
    /// Returns `invalid-input`.
    Error,
    /// Refuses its configuration.
    ConfigureError,
    /// Doesn't.
    None,
}

comux_sdk::config! {
    /// How to fail, and when.
    #[derive(Debug)]
    struct Config {
        /// In which way.
        how: How = How::None,
        /// On each frame of this many, counted from 1: with 3 on the third, the sixth, ….
        every: u64 = 1,
    }
}

struct Misbehave {
    config: Config,
    frames: u64,
}

const MEGABYTE: usize = 1 << 20;

impl Misbehave {
    fn is_due(&mut self) -> bool {
        self.frames += 1;
        self.frames.is_multiple_of(self.config.every)
    }
}

impl Plugin for Misbehave {
    type Config = Config;
    const HEADERS: &'static [&'static str] = &["misbehave.frame"];

    fn new(config: Config) -> Result<Self, ConfigError> {
        if config.every == 0 {
            return Err(ConfigError::key("every", "must be at least 1"));
        }
        if config.how == How::ConfigureError {
            return Err(ConfigError::key("how", "refused, as configured"));
        }
        Ok(Self { config, frames: 0 })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        let headers = Headers::new().text("misbehave.frame", frame.info().sequence);
        if !self.is_due() {
            return Ok(headers);
        }
        match self.config.how {
            How::Trap => std::process::abort(),
            How::Loop => loop {
                black_box(());
            },
            How::Grow => {
                let mut taken = Vec::new();
                loop {
                    taken.push(black_box(vec![1_u8; MEGABYTE]));
                }
            }
            How::Undeclared => Ok(headers.text("misbehave.undeclared", "1")),
            How::Error => Err(PluginError::InvalidInput("as configured".to_owned())),
            How::ConfigureError | How::None => Ok(headers),
        }
    }
}

comux_sdk::export!(Misbehave);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::TestFrame;

    #[test]
    fn it_fails_on_each_nth_frame() {
        let config = Config { how: How::Error, every: 3 };
        let mut plugin = Misbehave::new(config).unwrap();
        let picture = TestFrame::gray(2, 2, |_, _| 0);
        let failed: Vec<bool> =
            (0..6).map(|_| plugin.on_frame(&picture.frame()).is_err()).collect();
        assert_eq!(failed, [false, false, true, false, false, true]);
    }
}
