//! Says how bright each picture is, and when it is too dark or too bright. See the README for what
//! it writes.

use comux_sdk::prelude::*;

comux_sdk::config! {
    /// Limits on the mean luma, 0 to 255.
    #[derive(Debug)]
    struct Config {
        /// A darker picture than this is `dark`.
        dark_below: f64 = 50.0,
        /// A brighter picture than this is `bright`.
        bright_above: f64 = 200.0,
    }
}

struct Brightness {
    limits: Config,
}

impl Brightness {
    fn state(&self, mean: f64) -> &'static str {
        if mean < self.limits.dark_below {
            "dark"
        } else if mean > self.limits.bright_above {
            "bright"
        } else {
            "ok"
        }
    }
}

impl Plugin for Brightness {
    type Config = Config;
    const HEADERS: &'static [&'static str] = &["brightness.mean", "brightness.state"];

    fn new(limits: Config) -> Result<Self, ConfigError> {
        if limits.dark_below >= limits.bright_above {
            return Err(ConfigError::key(
                "dark_below",
                format!("must be below bright_above, {}", limits.bright_above),
            ));
        }
        Ok(Self { limits })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        let mean = frame.luma().mean;
        Ok(Headers::new()
            .number("brightness.mean", mean, 3)
            .text("brightness.state", self.state(mean)))
    }
}

comux_sdk::export!(Brightness);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::{TestFrame, analyse};

    fn results(luma: u8) -> (String, String) {
        let mut plugin = Brightness::new(Config::default()).unwrap();
        let picture = TestFrame::gray(16, 16, |_, _| luma);
        let headers = analyse(&mut plugin, &picture.frame()).unwrap();
        let text = |name| headers.get(name).unwrap().to_owned();
        (text("brightness.mean"), text("brightness.state"))
    }

    #[test]
    fn pictures_at_the_limits_are_ok() {
        assert_eq!(results(49), ("49.000".into(), "dark".into()));
        assert_eq!(results(50).1, "ok");
        assert_eq!(results(200).1, "ok");
        assert_eq!(results(201).1, "bright");
    }

    #[test]
    fn crossed_limits_are_refused() {
        let crossed = Config { dark_below: 100.0, bright_above: 100.0 };
        let refusal = Brightness::new(crossed).err().unwrap().to_string();
        assert_eq!(refusal, "dark_below: must be below bright_above, 100");
    }
}
