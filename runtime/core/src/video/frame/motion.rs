//! How much the luma of two frames differs, cell by cell.

use std::ops::Range;

use super::luma::Luma;

/// The most columns and rows of a grid: finer cells than this are pixels, which plugins can read.
pub const MAX_GRID_SIDE: u32 = 256;

/// Mean absolute difference of two luma planes of one size, on a grid of `cols` by `rows` cells,
/// row by row, rounded. `None` when the sizes differ or the grid does not fit.
#[must_use]
pub fn motion_grid(before: Luma<'_>, now: Luma<'_>, cols: u32, rows: u32) -> Option<Vec<u8>> {
    let fits = |cells: u32, size: u32| cells > 0 && cells <= MAX_GRID_SIDE.min(size);
    let same_size = before.width == now.width && before.height == now.height;
    if !same_size || !fits(cols, now.width) || !fits(rows, now.height) {
        return None;
    }
    let (columns, heights) = (spans(cols, now.width), spans(rows, now.height));
    let mut lines = before.rows().zip(now.rows());
    let mut grid = Vec::with_capacity((cols * rows) as usize);
    let mut sums = vec![0_u64; columns.len()];
    for height in heights.iter().map(Range::len) {
        sums.fill(0);
        for (line_before, line_now) in lines.by_ref().take(height) {
            for (column, sum) in columns.iter().zip(&mut sums) {
                let cell_before = line_before.get(column.clone()).unwrap_or_default();
                let cell_now = line_now.get(column.clone()).unwrap_or_default();
                *sum += u64::from(absolute_difference(cell_before, cell_now));
            }
        }
        for (column, sum) in columns.iter().zip(&sums) {
            let samples = (column.len() * height) as u64;
            grid.push(u8::try_from((sum + samples / 2) / samples).unwrap_or(u8::MAX));
        }
    }
    Some(grid)
}

/// Cuts a side of so many samples into cells as equal as can be.
fn spans(cells: u32, size: u32) -> Vec<Range<usize>> {
    let edge = |cell: u32| (u64::from(cell) * u64::from(size) / u64::from(cells)) as usize;
    (0..cells).map(|cell| edge(cell)..edge(cell + 1)).collect()
}

/// Sum of absolute differences of two runs of samples of one length.
fn absolute_difference(a: &[u8], b: &[u8]) -> u32 {
    // Runs of a fixed length become one or two SIMD instructions each. Cells are rarely a multiple
    // of 16 wide, and samples left over one by one would cost more than all others.
    let (sum_32, a, b) = difference_in_chunks::<32>(a, b);
    let (sum_16, a, b) = difference_in_chunks::<16>(a, b);
    let (sum_8, a, b) = difference_in_chunks::<8>(a, b);
    let (sum_4, a, b) = difference_in_chunks::<4>(a, b);
    sum_32 + sum_16 + sum_8 + sum_4 + sum_of(a, b)
}

fn difference_in_chunks<'a, const N: usize>(a: &'a [u8], b: &'a [u8]) -> (u32, &'a [u8], &'a [u8]) {
    let (chunks_a, rest_a) = a.as_chunks::<N>();
    let (chunks_b, rest_b) = b.as_chunks::<N>();
    let sum = chunks_a.iter().zip(chunks_b).map(|(a, b)| sum_of(a, b)).sum();
    (sum, rest_a, rest_b)
}

#[inline]
fn sum_of(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(data: &[u8], width: u32, height: u32) -> Luma<'_> {
        Luma { data, stride: width as usize, width, height }
    }

    #[test]
    fn only_the_cell_that_changed_moves() {
        let before = vec![100; 40 * 20];
        let mut now = before.clone();
        // The cell in column 1 of 4 and row 1 of 2 is 10 by 10 samples; all change by 7.
        for y in 10..20 {
            now[y * 40 + 10..y * 40 + 20].fill(107);
        }
        let grid = motion_grid(plane(&before, 40, 20), plane(&now, 40, 20), 4, 2);
        assert_eq!(grid, Some(vec![0, 0, 0, 0, 0, 7, 0, 0]));
    }

    #[test]
    fn cells_of_a_size_that_does_not_divide_cover_every_sample_once() {
        let before = vec![0; 37 * 11];
        let now = vec![9; 37 * 11];
        let grid = motion_grid(plane(&before, 37, 11), plane(&now, 37, 11), 5, 3);
        assert_eq!(grid, Some(vec![9; 15]));
    }

    #[test]
    fn a_grid_that_does_not_fit_is_refused() {
        let data = vec![0; 16];
        let luma = plane(&data, 4, 4);
        for (cols, rows) in [(0, 1), (1, 0), (5, 1), (1, 5), (u32::MAX, u32::MAX)] {
            assert_eq!(motion_grid(luma, luma, cols, rows), None);
        }
    }
}
