//! A plugin for tests that reports the colours of a test card of upright stripes, all equally wide,
//! and what it is told of how they are coded.

use comux_sdk::prelude::*;
use comux_sdk::serde_json::json;

comux_sdk::config! {
    struct Config {
        /// How many stripes there are.
        stripes: u32 = 8,
    }
}

struct Colours {
    stripes: u32,
}

impl Plugin for Colours {
    type Config = Config;
    const HEADERS: &'static [&'static str] = &[
        "colours.whole",
        "colours.scaled",
        "colours.gray",
        "colours.luma",
        "colours.normalised",
        "colours.format",
    ];

    fn new(Config { stripes }: Config) -> Result<Self, ConfigError> {
        Ok(Self { stripes: stripes.max(1) })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        let format = frame.format();
        let small = View::rgb24().size(self.stripes * 8, 8);
        let told = json!({
            "full": format.range == ColourRange::Full,
            "range-stated": format.range_stated,
            "matrix": format!("{:?}", format.matrix),
            "matrix-stated": format.matrix_stated,
            "bits": format.bit_depth,
            "rotation": format.rotation,
            "mirrored": format.mirrored,
            "aspect": format.sample_aspect_ratio,
        });
        Headers::new()
            .number("colours.luma", frame.luma().mean, 3)
            .number("colours.normalised", frame.normalised_luma().mean, 3)
            .json("colours.whole", &self.middles(&frame.read(View::rgb24())?, 3))?
            .json("colours.scaled", &self.middles(&frame.read(small)?, 3))?
            .json("colours.gray", &self.middles(&frame.read(View::gray8())?, 1))?
            .json("colours.format", &told)
    }
}

impl Colours {
    /// The pixel in the middle of each stripe.
    fn middles(&self, pixels: &Pixels, bytes: usize) -> Vec<Vec<u8>> {
        let row = pixels.rows().nth(pixels.height as usize / 2).unwrap_or_default();
        let (stripes, width) = (self.stripes as usize, pixels.width as usize);
        let middle = |stripe: usize| (2 * stripe + 1) * width / (2 * stripes) * bytes;
        let pixel = |stripe| row.get(middle(stripe)..).and_then(|rest| rest.get(..bytes));
        (0..stripes).map(|stripe| pixel(stripe).unwrap_or_default().to_vec()).collect()
    }
}

comux_sdk::export!(Colours);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::{TestFrame, analyse};

    #[test]
    fn it_reports_the_middle_of_each_stripe() {
        let card = TestFrame::gray(64, 16, |x, _| if x < 32 { 10 } else { 200 });
        let mut plugin = Colours::new(Config { stripes: 2 }).unwrap();
        let headers = analyse(&mut plugin, &card.frame()).unwrap();
        assert_eq!(headers.get("colours.gray"), Some("[[10],[200]]"));
        assert_eq!(headers.get("colours.scaled"), Some("[[10,10,10],[200,200,200]]"));
        assert_eq!(headers.get("colours.luma"), Some("105.000"));
    }
}
