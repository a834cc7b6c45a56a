//! Loops over rows of bytes that stay fast inside the sandbox.
//!
//! The host stops runaway plugins by a check on each turn of a loop: next to nothing beside a
//! block of SIMD instructions, more than the work itself beside one byte. These functions go
//! through a row in blocks that the compiler turns into straight SIMD code, one check per block.
//! Hand them whole rows, not pixels.

/// Bytes of a block: what passes between two checks. Their sum fits in 16 bit. The compiler unrolls
/// a block of this size; twice as large, it makes a loop of it again.
const BLOCK: usize = 128;

/// The same where two rows are read.
const PAIR_BLOCK: usize = 64;

/// The sum of a row's bytes.
#[must_use]
pub fn sum(row: &[u8]) -> u64 {
    over_blocks(row, |block| u32::from(block.iter().map(|&byte| u16::from(byte)).sum::<u16>()))
}

/// The sum of the squares of a row's bytes. With [`sum`] and the count, the variance is
/// `squares / count - (sum / count)²`.
#[must_use]
pub fn sum_of_squares(row: &[u8]) -> u64 {
    over_blocks(row, |block| block.iter().map(|&byte| square(byte)).sum())
}

/// The sum of absolute differences of two rows, byte by byte, over the length of the shorter.
#[must_use]
pub fn sum_of_absolute_differences(a: &[u8], b: &[u8]) -> u64 {
    over_pairs(a, b, |a, b| {
        let pairs = a.iter().zip(b);
        u32::from(pairs.map(|(&a, &b)| u16::from(a.abs_diff(b))).sum::<u16>())
    })
}

/// The sum of squared differences of two rows, byte by byte, over the length of the shorter.
#[must_use]
pub fn sum_of_squared_differences(a: &[u8], b: &[u8]) -> u64 {
    over_pairs(a, b, |a, b| {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| square(a.abs_diff(b))).sum()
    })
}

/// The gradient energy of a gray picture, the usual measure of how sharp it is: the mean over its
/// pixels of `(right - pixel)² + (below - pixel)²`. Pixels without such a neighbour count for
/// those they have. 0 for a flat or empty picture.
///
/// `rows` come from the top and are equally long, as from [`Pixels::rows`](crate::Pixels::rows).
/// The formula is the squared forward difference, a cheaper kin of Tenengrad (Pertuz, Puig and
/// Garcia, *Analysis of focus measure operators for shape-from-focus*, 2013, GRA2).
#[must_use]
pub fn gradient_energy<'a>(rows: impl Iterator<Item = &'a [u8]>) -> f64 {
    let mut energy = 0;
    let mut pixels = 0_u64;
    let mut above: Option<&[u8]> = None;
    for row in rows {
        if let Some((_, shifted)) = row.split_first() {
            energy += sum_of_squared_differences(row, shifted);
        }
        if let Some(above) = above {
            energy += sum_of_squared_differences(above, row);
        }
        pixels += row.len() as u64;
        above = Some(row);
    }
    if pixels == 0 {
        return 0.0;
    }
    energy as f64 / pixels as f64
}

/// In 16 bit as long as possible: 255² just fits.
fn square(byte: u8) -> u32 {
    u32::from(u16::from(byte) * u16::from(byte))
}

/// Adds up what `of_block` makes of each block, the last filled up with zeros.
#[inline(always)]
fn over_blocks(row: &[u8], of_block: impl Fn(&[u8; BLOCK]) -> u32) -> u64 {
    let (blocks, rest) = row.as_chunks();
    let total: u64 = blocks.iter().map(|block| u64::from(of_block(block))).sum();
    if rest.is_empty() {
        return total;
    }
    total + u64::from(of_block(&filled_up(rest)))
}

/// Adds up what `of_blocks` makes of each pair of blocks, the last filled up with zeros.
#[inline(always)]
fn over_pairs(
    a: &[u8],
    b: &[u8],
    of_blocks: impl Fn(&[u8; PAIR_BLOCK], &[u8; PAIR_BLOCK]) -> u32,
) -> u64 {
    let length = a.len().min(b.len());
    let (a_blocks, a_rest) = a.split_at(length).0.as_chunks();
    let (b_blocks, b_rest) = b.split_at(length).0.as_chunks();
    let pairs = a_blocks.iter().zip(b_blocks);
    let total: u64 = pairs.map(|(a, b)| u64::from(of_blocks(a, b))).sum();
    if a_rest.is_empty() {
        return total;
    }
    total + u64::from(of_blocks(&filled_up(a_rest), &filled_up(b_rest)))
}

fn filled_up<const LENGTH: usize>(rest: &[u8]) -> [u8; LENGTH] {
    let mut block = [0; LENGTH];
    for (byte, &value) in block.iter_mut().zip(rest) {
        *byte = value;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows with every remainder of a block, and extreme values.
    fn rows() -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        (0..400_usize).map(|length| {
            let a = (0..length).map(|i| if i % 7 == 0 { 255 } else { (i * 31) as u8 });
            let b = (0..length).map(|i| if i % 5 == 0 { 0 } else { (i * 17) as u8 });
            (a.collect(), b.collect())
        })
    }

    #[test]
    fn blocks_and_rests_add_up_to_the_plain_loop() {
        for (a, b) in rows() {
            let pairs = || a.iter().zip(&b).map(|(&l, &r)| u64::from(l.abs_diff(r)));
            assert_eq!(sum(&a), a.iter().map(|&v| u64::from(v)).sum::<u64>());
            assert_eq!(sum_of_squares(&a), a.iter().map(|&v| u64::from(v).pow(2)).sum::<u64>());
            assert_eq!(sum_of_absolute_differences(&a, &b), pairs().sum::<u64>());
            assert_eq!(sum_of_squared_differences(&a, &b), pairs().map(|d| d * d).sum::<u64>());
        }
    }

    #[test]
    fn white_rows_do_not_overflow() {
        let (white, black) = (vec![255; 8192], vec![0; 8192]);
        assert_eq!(sum(&white), 8192 * 255);
        assert_eq!(sum_of_absolute_differences(&black, &white), 8192 * 255);
        assert_eq!(sum_of_squared_differences(&black, &white), 8192 * 255 * 255);
    }

    #[test]
    fn unequal_rows_are_compared_over_the_shorter() {
        assert_eq!(sum_of_absolute_differences(&[1, 2, 3], &[2, 2]), 1);
    }

    #[test]
    fn gradient_energy_is_zero_when_flat_and_grows_with_detail() {
        let flat = [7_u8; 64];
        assert_eq!(gradient_energy(flat.chunks(8)), 0.0);
        let stripes: Vec<u8> = (0..64).map(|i| if i % 2 == 0 { 0 } else { 10 }).collect();
        // Seven of eight pixels in a row have a right neighbour that differs by 10.
        assert_eq!(gradient_energy(stripes.chunks(8)), 87.5);
        assert_eq!(gradient_energy(std::iter::empty()), 0.0);
    }
}
