//! How a frame wants to be shown.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::frame::side_data;

/// How a frame wants to be shown, as the stream says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Display {
    /// Degrees, clockwise, by which it is to be turned; 0 to 359.
    pub rotation: u16,
    /// Left and right are to be exchanged before it is turned.
    pub mirrored: bool,
    /// Width and height of a pixel, in lowest terms.
    pub pixel_aspect: Option<(u32, u32)>,
}

impl Display {
    pub(super) fn of(frame: &ffmpeg::frame::Video) -> Self {
        let matrix = frame.side_data(side_data::Type::DisplayMatrix);
        let (rotation, mirrored) =
            matrix.and_then(|matrix| turned(matrix.data())).unwrap_or_default();
        let aspect = frame.aspect_ratio().reduce();
        let sides = (u32::try_from(aspect.numerator()), u32::try_from(aspect.denominator()));
        let pixel_aspect = match sides {
            (Ok(width @ 1..), Ok(height @ 1..)) => Some((width, height)),
            _ => None,
        };
        Self { rotation, mirrored, pixel_aspect }
    }
}

/// Rotation and mirroring of a matrix as `libavutil/display.h` describes it: nine 32-bit integers
/// `a b u c d v x y w`, which take a point (p, q), q growing downwards, to (a·p + c·q, b·p + d·q).
/// Turned by r, clockwise, c is -sin r and d is cos r; mirrored before, they are the same. `None`:
/// it is no such matrix.
fn turned(matrix: &[u8]) -> Option<(u16, bool)> {
    let (numbers, _) = matrix.as_chunks::<4>();
    let [a, b, _, c, d, _, _, _, _] = numbers.first_chunk::<9>()?.map(i32::from_ne_bytes);
    let (a, b, c, d) = (f64::from(a), f64::from(b), f64::from(c), f64::from(d));
    let area = a * d - b * c;
    if area == 0.0 {
        return None;
    }
    let degrees = (-c).atan2(d).to_degrees().round().rem_euclid(360.0);
    Some((degrees as u16, area < 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16.16 fixed point, as the header says; the last column is 2.30.
    fn matrix(a: f64, b: f64, c: f64, d: f64) -> Vec<u8> {
        let fixed = |number: f64| (number * 65_536.0) as i32;
        let numbers = [fixed(a), fixed(b), 0, fixed(c), fixed(d), 0, 0, 0, 1 << 30];
        numbers.into_iter().flat_map(i32::to_ne_bytes).collect()
    }

    /// Where the matrix takes the picture's right edge (1, 0) and its lower one (0, 1) says by how
    /// much it is turned.
    #[test]
    fn a_matrix_says_by_how_much_and_whether_it_is_mirrored() {
        for (about, numbers, expected) in [
            ("as it is", matrix(1.0, 0.0, 0.0, 1.0), (0, false)),
            ("right goes down, down goes left", matrix(0.0, 1.0, -1.0, 0.0), (90, false)),
            ("upside down", matrix(-1.0, 0.0, 0.0, -1.0), (180, false)),
            ("right goes up, down goes right", matrix(0.0, -1.0, 1.0, 0.0), (270, false)),
            ("right goes left", matrix(-1.0, 0.0, 0.0, 1.0), (0, true)),
            ("down goes up", matrix(1.0, 0.0, 0.0, -1.0), (180, true)),
            ("a sixth of a turn", matrix(0.5, 0.866, -0.866, 0.5), (60, false)),
            ("a little less than none", matrix(1.0, -0.001, 0.001, 1.0), (0, false)),
        ] {
            assert_eq!(turned(&numbers), Some(expected), "{about}");
        }
    }

    #[test]
    fn what_is_no_matrix_turns_nothing() {
        assert_eq!(turned(&matrix(0.0, 0.0, 0.0, 0.0)), None);
        assert_eq!(turned(&[0; 35]), None);
    }
}
