//! Finds where a picture moves: how much of it, in which boxes, and in which of the operator's
//! zones. The host compares consecutive pictures on a grid; this plugin reads the grid. See the
//! README for what it writes.

mod zones;

use comux_sdk::prelude::*;
use comux_sdk::regions::{Grid, Region, Touching};
use std::collections::BTreeMap;
use zones::{Zone, check_zones, share};

const LARGEST_GRID_SIDE: u32 = 256;

comux_sdk::config! {
    /// What counts as motion, and where to look for it.
    #[derive(Debug)]
    pub struct Config {
        /// Columns of the grid, 1 to 256.
        cols: u32 = 32,
        /// Rows of the grid, 1 to 256.
        rows: u32 = 18,
        /// Mean absolute luma difference from which a cell moves, 1 to 255.
        threshold: u8 = 12,
        /// Smaller regions than this many cells are left out.
        min_cells: u32 = 2,
        /// Which cells touch: 4 (sides) or 8 (sides and corners).
        neighbours: u8 = 8,
        /// Named parts of the picture with a score of their own.
        zones: Vec<Zone> = Vec::new(),
    }
}

/// A region as it is reported.
#[derive(Serialize)]
#[serde(crate = "comux_sdk::serde")]
struct PixelBox {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    /// Mean luma change of the region's cells as a share of 255.
    score: f64,
}

impl PixelBox {
    fn around(region: &Region, grid: Grid, frame: &FrameInfo) -> Self {
        let Rect { x, y, width, height } = grid.bounds(region, frame.width, frame.height);
        Self { x, y, width, height, score: rounded(region.mean_change() / 255.0) }
    }
}

/// The plugin.
pub struct Motion {
    config: Config,
    touching: Touching,
}

impl Plugin for Motion {
    type Config = Config;
    // Whichever crate compiles it: tests do so as another version.
    const NAME: Option<&'static str> = Some("motion");
    const HEADERS: &'static [&'static str] = &["motion.score", "motion.regions", "motion.zones"];

    fn new(config: Config) -> Result<Self, ConfigError> {
        for (key, side) in [("cols", config.cols), ("rows", config.rows)] {
            if !(1..=LARGEST_GRID_SIDE).contains(&side) {
                return Err(ConfigError::key(key, "must be 1 to 256"));
            }
        }
        if config.threshold == 0 {
            return Err(ConfigError::key("threshold", "must be 1 to 255"));
        }
        let touching = match config.neighbours {
            4 => Touching::Sides,
            8 => Touching::Within(1),
            _ => return Err(ConfigError::key("neighbours", "must be 4 or 8")),
        };
        check_zones(&config.zones)?;
        Ok(Self { config, touching })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        let info = frame.info();
        // A grid finer than the picture can't be had.
        let cols = self.config.cols.min(info.width);
        let rows = self.config.rows.min(info.height);
        let cells = frame.motion_grid(cols, rows).unwrap_or_default();
        let grid = Grid { cols, rows, cells: &cells };

        let threshold = self.config.threshold;
        let boxes: Vec<_> = grid
            .regions(threshold, self.touching)
            .iter()
            .filter(|region| region.cells >= self.config.min_cells)
            .map(|region| PixelBox::around(region, grid, info))
            .collect();
        let score = share(cells.iter().map(|&change| change >= threshold));
        let headers =
            Headers::new().number("motion.score", score, 3).json("motion.regions", &boxes)?;
        if self.config.zones.is_empty() {
            return Ok(headers);
        }
        let zones = self.config.zones.iter();
        let scores: BTreeMap<&str, f64> =
            zones.map(|zone| (zone.name.as_str(), rounded(zone.score(grid, threshold)))).collect();
        headers.json("motion.zones", &scores)
    }
}

/// To three decimals, as JSON shows it.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

comux_sdk::export!(Motion);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::TestFrame;

    fn configured(json: &str) -> Config {
        comux_sdk::serde_json::from_str(json).unwrap()
    }

    /// 320 by 180, black, with a white square of 40 pixels at `x`.
    fn square_at(x: u32) -> TestFrame {
        TestFrame::gray(320, 180, |column, row| {
            let inside = (x..x + 40).contains(&column) && (20..60).contains(&row);
            if inside { 255 } else { 0 }
        })
    }

    #[test]
    fn the_first_frame_has_no_motion() {
        let mut plugin = Motion::new(Config::default()).unwrap();
        let headers = comux_sdk::testing::analyse(&mut plugin, &square_at(0).frame()).unwrap();
        assert_eq!(headers.get("motion.score"), Some("0.000"));
        assert_eq!(headers.get("motion.regions"), Some("[]"));
        assert_eq!(headers.get("motion.zones"), None);
    }

    #[test]
    fn a_square_that_jumps_moves_where_it_was_and_where_it_is() {
        let zones = r#"{"zones": [
            {"name": "right", "x": 0.5, "y": 0, "width": 0.5, "height": 1},
            {"name": "left", "x": 0, "y": 0, "width": 0.5, "height": 1}]}"#;
        let mut plugin = Motion::new(configured(zones)).unwrap();
        let picture = square_at(200).after(&square_at(20));
        let headers = comux_sdk::testing::analyse(&mut plugin, &picture.frame()).unwrap();
        // Two squares of 4 by 4 cells among 576, each in one half of the picture.
        assert_eq!(headers.get("motion.score"), Some("0.056"));
        assert_eq!(
            headers.get("motion.regions"),
            Some(concat!(
                r#"[{"x":20,"y":20,"width":40,"height":40,"score":1.0},"#,
                r#"{"x":200,"y":20,"width":40,"height":40,"score":1.0}]"#
            ))
        );
        let expected = r#"{"left":0.056,"right":0.056}"#;
        assert_eq!(headers.get("motion.zones"), Some(expected));
    }

    #[test]
    fn small_regions_are_left_out_but_scored() {
        let mut plugin = Motion::new(configured(r#"{"min_cells": 17}"#)).unwrap();
        let picture = square_at(200).after(&square_at(20));
        let headers = comux_sdk::testing::analyse(&mut plugin, &picture.frame()).unwrap();
        assert_eq!(headers.get("motion.score"), Some("0.056"));
        assert_eq!(headers.get("motion.regions"), Some("[]"));
    }

    #[test]
    fn a_picture_smaller_than_the_grid_is_still_compared() {
        let mut plugin = Motion::new(Config::default()).unwrap();
        let black = TestFrame::gray(16, 8, |_, _| 0);
        let white = TestFrame::gray(16, 8, |_, _| 255).after(&black);
        let headers = comux_sdk::testing::analyse(&mut plugin, &white.frame()).unwrap();
        assert_eq!(headers.get("motion.score"), Some("1.000"));
    }

    #[test]
    fn impossible_values_are_refused_with_their_key() {
        let refusal = |json| Motion::new(configured(json)).err().unwrap().to_string();
        assert_eq!(refusal(r#"{"rows": 257}"#), "rows: must be 1 to 256");
        assert_eq!(refusal(r#"{"threshold": 0}"#), "threshold: must be 1 to 255");
        assert_eq!(refusal(r#"{"neighbours": 6}"#), "neighbours: must be 4 or 8");
    }
}
