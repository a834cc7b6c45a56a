//! Objects followed from picture to picture.
//!
//! Each region is given to the nearest object, judged by where the object should be by now. What is
//! left over begins a new object; an object without a region drifts on for a while.

use crate::line::{Counts, Line};
use crate::point::Point;
use crate::settings::Settings;
use comux_sdk::prelude::*;

/// More objects than this are not followed: they would be noise, and too much for a snapshot.
pub const MOST_TRACKS: usize = 256;

/// An object that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "comux_sdk::serde")]
pub struct Track {
    /// Where it was last seen.
    at: Point,
    /// How far it goes between two pictures.
    velocity: Point,
    /// For how many pictures it has not been seen.
    missed: u32,
    /// For each line, where it last was with its side certain.
    anchors: Vec<Option<Point>>,
}

impl Track {
    fn begin(at: Point, settings: &Settings) -> Self {
        let clear = |line: &Line| line.is_clear_of(at, settings.margin).then_some(at);
        Self {
            at,
            velocity: Point::default(),
            missed: 0,
            anchors: settings.lines.iter().map(clear).collect(),
        }
    }

    /// Where it should be in the present picture.
    fn expected(&self) -> Point {
        let steps = i64::from(self.missed) + 1;
        Point { x: self.at.x + self.velocity.x * steps, y: self.at.y + self.velocity.y * steps }
    }

    fn see(&mut self, at: Point) {
        let steps = i64::from(self.missed) + 1;
        let way = at - self.at;
        // Half of it anew with each sighting: the centre of a region shakes.
        self.velocity = Point {
            x: (self.velocity.x + way.x / steps) / 2,
            y: (self.velocity.y + way.y / steps) / 2,
        };
        self.at = at;
        self.missed = 0;
    }

    fn count_crossings(&mut self, settings: &Settings, counts: &mut [Counts]) {
        let lines = settings.lines.iter().zip(&mut self.anchors).zip(counts);
        for ((line, anchor), counts) in lines {
            if !line.is_clear_of(self.at, settings.margin) {
                continue;
            }
            if let Some(before) = anchor.replace(self.at)
                && let Some(direction) = line.crossed_by(before, self.at)
            {
                counts.add(direction);
            }
        }
    }
}

/// Follows the objects into the next picture, where regions have these centres, and counts what
/// they cross; `counts` are those of the settings' lines.
pub fn follow(
    tracks: &mut Vec<Track>,
    centres: &[Point],
    settings: &Settings,
    counts: &mut [Counts],
) {
    let seen = assign(tracks, centres, settings.gate);
    for (track, seen) in tracks.iter_mut().zip(&seen) {
        match seen.and_then(|index| centres.get(index)) {
            Some(&centre) => {
                track.see(centre);
                track.count_crossings(settings, counts);
            }
            None => track.missed += 1,
        }
    }
    tracks.retain(|track| track.missed <= settings.max_missed);
    for (index, &centre) in centres.iter().enumerate() {
        if tracks.len() < MOST_TRACKS && !seen.contains(&Some(index)) {
            tracks.push(Track::begin(centre, settings));
        }
    }
}

/// For each track the number of its centre: the nearest pair first, then the nearest of what is
/// left, as far as the gate allows.
fn assign(tracks: &[Track], centres: &[Point], gate: i64) -> Vec<Option<usize>> {
    let mut pairs = Vec::new();
    for (track, expected) in tracks.iter().map(Track::expected).enumerate() {
        for (centre, &place) in centres.iter().enumerate() {
            let way = place - expected;
            let squared = way.x * way.x + way.y * way.y;
            if squared <= gate * gate {
                pairs.push((squared, track, centre));
            }
        }
    }
    // Equal distances in the order of their numbers, so that the outcome is always the same.
    pairs.sort_unstable();
    let mut assigned = vec![None; tracks.len()];
    let mut taken = vec![false; centres.len()];
    for (_, track, centre) in pairs {
        if let (Some(slot @ None), Some(taken @ false)) =
            (assigned.get_mut(track), taken.get_mut(centre))
        {
            *slot = Some(centre);
            *taken = true;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn settings() -> Settings {
        Config::default().try_into().unwrap()
    }

    /// A place in percent of the picture.
    fn at(x: i64, y: i64) -> Point {
        Point::from_fractions((x as f64 / 100.0, y as f64 / 100.0))
    }

    /// Follows regions through pictures; gives the counts of the default line, and the tracks.
    fn followed(pictures: &[&[Point]]) -> (Counts, Vec<Track>) {
        let mut tracks = Vec::new();
        let mut counts = [Counts::default()];
        for centres in pictures {
            follow(&mut tracks, centres, &settings(), &mut counts);
        }
        (counts[0], tracks)
    }

    #[test]
    fn an_object_that_shakes_on_the_line_counts_once() {
        let places = [46, 48, 51, 49, 51, 49, 50, 49, 51, 53, 51, 49, 51, 53, 55];
        let pictures: Vec<[Point; 1]> = places.iter().map(|&x| [at(x, 50)]).collect();
        let pictures: Vec<&[Point]> = pictures.iter().map(|picture| picture.as_slice()).collect();
        assert_eq!(followed(&pictures).0, Counts { inwards: 1, outwards: 0 });
    }

    #[test]
    fn an_object_that_turns_back_counts_both_ways() {
        let places = [44, 47, 53, 56, 53, 47, 44];
        let pictures: Vec<[Point; 1]> = places.iter().map(|&x| [at(x, 50)]).collect();
        let pictures: Vec<&[Point]> = pictures.iter().map(|picture| picture.as_slice()).collect();
        assert_eq!(followed(&pictures).0, Counts { inwards: 1, outwards: 1 });
    }

    #[test]
    fn an_object_that_is_hidden_for_a_moment_is_the_same() {
        let (left, right) = ([at(44, 50)], [at(56, 50)]);
        let pictures: [&[Point]; 6] = [&[at(38, 50)], &[at(41, 50)], &left, &[], &[], &right];
        let (counts, tracks) = followed(&pictures);
        assert_eq!(counts, Counts { inwards: 1, outwards: 0 });
        assert_eq!(tracks.len(), 1);
    }

    #[test]
    fn an_object_that_is_not_seen_again_is_forgotten() {
        let picture = [at(40, 50)];
        let mut pictures: Vec<&[Point]> = vec![&picture];
        pictures.resize(1 + settings().max_missed as usize, &[]);
        assert_eq!(followed(&pictures).1.len(), 1);
        pictures.push(&[]);
        assert_eq!(followed(&pictures).1, []);
    }

    #[test]
    fn a_region_beyond_the_gate_is_another_object() {
        let (counts, tracks) = followed(&[&[at(40, 50)], &[at(60, 50)]]);
        assert_eq!(counts, Counts::default());
        assert_eq!(tracks.len(), 2);
    }

    #[test]
    fn objects_that_meet_on_the_line_go_on_their_way() {
        let pictures: Vec<Vec<Point>> = (0..12_i64)
            .map(|step| {
                let (a, b) = (28 + 4 * step, 72 - 4 * step);
                if (a - b).abs() < 6 { vec![at(50, 50)] } else { vec![at(a, 50), at(b, 50)] }
            })
            .collect();
        let pictures: Vec<&[Point]> = pictures.iter().map(Vec::as_slice).collect();
        assert_eq!(followed(&pictures).0, Counts { inwards: 1, outwards: 1 });
    }
}
