//! Says how much of each picture moves. Make of it what you need.

use comux_sdk::prelude::*;

/// The grid on which pictures are compared.
const COLS: u32 = 32;
const ROWS: u32 = 18;

comux_sdk::config! {
    /// What `config` of a camera's plugin may say. Whatever is not there, or not of the type, is
    /// refused with its key.
    #[derive(Debug)]
    struct Config {
        /// By how much the luma of a cell has to differ from the picture before, 1 to 255.
        threshold: u8 = 12,
        /// From which share of the cells on a picture is `moving`, 0 to 1.
        moving_from: f64 = 0.02,
    }
}

struct Activity {
    config: Config,
}

impl Plugin for Activity {
    type Config = Config;
    // The host refuses results with any other name.
    const HEADERS: &'static [&'static str] = &["{{name}}.share", "{{name}}.state"];

    fn new(config: Config) -> Result<Self, ConfigError> {
        if config.threshold == 0 {
            return Err(ConfigError::key("threshold", "must be 1 to 255"));
        }
        if !(0.0..=1.0).contains(&config.moving_from) {
            return Err(ConfigError::key("moving_from", "must be 0 to 1"));
        }
        Ok(Self { config })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        // The host compares the pictures: no pixels come into the sandbox for it. There is nothing
        // to compare the first one with.
        let cells = frame.motion_grid(COLS, ROWS).unwrap_or_default();
        let moving = cells.iter().filter(|&&change| change >= self.config.threshold).count();
        let share = moving as f64 / f64::from(COLS * ROWS);
        let state = if share >= self.config.moving_from { "moving" } else { "still" };
        Ok(Headers::new().number("{{name}}.share", share, 3).text("{{name}}.state", state))
    }
}

comux_sdk::export!(Activity);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::{TestFrame, analyse};

    #[test]
    fn half_a_picture_that_changes_is_half_of_it() {
        let mut plugin = Activity::new(Config::default()).unwrap();
        let before = TestFrame::gray(64, 36, |_, _| 20);
        let after = TestFrame::gray(64, 36, |x, _| if x < 32 { 20 } else { 60 }).after(&before);
        let first = analyse(&mut plugin, &before.frame()).unwrap();
        assert_eq!(first.get("{{name}}.state"), Some("still"));
        let second = analyse(&mut plugin, &after.frame()).unwrap();
        assert_eq!(second.get("{{name}}.share"), Some("0.500"));
        assert_eq!(second.get("{{name}}.state"), Some("moving"));
    }

    #[test]
    fn what_can_not_be_is_refused_with_its_key() {
        let impossible = Config { moving_from: 2.0, ..Config::default() };
        let refusal = Activity::new(impossible).err().unwrap().to_string();
        assert_eq!(refusal, "moving_from: must be 0 to 1");
    }
}
