//! The whole plugin, on drawn pictures.

use super::*;
use comux_sdk::serde_json;
use comux_sdk::testing::{TestFrame, analyse, hand_over};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;

/// A textured square of 30 pixels at its top left corner: what moves over a plain road.
type Square = (i64, i64);

/// Pictures of squares, each the one after the other.
fn film(pictures: &[Vec<Square>]) -> Vec<TestFrame> {
    let mut film: Vec<TestFrame> = Vec::new();
    for squares in pictures {
        let picture = TestFrame::gray(WIDTH, HEIGHT, |x, y| {
            let inside = |&&(left, top): &&Square| {
                (left..left + 30).contains(&i64::from(x)) && (top..top + 30).contains(&i64::from(y))
            };
            squares.iter().find(inside).map_or(20, |&(left, top)| {
                let (column, row) = ((i64::from(x) - left) / 5, (i64::from(y) - top) / 5);
                if (column + row) % 2 == 0 { 220 } else { 90 }
            })
        });
        let picture = match film.last() {
            Some(before) => picture.after(before),
            None => picture,
        };
        film.push(picture);
    }
    film
}

/// Squares in lanes: each starts at `x` and goes `step` pixels per picture.
fn lanes(lanes: &[(i64, i64, i64)], pictures: i64) -> Vec<TestFrame> {
    let squares = |time: i64| lanes.iter().map(|&(x, y, step)| (x + step * time, y)).collect();
    film(&(0..pictures).map(squares).collect::<Vec<_>>())
}

fn plugin(json: &str) -> LineCounter {
    LineCounter::new(serde_json::from_str(json).unwrap()).unwrap()
}

/// What the plugin says of each picture.
fn results(plugin: &mut LineCounter, film: &[TestFrame]) -> Vec<[String; 2]> {
    let result = |picture: &TestFrame| {
        let headers = analyse(plugin, &picture.frame()).unwrap();
        ["line-counter.counts", "line-counter.tracks"].map(|name| headers.get(name).unwrap().into())
    };
    film.iter().map(result).collect()
}

/// The counts in the end, with the default configuration.
fn counted(film: &[TestFrame]) -> String {
    let results = results(&mut plugin("{}"), film);
    results.last().unwrap()[0].clone()
}

#[test]
fn from_left_to_right_is_in() {
    let film = lanes(&[(40, 60, 7)], 30);
    assert_eq!(counted(&film), r#"{"middle":{"in":1,"out":0}}"#);
}

#[test]
fn from_right_to_left_is_out() {
    let film = lanes(&[(250, 60, -7)], 30);
    assert_eq!(counted(&film), r#"{"middle":{"in":0,"out":1}}"#);
}

#[test]
fn the_operator_sees_crossings_and_tracks() {
    let film = lanes(&[(40, 20, 7), (250, 120, -7)], 30);
    let _ = counted(&film);
    let told = comux_sdk::testing::metrics();
    assert_eq!(told.sum("crossings"), 2);
    assert_eq!(told.level("tracks"), Some(2.0));
}

#[test]
fn two_objects_count_for_themselves() {
    let film = lanes(&[(40, 20, 7), (250, 120, -7)], 30);
    assert_eq!(counted(&film), r#"{"middle":{"in":1,"out":1}}"#);
    let one_after_the_other = lanes(&[(20, 60, 7), (90, 60, 7)], 30);
    assert_eq!(counted(&one_after_the_other), r#"{"middle":{"in":2,"out":0}}"#);
}

#[test]
fn an_object_that_shakes_at_the_line_does_not_count_twice() {
    let way = (0..18).map(|time| 60 + 5 * time);
    let shaking = [148, 143, 147, 142, 148, 144, 146, 142, 147, 143];
    let on = (0..12).map(|time| 150 + 6 * time);
    let pictures: Vec<_> = way.chain(shaking).chain(on).map(|x| vec![(x, 60)]).collect();
    assert_eq!(counted(&film(&pictures)), r#"{"middle":{"in":1,"out":0}}"#);
}

#[test]
fn a_scene_that_stands_still_has_no_objects() {
    let film = lanes(&[(145, 60, 0)], 5);
    let results = results(&mut plugin("{}"), &film);
    assert!(results.iter().all(|[_, tracks]| tracks == "0"), "{results:?}");
}

#[test]
fn each_line_counts_for_itself() {
    let lines = r#"{"lines": [
        {"name": "door", "from": [0.75, 0], "to": [0.75, 1]},
        {"name": "above", "from": [0.5, 0], "to": [0.5, 0.2]},
        {"name": "back", "from": [0.25, 1], "to": [0.25, 0]}]}"#;
    let film = lanes(&[(20, 90, 7)], 35);
    let results = results(&mut plugin(lines), &film);
    let expected = r#"{"above":{"in":0,"out":0},"back":{"in":0,"out":1},"door":{"in":1,"out":0}}"#;
    assert_eq!(results.last().unwrap()[0], expected);
}

#[test]
fn a_swap_between_any_two_pictures_changes_nothing() {
    let film = lanes(&[(40, 20, 7), (250, 120, -6), (20, 70, 9), (300, 70, -5)], 40);
    let alone = results(&mut plugin("{}"), &film);
    assert_ne!(alone.first(), alone.last());
    for cut in 0..film.len() {
        let (mut before, mut successor) = (plugin("{}"), plugin("{}"));
        let mut swapped = results(&mut before, &film[..cut]);
        assert_eq!(hand_over(&before, &mut successor), Ok(Restored::Full));
        swapped.extend(results(&mut successor, &film[cut..]));
        assert_eq!(swapped, alone, "cut before picture {cut}");
    }
}

#[test]
fn with_another_configuration_lines_of_the_same_name_keep_their_counts() {
    let mut before = plugin(
        r#"{"lines": [{"name": "door", "from": [0.5, 0], "to": [0.5, 1]},
                      {"name": "gate", "from": [0.6, 0], "to": [0.6, 1]}]}"#,
    );
    results(&mut before, &lanes(&[(40, 60, 7)], 30));
    let mut successor = plugin(
        r#"{"lines": [{"name": "yard", "from": [0.1, 0], "to": [0.1, 1]},
                      {"name": "door", "from": [0.4, 0], "to": [0.4, 1]}]}"#,
    );
    let reason = "the configuration is another, so objects under way, the counts of `gate` are \
                  not taken over";
    assert_eq!(hand_over(&before, &mut successor), Ok(Restored::partial(reason)));
    let still = lanes(&[], 1);
    assert_eq!(
        results(&mut successor, &still)[0],
        [r#"{"door":{"in":1,"out":0},"yard":{"in":0,"out":0}}"#, "0"]
    );
}

#[test]
fn the_largest_state_fits_into_a_snapshot() {
    let lines: Vec<String> = (0..16)
        .map(|x| format!(r#"{{"name": "line {x}", "from": [0.{x:02}, 0], "to": [0.{x:02}1, 1]}}"#))
        .collect();
    let config = format!(
        r#"{{"cols": 256, "rows": 180, "min_cells": 1, "join": 1, "lines": [{}]}}"#,
        lines.join(",")
    );
    let before = TestFrame::gray(256, 180, |_, _| 0);
    let dots = |x: u32, y: u32| if x.is_multiple_of(3) && y.is_multiple_of(3) { 255 } else { 0 };
    let film = [TestFrame::gray(256, 180, dots).after(&before)];
    let mut full = plugin(&config);
    assert_eq!(results(&mut full, &film)[0][1], "256");
    assert_eq!(hand_over(&full, &mut plugin(&config)), Ok(Restored::Full));
}
