//! A line that objects cross, and when one has.

use crate::point::Point;
use comux_sdk::prelude::*;

/// A stretch of the picture with two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "comux_sdk::serde")]
pub struct Line {
    pub name: String,
    pub from: Point,
    pub to: Point,
}

/// Which way an object crossed, for someone who walks along the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the right hand to the left. Over the default line, which runs down the picture: from
    /// the picture's left to its right.
    In,
    /// From the left hand to the right.
    Out,
}

/// How often a line was crossed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "comux_sdk::serde")]
pub struct Counts {
    #[serde(rename = "in")]
    pub inwards: u64,
    #[serde(rename = "out")]
    pub outwards: u64,
}

impl Counts {
    pub fn add(&mut self, direction: Direction) {
        match direction {
            Direction::In => self.inwards += 1,
            Direction::Out => self.outwards += 1,
        }
    }
}

impl Line {
    /// Whether a place is so far off the line, prolonged without end, that its side is certain.
    /// An object that lingers on the line is on no side.
    pub fn is_clear_of(&self, place: Point, margin: i64) -> bool {
        let way = self.to - self.from;
        let length = ((way.x * way.x + way.y * way.y) as f64).sqrt();
        cross(way, place - self.from).abs() as f64 > margin as f64 * length
    }

    /// Which way the straight path between two places crosses this line, if it does.
    pub fn crossed_by(&self, before: Point, now: Point) -> Option<Direction> {
        let line = self.to - self.from;
        let sides = [before, now].map(|place| cross(line, place - self.from));
        // Above 0 is the right hand, because `y` grows downwards.
        let direction = match sides {
            [before, now] if before > 0 && now < 0 => Direction::In,
            [before, now] if before < 0 && now > 0 => Direction::Out,
            _ => return None,
        };
        let path = now - before;
        let [from, to] = [self.from, self.to].map(|end| cross(path, end - before).signum());
        // Past an end of the line, both ends are on one side of the path.
        (from != to).then_some(direction)
    }
}

/// The z of the cross product: its sign tells on which side of `a` the way `b` leads.
fn cross(a: Point, b: Point) -> i64 {
    a.x * b.y - a.y * b.x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: i64, y: i64) -> Point {
        Point { x, y }
    }

    /// Down the picture, at x = 100.
    fn line() -> Line {
        Line { name: "a".to_owned(), from: point(100, 100), to: point(100, 200) }
    }

    #[test]
    fn a_path_across_has_a_direction() {
        let (left, right) = (point(80, 150), point(120, 150));
        assert_eq!(line().crossed_by(left, right), Some(Direction::In));
        assert_eq!(line().crossed_by(right, left), Some(Direction::Out));
    }

    #[test]
    fn swapped_ends_swap_the_directions() {
        let line = Line { from: line().to, to: line().from, ..line() };
        assert_eq!(line.crossed_by(point(80, 150), point(120, 150)), Some(Direction::Out));
    }

    #[test]
    fn a_path_past_an_end_does_not_cross() {
        assert_eq!(line().crossed_by(point(80, 90), point(120, 90)), None);
        assert_eq!(line().crossed_by(point(80, 210), point(120, 210)), None);
        assert_eq!(line().crossed_by(point(80, 150), point(90, 190)), None);
    }

    #[test]
    fn near_the_line_no_side_is_certain() {
        assert!(!line().is_clear_of(point(105, 150), 5));
        assert!(line().is_clear_of(point(106, 150), 5));
        assert!(line().is_clear_of(point(94, 0), 5));
    }
}
