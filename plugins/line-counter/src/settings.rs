//! From the operator's configuration to values that can only be right.
//!
//! Places are whole numbers from here on. They are saved as JSON, and what comes back must be what
//! was saved to the last bit, so that a swap changes no result.

use crate::line::Line;
use crate::point::{Point, units};
use comux_sdk::prelude::*;
use comux_sdk::regions::Touching;

const LARGEST_GRID_SIDE: u32 = 256;

/// Lines beyond this would make snapshots too large.
const MOST_LINES: usize = 16;

comux_sdk::config! {
    /// What counts as an object, and the lines.
    #[derive(Debug)]
    pub struct Config {
        /// Columns of the grid, 1 to 256.
        cols: u32 = 64,
        /// Rows of the grid, 1 to 256.
        rows: u32 = 36,
        /// Mean absolute luma difference from which a cell moves, 1 to 255.
        threshold: u8 = 12,
        /// Regions of fewer cells are no objects; at least 1.
        min_cells: u32 = 3,
        /// Cells at most so many columns and rows apart are one region, 1 to 8.
        join: u32 = 2,
        /// How far from where it is expected an object is still the same: a fraction of the
        /// picture, above 0 to 1.
        gate: f64 = 0.1,
        /// How far past a line an object must be to have crossed it: a fraction of the picture, 0
        /// to 0.5.
        margin: f64 = 0.02,
        /// For how many pictures an object may be unseen, 0 to 1000.
        max_missed: u32 = 5,
        /// From `from` to `to`, in fractions of the picture from its top left corner.
        lines: Vec<ConfiguredLine> = vec![ConfiguredLine {
            name: "middle".to_owned(),
            from: [0.5, 0.0],
            to: [0.5, 1.0],
        }],
    }
}

/// The configuration, checked. Saved with the state, which means the same only under the same
/// settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "comux_sdk::serde")]
pub struct Settings {
    pub cols: u32,
    pub rows: u32,
    pub threshold: u8,
    pub min_cells: u32,
    join: u32,
    pub gate: i64,
    pub margin: i64,
    pub max_missed: u32,
    pub lines: Vec<Line>,
}

impl Settings {
    pub fn touching(&self) -> Touching {
        Touching::Within(self.join)
    }
}

impl TryFrom<Config> for Settings {
    type Error = ConfigError;

    fn try_from(config: Config) -> Result<Self, ConfigError> {
        let refuse = |key, allowed| Err(ConfigError::key(key, allowed));
        for (key, side) in [("cols", config.cols), ("rows", config.rows)] {
            if !(1..=LARGEST_GRID_SIDE).contains(&side) {
                return refuse(key, "must be 1 to 256");
            }
        }
        if config.threshold == 0 {
            return refuse("threshold", "must be 1 to 255");
        }
        if config.min_cells == 0 {
            return refuse("min_cells", "must be at least 1");
        }
        if !(1..=8).contains(&config.join) {
            return refuse("join", "must be 1 to 8");
        }
        if !(config.gate > 0.0 && config.gate <= 1.0) {
            return refuse("gate", "must be above 0 and at most 1");
        }
        if !(0.0..=0.5).contains(&config.margin) {
            return refuse("margin", "must be 0 to 0.5");
        }
        if config.max_missed > 1000 {
            return refuse("max_missed", "must be 0 to 1000");
        }
        Ok(Self {
            cols: config.cols,
            rows: config.rows,
            threshold: config.threshold,
            min_cells: config.min_cells,
            join: config.join,
            gate: units(config.gate),
            margin: units(config.margin),
            max_missed: config.max_missed,
            lines: lines(config.lines)?,
        })
    }
}

/// A line as it is configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(crate = "comux_sdk::serde", deny_unknown_fields)]
pub struct ConfiguredLine {
    pub name: String,
    pub from: [f64; 2],
    pub to: [f64; 2],
}

/// Lines lie in the picture, have a length, and names of their own.
fn lines(configured: Vec<ConfiguredLine>) -> Result<Vec<Line>, ConfigError> {
    if configured.is_empty() || configured.len() > MOST_LINES {
        return Err(ConfigError::key("lines", format!("must be 1 to {MOST_LINES} lines")));
    }
    let mut lines: Vec<Line> = Vec::new();
    for (index, line) in configured.into_iter().enumerate() {
        let refuse = |key: &str, problem: String| {
            Err(ConfigError::key(&format!("lines[{index}].{key}"), problem))
        };
        if line.name.is_empty() {
            return refuse("name", "must not be empty".to_owned());
        }
        if lines.iter().any(|other| other.name == line.name) {
            return refuse("name", format!("two lines are called `{}`", line.name));
        }
        for (key, place) in [("from", line.from), ("to", line.to)] {
            if !place.iter().all(|fraction| (0.0..=1.0).contains(fraction)) {
                return refuse(key, "must be two fractions of the picture, 0 to 1".to_owned());
            }
        }
        let [from, to] = [line.from, line.to].map(|[x, y]| Point::from_fractions((x, y)));
        if from == to {
            return refuse("to", "must be another place than `from`".to_owned());
        }
        lines.push(Line { name: line.name, from, to });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::PICTURE;
    use comux_sdk::serde_json;

    fn refusal(json: &str) -> String {
        let config: Config = serde_json::from_str(json).unwrap();
        Settings::try_from(config).unwrap_err().to_string()
    }

    #[test]
    fn the_default_is_one_line_from_top_to_bottom_in_the_middle() {
        let settings = Settings::try_from(Config::default()).unwrap();
        let expected = Line {
            name: "middle".to_owned(),
            from: Point { x: PICTURE / 2, y: 0 },
            to: Point { x: PICTURE / 2, y: PICTURE },
        };
        assert_eq!(settings.lines, [expected]);
    }

    #[test]
    fn impossible_values_are_refused_with_their_key() {
        assert_eq!(refusal(r#"{"cols": 0}"#), "cols: must be 1 to 256");
        assert_eq!(refusal(r#"{"threshold": 0}"#), "threshold: must be 1 to 255");
        assert_eq!(refusal(r#"{"min_cells": 0}"#), "min_cells: must be at least 1");
        assert_eq!(refusal(r#"{"join": 9}"#), "join: must be 1 to 8");
        assert_eq!(refusal(r#"{"gate": 0}"#), "gate: must be above 0 and at most 1");
        assert_eq!(refusal(r#"{"margin": 0.6}"#), "margin: must be 0 to 0.5");
        assert_eq!(refusal(r#"{"max_missed": 1001}"#), "max_missed: must be 0 to 1000");
        assert_eq!(refusal(r#"{"lines": []}"#), "lines: must be 1 to 16 lines");
    }

    #[test]
    fn impossible_lines_are_refused_with_their_number_and_key() {
        assert_eq!(
            refusal(r#"{"lines": [{"name": "", "from": [0, 0], "to": [1, 1]}]}"#),
            "lines[0].name: must not be empty"
        );
        assert_eq!(
            refusal(
                r#"{"lines": [{"name": "a", "from": [0, 0], "to": [1, 1]},
                              {"name": "a", "from": [0, 1], "to": [1, 0]}]}"#
            ),
            "lines[1].name: two lines are called `a`"
        );
        assert_eq!(
            refusal(r#"{"lines": [{"name": "a", "from": [0, 0], "to": [1, 1.5]}]}"#),
            "lines[0].to: must be two fractions of the picture, 0 to 1"
        );
        assert_eq!(
            refusal(r#"{"lines": [{"name": "a", "from": [0.5, 0.5], "to": [0.5, 0.5]}]}"#),
            "lines[0].to: must be another place than `from`"
        );
    }
}
