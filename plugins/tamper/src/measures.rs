//! What one small gray picture tells by itself.

use comux_sdk::prelude::*;

/// Cells of the coarse picture: enough to notice a turn by a few hundredths of the view, few enough
/// to overlook leaves and rain.
const COLS: usize = 32;
const ROWS: usize = 18;
/// Gray levels squared; keeps the sharpness of flat pictures finite and near zero.
const FLAT_VARIANCE: f64 = 1.0;

/// The measures of a picture.
#[derive(Debug, Clone)]
pub struct Measures {
    /// Standard deviation of the gray levels, 0 to 127.5.
    pub contrast: f64,
    /// Gradient energy per variance, which a change of light leaves alone and blur lowers.
    pub sharpness: f64,
    /// Mean gray of each cell, row by row.
    pub coarse: Vec<f64>,
}

impl Measures {
    /// Measures a gray picture.
    pub fn of(picture: &Pixels) -> Self {
        let count = picture.data.len().max(1) as f64;
        let mean = kernels::sum(&picture.data) as f64 / count;
        let squares = kernels::sum_of_squares(&picture.data) as f64 / count;
        let variance = (squares - mean * mean).max(0.0);
        Self {
            contrast: variance.sqrt(),
            sharpness: kernels::gradient_energy(picture.rows()) / (variance + FLAT_VARIANCE),
            coarse: coarse(picture),
        }
    }
}

fn coarse(picture: &Pixels) -> Vec<f64> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut cells = Vec::with_capacity(COLS * ROWS);
    let mut rows = picture.rows();
    // Down the columns first: whole rows are fast, the few pixels of a cell are not. The lines of
    // a cell, at most 20, add up to less than 16 bit.
    let mut columns = vec![0_u16; width];
    for cell_row in 0..ROWS {
        let lines = (cell_row + 1) * height / ROWS - cell_row * height / ROWS;
        columns.fill(0);
        for line in rows.by_ref().take(lines) {
            for (sum, &pixel) in columns.iter_mut().zip(line) {
                *sum += u16::from(pixel);
            }
        }
        let mut rest = columns.as_slice();
        for cell_col in 0..COLS {
            let cols = (cell_col + 1) * width / COLS - cell_col * width / COLS;
            let (cell, after) = rest.split_at(cols.min(rest.len()));
            let sum: u32 = cell.iter().map(|&sum| u32::from(sum)).sum();
            cells.push(f64::from(sum) / (cols * lines).max(1) as f64);
            rest = after;
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::TestFrame;

    fn measured(luma: impl Fn(u32, u32) -> u8) -> Measures {
        let picture = TestFrame::gray(160, 90, luma);
        Measures::of(&picture.frame().read(View::gray8()).unwrap())
    }

    #[test]
    fn a_flat_picture_has_neither_contrast_nor_sharpness() {
        let flat = measured(|_, _| 40);
        assert_eq!((flat.contrast, flat.sharpness), (0.0, 0.0));
        assert_eq!(flat.coarse, vec![40.0; COLS * ROWS]);
    }

    #[test]
    fn sharpness_does_not_depend_on_gain_or_offset() {
        let bright = measured(|x, _| if x / 8 % 2 == 0 { 20 } else { 220 });
        let dim = measured(|x, _| if x / 8 % 2 == 0 { 60 } else { 110 });
        assert!((bright.sharpness - dim.sharpness).abs() < 0.01 * bright.sharpness);
        assert_eq!((bright.contrast, dim.contrast), (100.0, 25.0));
    }

    #[test]
    fn coarse_cells_are_means_of_their_place() {
        let ramp = measured(|x, y| if y < 5 { (x / 5) as u8 } else { 200 });
        let first_row: Vec<f64> = (0..COLS).map(|col| col as f64).collect();
        assert_eq!(ramp.coarse[..COLS], first_row);
        assert!(ramp.coarse[COLS..].iter().all(|&cell| cell == 200.0));
    }
}
