//! Says which of a site's cameras is much brighter or darker than the others at the same time: a
//! lamp is out, the sun blinds it, somebody covers it. See the README for what it writes.

use comux_sdk::prelude::*;

comux_sdk::config! {
    /// How different is odd.
    #[derive(Debug)]
    struct Config {
        /// A picture whose mean luma, 0 to 255, is further away from the median of all cameras than
        /// this is odd.
        tolerance: f64 = 40.0,
    }
}

struct OddOneOut {
    tolerance: f64,
}

impl OddOneOut {
    /// What is said of a picture as bright as `mean` among pictures as bright as `all`, which are
    /// sorted.
    fn judge(&self, mean: f64, all: &[f64]) -> Headers {
        let difference = mean - median(all);
        let state = match all.len() {
            // Of two, nobody knows which is the odd one.
            ..3 => "unknown",
            _ if difference.abs() > self.tolerance => "odd",
            _ => "ok",
        };
        Headers::new()
            .number("odd-one-out.difference", difference, 1)
            .text("odd-one-out.cameras", all.len())
            .text("odd-one-out.state", state)
    }
}

/// Of sorted numbers; 0 when there is none.
fn median(sorted: &[f64]) -> f64 {
    let middle = |place: usize| sorted.get(place).copied().unwrap_or_default();
    (middle(sorted.len() / 2) + middle(sorted.len().saturating_sub(1) / 2)) / 2.0
}

impl Plugin for OddOneOut {
    type Config = Config;
    const HEADERS: &'static [&'static str] =
        &["odd-one-out.difference", "odd-one-out.cameras", "odd-one-out.state"];

    fn new(Config { tolerance }: Config) -> Result<Self, ConfigError> {
        if !(0.0..=255.0).contains(&tolerance) {
            return Err(ConfigError::key("tolerance", "must be 0 to 255"));
        }
        Ok(Self { tolerance })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        let mean = frame.luma().mean;
        Ok(self.judge(mean, &[mean]))
    }
}

impl Batched for OddOneOut {
    fn on_batch(&mut self, frames: &[Frame]) -> Vec<Result<Headers, PluginError>> {
        let means: Vec<f64> = frames.iter().map(|frame| frame.luma().mean).collect();
        let mut sorted = means.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        means.into_iter().map(|mean| Ok(self.judge(mean, &sorted))).collect()
    }
}

comux_sdk::export!(OddOneOut, batches);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::{TestFrame, analyse};

    fn states(luma: &[u8]) -> Vec<String> {
        let mut plugin = OddOneOut::new(Config::default()).unwrap();
        let pictures: Vec<TestFrame> =
            luma.iter().map(|&luma| TestFrame::gray(16, 16, |_, _| luma)).collect();
        let frames: Vec<Frame> = pictures.iter().map(TestFrame::frame).collect();
        let said = plugin.on_batch(&frames).into_iter();
        said.map(|said| said.unwrap().get("odd-one-out.state").unwrap().to_owned()).collect()
    }

    #[test]
    fn the_one_that_differs_from_the_most_is_odd() {
        assert_eq!(states(&[100, 20, 110, 120]), ["ok", "odd", "ok", "ok"]);
        assert_eq!(states(&[100, 140, 60]), ["ok", "ok", "ok"], "just within the tolerance");
        assert_eq!(states(&[100, 141, 59]), ["ok", "odd", "odd"]);
    }

    #[test]
    fn of_one_or_two_nobody_knows() {
        assert_eq!(states(&[0, 255]), ["unknown", "unknown"]);
        let mut plugin = OddOneOut::new(Config::default()).unwrap();
        let said = analyse(&mut plugin, &TestFrame::gray(8, 8, |_, _| 9).frame()).unwrap();
        assert_eq!(said.get("odd-one-out.cameras"), Some("1"));
        assert_eq!(said.get("odd-one-out.state"), Some("unknown"));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_tolerance_beyond_what_luma_can_differ_is_refused() {
        let refused = OddOneOut::new(Config { tolerance: 256.0 }).err().unwrap().to_string();
        assert_eq!(refused, "tolerance: must be 0 to 255");
    }
}
