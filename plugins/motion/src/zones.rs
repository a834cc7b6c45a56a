//! The operator's zones: named parts of the picture that have a score of their own.

use comux_sdk::prelude::*;
use comux_sdk::regions::Grid;

/// A rectangle in fractions of the picture, from its top left corner.
#[derive(Debug, Clone, Deserialize)]
#[serde(crate = "comux_sdk::serde", deny_unknown_fields)]
pub struct Zone {
    /// The key of its score.
    pub name: String,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Zone {
    /// The share of the zone's cells that move, 0 to 1. A cell is the zone's when its centre is; a
    /// zone without any has the cell at its own centre.
    pub fn score(&self, grid: Grid, threshold: u8) -> f64 {
        let cols = cells_between(self.x, self.width, grid.cols);
        let rows = cells_between(self.y, self.height, grid.rows);
        let lines = grid.cells.chunks(grid.cols.max(1) as usize);
        let cells = lines
            .skip(rows.start)
            .take(rows.len())
            .flat_map(|line| line.iter().skip(cols.start).take(cols.len()));
        share(cells.map(|&change| change >= threshold))
    }
}

/// The cells of one side of the grid whose centres lie in this stretch of it.
fn cells_between(start: f64, length: f64, cells: u32) -> std::ops::Range<usize> {
    let first_centre_from = |fraction: f64| (fraction * f64::from(cells) - 0.5).ceil() as usize;
    let range = first_centre_from(start)..first_centre_from(start + length);
    if range.is_empty() {
        let middle = (start + length / 2.0) * f64::from(cells);
        let cell = (middle as usize).min(cells.saturating_sub(1) as usize);
        return cell..cell + 1;
    }
    range
}

/// Zones lie in the picture and have names of their own.
pub fn check_zones(zones: &[Zone]) -> Result<(), ConfigError> {
    /// Ends such as 0.7 + 0.3 are not exact.
    const SLACK: f64 = 1e-9;
    for (index, zone) in zones.iter().enumerate() {
        let refuse = |key: &str, problem: String| {
            Err(ConfigError::key(&format!("zones[{index}].{key}"), problem))
        };
        if zone.name.is_empty() {
            return refuse("name", "must not be empty".to_owned());
        }
        if zones.iter().take(index).any(|other| other.name == zone.name) {
            return refuse("name", format!("two zones are called `{}`", zone.name));
        }
        let sides = [("x", "width", zone.x, zone.width), ("y", "height", zone.y, zone.height)];
        for (start_key, length_key, start, length) in sides {
            if !(0.0..1.0).contains(&start) {
                return refuse(start_key, "must be from 0 to below 1".to_owned());
            }
            if length <= 0.0 || start + length > 1.0 + SLACK {
                return refuse(
                    length_key,
                    format!("must be above 0, and with {start_key} at most 1"),
                );
            }
        }
    }
    Ok(())
}

/// The share of `true`, 0 to 1; 0 of nothing.
pub fn share(moving: impl Iterator<Item = bool>) -> f64 {
    let (mut count, mut all) = (0_u32, 0_u32);
    for moves in moving {
        count += u32::from(moves);
        all += 1;
    }
    f64::from(count) / f64::from(all.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str, x: f64, y: f64, width: f64, height: f64) -> Zone {
        Zone { name: name.to_owned(), x, y, width, height }
    }

    #[test]
    fn a_zone_scores_the_cells_whose_centres_it_holds() {
        let cells = [255, 0, 0, 0, 255, 255, 0, 0];
        let grid = Grid { cols: 4, rows: 2, cells: &cells };
        let score = |zone: Zone| zone.score(grid, 12);
        assert_eq!(score(zone("all", 0.0, 0.0, 1.0, 1.0)), 0.375);
        assert_eq!(score(zone("left", 0.0, 0.0, 0.5, 1.0)), 0.75);
        assert_eq!(score(zone("bottom right", 0.5, 0.5, 0.5, 0.5)), 0.0);
        assert_eq!(score(zone("tiny", 0.0, 0.0, 0.01, 0.01)), 1.0);
    }

    #[test]
    fn zones_outside_the_picture_or_of_one_name_are_refused() {
        let refusal = |zones: &[Zone]| check_zones(zones).unwrap_err().to_string();
        assert_eq!(
            refusal(&[zone("door", 0.5, 0.0, 0.6, 1.0)]),
            "zones[0].width: must be above 0, and with x at most 1"
        );
        assert_eq!(
            refusal(&[zone("door", 0.0, 0.0, 1.0, 1.0), zone("door", 0.0, 0.0, 1.0, 1.0)]),
            "zones[1].name: two zones are called `door`"
        );
        assert!(check_zones(&[zone("door", 0.7, 0.1, 0.3, 0.9)]).is_ok());
    }
}
