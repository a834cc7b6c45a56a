//! Moving regions: groups of touching cells.

use crate::{Grid, rounded};
use comux_sdk::prelude::*;

/// Which cells touch a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "comux_sdk::serde", try_from = "u8")]
pub enum Neighbours {
    /// Those at its sides.
    Four,
    /// Those at its sides and corners.
    Eight,
}

impl TryFrom<u8> for Neighbours {
    type Error = &'static str;

    fn try_from(count: u8) -> Result<Self, Self::Error> {
        match count {
            4 => Ok(Self::Four),
            8 => Ok(Self::Eight),
            _ => Err("must be 4 or 8"),
        }
    }
}

impl Neighbours {
    fn offsets(self) -> &'static [(i64, i64)] {
        const SIDES_THEN_CORNERS: &[(i64, i64)] =
            &[(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)];
        match self {
            Self::Four => SIDES_THEN_CORNERS.split_at(4).0,
            Self::Eight => SIDES_THEN_CORNERS,
        }
    }
}

/// A group of touching cells that move, by its outermost cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// How many cells move.
    pub cells: u32,
    left: u32,
    right: u32,
    top: u32,
    bottom: u32,
    change: u64,
}

/// A region as it is reported.
#[derive(Debug, PartialEq, Serialize)]
#[serde(crate = "comux_sdk::serde")]
pub struct PixelBox {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    /// Mean luma change of the region's cells as a share of 255.
    score: f64,
}

impl Region {
    fn of_one(col: u32, row: u32) -> Self {
        Self { cells: 0, left: col, right: col, top: row, bottom: row, change: 0 }
    }

    fn add(&mut self, col: u32, row: u32, change: u8) {
        self.cells += 1;
        self.change += u64::from(change);
        self.left = self.left.min(col);
        self.right = self.right.max(col);
        self.top = self.top.min(row);
        self.bottom = self.bottom.max(row);
    }

    /// The box around the region's cells in a picture of this size.
    pub fn in_pixels(&self, grid: Grid, width: u32, height: u32) -> PixelBox {
        let edge = |cell: u32, cells: u32, pixels: u32| {
            (u64::from(cell) * u64::from(pixels) / u64::from(cells.max(1))) as u32
        };
        let x = edge(self.left, grid.cols, width);
        let y = edge(self.top, grid.rows, height);
        PixelBox {
            x,
            y,
            width: edge(self.right + 1, grid.cols, width) - x,
            height: edge(self.bottom + 1, grid.rows, height) - y,
            score: rounded(self.change as f64 / f64::from(self.cells.max(1)) / 255.0),
        }
    }
}

/// All regions whose cells changed by at least `threshold`, in the order of their first cell from
/// the top left.
pub fn find(grid: Grid, threshold: u8, neighbours: Neighbours) -> Vec<Region> {
    let mut moving: Vec<bool> = grid.cells.iter().map(|&cell| cell >= threshold).collect();
    let mut regions = Vec::new();
    let mut to_visit = Vec::new();
    for first in 0..moving.len() {
        if !take(&mut moving, first) {
            continue;
        }
        let cols = grid.cols as usize;
        let mut region = Region::of_one((first % cols) as u32, (first / cols) as u32);
        to_visit.push(first);
        while let Some(cell) = to_visit.pop() {
            let (col, row) = ((cell % cols) as u32, (cell / cols) as u32);
            region.add(col, row, grid.cells.get(cell).copied().unwrap_or_default());
            for (dx, dy) in neighbours.offsets() {
                if let Some(next) = cell_at(grid, i64::from(col) + dx, i64::from(row) + dy)
                    && take(&mut moving, next)
                {
                    to_visit.push(next);
                }
            }
        }
        regions.push(region);
    }
    regions
}

/// Whether the cell still awaits its region; from now on it does not.
fn take(moving: &mut [bool], cell: usize) -> bool {
    moving.get_mut(cell).is_some_and(std::mem::take)
}

fn cell_at(grid: Grid, col: i64, row: i64) -> Option<usize> {
    let inside =
        (0..i64::from(grid.cols)).contains(&col) && (0..i64::from(grid.rows)).contains(&row);
    inside.then_some((row * i64::from(grid.cols) + col) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grid from a drawing: `#` moves by 255, `.` not at all.
    fn count_regions(drawing: &[&str], neighbours: Neighbours) -> Vec<u32> {
        let cells: Vec<u8> = drawing
            .iter()
            .flat_map(|line| line.bytes())
            .map(|mark| if mark == b'#' { 255 } else { 0 })
            .collect();
        let grid =
            Grid { cols: drawing[0].len() as u32, rows: drawing.len() as u32, cells: &cells };
        let regions = find(grid, 12, neighbours);
        regions.iter().map(|region| region.cells).collect()
    }

    #[test]
    fn corners_join_regions_only_with_eight_neighbours() {
        let drawing = ["##..", "..#.", "#..."];
        assert_eq!(count_regions(&drawing, Neighbours::Eight), [3, 1]);
        assert_eq!(count_regions(&drawing, Neighbours::Four), [2, 1, 1]);
    }

    #[test]
    fn regions_do_not_wrap_around_the_edges() {
        assert_eq!(count_regions(&["...#", "#..."], Neighbours::Eight), [1, 1]);
    }

    #[test]
    fn a_bent_region_is_one() {
        let drawing = ["###", "..#", "###", "#..", "###"];
        assert_eq!(count_regions(&drawing, Neighbours::Four), [11]);
    }

    #[test]
    fn boxes_cover_their_cells_when_the_grid_does_not_divide_the_picture() {
        let cells = [0, 0, 51];
        let grid = Grid { cols: 3, rows: 1, cells: &cells };
        let boxes: Vec<_> = find(grid, 1, Neighbours::Four)
            .iter()
            .map(|region| region.in_pixels(grid, 100, 7))
            .collect();
        let expected = PixelBox { x: 66, y: 0, width: 34, height: 7, score: 0.2 };
        assert_eq!(boxes, [expected]);
    }
}
