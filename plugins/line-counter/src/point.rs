//! Places in the picture, in whole numbers.

use comux_sdk::prelude::*;

/// Width and height of the picture in units of a [`Point`].
pub const PICTURE: i64 = 1 << 16;

/// A place, or a way from one to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "comux_sdk::serde")]
pub struct Point {
    pub x: i64,
    pub y: i64,
}

impl Point {
    /// From fractions of the picture.
    pub fn from_fractions((x, y): (f64, f64)) -> Self {
        Self { x: units(x), y: units(y) }
    }
}

impl std::ops::Sub for Point {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { x: self.x - other.x, y: self.y - other.y }
    }
}

pub fn units(fraction: f64) -> i64 {
    (fraction * PICTURE as f64).round() as i64
}
