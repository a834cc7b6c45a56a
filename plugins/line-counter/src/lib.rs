//! Counts what crosses lines: where the picture moves (the host's motion grid), which cells belong
//! together (`comux_sdk::regions`), which object each region is (`tracks`), and whether it is past
//! a line (`line`). See the README for what it writes.
//!
//! Counts and objects survive a swap: a successor with the same configuration gives the results
//! that its predecessor would have given.

mod line;
mod point;
mod settings;
mod tracks;

use comux_sdk::prelude::*;
use comux_sdk::regions::{Grid, Region};
use line::Counts;
use point::Point;
use settings::{Config, Settings};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use tracks::{MOST_TRACKS, Track, follow};

/// Itself its state: later results depend on all of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(crate = "comux_sdk::serde")]
struct LineCounter {
    settings: Settings,
    /// One for each line.
    counts: Vec<Counts>,
    tracks: Vec<Track>,
}

impl Plugin for LineCounter {
    type Config = Config;
    // Whichever crate compiles it: tests do so as another version.
    const NAME: Option<&'static str> = Some("line-counter");
    const HEADERS: &'static [&'static str] = &["line-counter.counts", "line-counter.tracks"];

    fn new(config: Config) -> Result<Self, ConfigError> {
        let settings = Settings::try_from(config)?;
        let counts = vec![Counts::default(); settings.lines.len()];
        Ok(Self { settings, counts, tracks: Vec::new() })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        let info = frame.info();
        // A grid finer than the picture can't be had.
        let cols = self.settings.cols.min(info.width);
        let rows = self.settings.rows.min(info.height);
        let before = self.crossings();
        match frame.motion_grid(cols, rows) {
            Some(cells) => {
                let centres = self.objects(Grid { cols, rows, cells: &cells });
                follow(&mut self.tracks, &centres, &self.settings, &mut self.counts);
            }
            // After a gap, whatever moves may be anyone.
            None => self.tracks.clear(),
        }
        metrics::add("crossings", self.crossings() - before);
        metrics::set("tracks", self.tracks.len() as f64);
        let names = self.settings.lines.iter().map(|line| line.name.as_str());
        let counts: BTreeMap<&str, Counts> = names.zip(self.counts.iter().copied()).collect();
        Headers::new()
            .text("line-counter.tracks", self.tracks.len())
            .json("line-counter.counts", &counts)
    }
}

impl LineCounter {
    /// All crossings of all lines.
    fn crossings(&self) -> u64 {
        self.counts.iter().map(|counts| counts.inwards + counts.outwards).sum()
    }

    /// Where the picture's objects are. Of more than can be followed, the largest.
    fn objects(&self, grid: Grid) -> Vec<Point> {
        let mut regions = grid.regions(self.settings.threshold, self.settings.touching());
        regions.retain(|region: &Region| region.cells >= self.settings.min_cells);
        regions.sort_by_key(|region| Reverse(region.cells));
        regions.truncate(MOST_TRACKS);
        regions.iter().map(|region| Point::from_fractions(grid.centre(region))).collect()
    }
}

impl Stateful for LineCounter {
    type State = Self;

    fn save(&self) -> Self {
        self.clone()
    }

    fn restore(&mut self, before: Self) -> Result<Restored, StateError> {
        if before.settings == self.settings {
            *self = before;
            return Ok(Restored::Full);
        }
        let mut left = vec!["the configuration is another, so objects under way".to_owned()];
        for (line, counts) in before.settings.lines.iter().zip(before.counts) {
            let mut own = self.settings.lines.iter().zip(&mut self.counts);
            match own.find(|(own, _)| own.name == line.name) {
                Some((_, own)) => *own = counts,
                None => left.push(format!("the counts of `{}`", line.name)),
            }
        }
        Ok(Restored::partial(left.join(", ") + " are not taken over"))
    }
}

comux_sdk::export!(LineCounter, state);

#[cfg(test)]
mod tests;
