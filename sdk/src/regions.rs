//! Groups of touching cells in a grid of changes, as
//! [`Frame::motion_grid`](crate::Frame::motion_grid) gives it.
//!
//! ```
//! use comux_sdk::regions::{Grid, Touching};
//!
//! let grid = Grid { cols: 4, rows: 2, cells: &[50, 50, 0, 0, 0, 0, 0, 90] };
//! let regions = grid.regions(12, Touching::Within(1));
//! assert_eq!(regions.len(), 2);
//! assert_eq!(grid.centre(&regions[1]), (0.875, 0.75));
//! ```

use crate::Rect;

/// A grid of cells: how much each has changed, 0 to 255, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Grid<'a> {
    /// Cells of a row.
    pub cols: u32,
    /// Rows.
    pub rows: u32,
    /// `cols` times `rows` cells, or none.
    pub cells: &'a [u8],
}

/// Which cells belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touching {
    /// Those that share a side.
    Sides,
    /// Those at most so many columns and rows apart: with 1 also corner to corner, with 2 over a
    /// gap of one cell.
    Within(u32),
}

/// A group of cells that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// How many cells.
    pub cells: u32,
    /// Its leftmost column.
    pub left: u32,
    /// Its rightmost column, inclusive.
    pub right: u32,
    /// Its topmost row.
    pub top: u32,
    /// Its lowest row, inclusive.
    pub bottom: u32,
    /// The changes of its cells, added up.
    pub change: u64,
    /// The changes times twice the distance of the cells' centres from the left edge.
    moment_x: u64,
    /// The same from the top edge.
    moment_y: u64,
}

impl Grid<'_> {
    /// All regions whose cells changed by at least `threshold`, in the order of their first cell
    /// from the top left.
    #[must_use]
    pub fn regions(&self, threshold: u8, touching: Touching) -> Vec<Region> {
        let mut moving: Vec<bool> = self.cells.iter().map(|&cell| cell >= threshold).collect();
        let cols = self.cols.max(1) as usize;
        let mut regions = Vec::new();
        let mut to_visit = Vec::new();
        for first in 0..moving.len() {
            if !take(&mut moving, first) {
                continue;
            }
            let mut region = Region::at((first % cols) as u32, (first / cols) as u32);
            to_visit.push(first);
            while let Some(cell) = to_visit.pop() {
                let (col, row) = ((cell % cols) as u32, (cell / cols) as u32);
                region.add(col, row, self.cells.get(cell).copied().unwrap_or_default());
                self.visit_around(col, row, touching, |next| {
                    if take(&mut moving, next) {
                        to_visit.push(next);
                    }
                });
            }
            regions.push(region);
        }
        regions
    }

    /// The box around a region in a picture of this size, in pixels.
    #[must_use]
    pub fn bounds(&self, region: &Region, width: u32, height: u32) -> Rect {
        let edge = |cell: u32, cells: u32, pixels: u32| {
            (u64::from(cell) * u64::from(pixels) / u64::from(cells.max(1))) as u32
        };
        let x = edge(region.left, self.cols, width);
        let y = edge(region.top, self.rows, height);
        Rect {
            x,
            y,
            width: edge(region.right + 1, self.cols, width) - x,
            height: edge(region.bottom + 1, self.rows, height) - y,
        }
    }

    /// The mean place of a region's cells, weighted by their change: fractions of the picture from
    /// its top left corner.
    #[must_use]
    pub fn centre(&self, region: &Region) -> (f64, f64) {
        let mean = |moment: u64, cells: u32| {
            moment as f64 / (2.0 * region.change.max(1) as f64 * f64::from(cells.max(1)))
        };
        (mean(region.moment_x, self.cols), mean(region.moment_y, self.rows))
    }

    fn visit_around(&self, col: u32, row: u32, touching: Touching, mut visit: impl FnMut(usize)) {
        let reach = match touching {
            Touching::Sides => 1,
            Touching::Within(cells) => cells,
        };
        let around = |place: u32, places: u32| {
            place.saturating_sub(reach)..place.saturating_add(reach).saturating_add(1).min(places)
        };
        for y in around(row, self.rows) {
            for x in around(col, self.cols) {
                if touching == Touching::Sides && x != col && y != row {
                    continue;
                }
                visit(y as usize * self.cols as usize + x as usize);
            }
        }
    }
}

impl Region {
    fn at(col: u32, row: u32) -> Self {
        Self {
            cells: 0,
            left: col,
            right: col,
            top: row,
            bottom: row,
            change: 0,
            moment_x: 0,
            moment_y: 0,
        }
    }

    fn add(&mut self, col: u32, row: u32, change: u8) {
        let change = u64::from(change);
        self.cells += 1;
        self.change += change;
        self.moment_x += change * (2 * u64::from(col) + 1);
        self.moment_y += change * (2 * u64::from(row) + 1);
        self.left = self.left.min(col);
        self.right = self.right.max(col);
        self.top = self.top.min(row);
        self.bottom = self.bottom.max(row);
    }

    /// The mean change of the region's cells, 0 to 255.
    #[must_use]
    pub fn mean_change(&self) -> f64 {
        self.change as f64 / f64::from(self.cells.max(1))
    }
}

/// Whether the cell still awaits its region; from now on it does not.
fn take(moving: &mut [bool], cell: usize) -> bool {
    moving.get_mut(cell).is_some_and(std::mem::take)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grid from a drawing: `#` moves by 255, `.` not at all.
    fn sizes(drawing: &[&str], touching: Touching) -> Vec<u32> {
        let cells: Vec<u8> = drawing
            .iter()
            .flat_map(|line| line.bytes())
            .map(|mark| if mark == b'#' { 255 } else { 0 })
            .collect();
        let grid =
            Grid { cols: drawing[0].len() as u32, rows: drawing.len() as u32, cells: &cells };
        grid.regions(12, touching).iter().map(|region| region.cells).collect()
    }

    #[test]
    fn corners_join_regions_only_when_they_touch() {
        let drawing = ["##..", "..#.", "#..."];
        assert_eq!(sizes(&drawing, Touching::Within(1)), [3, 1]);
        assert_eq!(sizes(&drawing, Touching::Sides), [2, 1, 1]);
    }

    #[test]
    fn gaps_are_bridged_as_far_as_wished() {
        let drawing = ["#.#..#"];
        assert_eq!(sizes(&drawing, Touching::Within(1)), [1, 1, 1]);
        assert_eq!(sizes(&drawing, Touching::Within(2)), [2, 1]);
        assert_eq!(sizes(&drawing, Touching::Within(3)), [3]);
    }

    #[test]
    fn regions_do_not_wrap_around_the_edges() {
        assert_eq!(sizes(&["...#", "#..."], Touching::Within(1)), [1, 1]);
    }

    #[test]
    fn a_bent_region_is_one() {
        let drawing = ["###", "..#", "###", "#..", "###"];
        assert_eq!(sizes(&drawing, Touching::Sides), [11]);
    }

    #[test]
    fn bounds_hold_their_cells_when_the_grid_does_not_divide_the_picture() {
        let grid = Grid { cols: 3, rows: 1, cells: &[0, 0, 51] };
        let regions = grid.regions(1, Touching::Sides);
        let Rect { x, y, width, height } = grid.bounds(&regions[0], 100, 7);
        assert_eq!((x, y, width, height), (66, 0, 34, 7));
        assert_eq!(regions[0].mean_change(), 51.0);
    }

    #[test]
    fn the_centre_leans_to_where_more_changed() {
        let grid = Grid { cols: 2, rows: 1, cells: &[30, 10] };
        let regions = grid.regions(1, Touching::Sides);
        assert_eq!(grid.centre(&regions[0]), (0.375, 0.5));
    }

    #[test]
    fn a_grid_without_cells_has_no_regions() {
        let grid = Grid { cols: 0, rows: 0, cells: &[] };
        assert!(grid.regions(0, Touching::Within(9)).is_empty());
    }
}
