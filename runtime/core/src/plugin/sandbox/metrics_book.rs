//! A plugin's own numbers, bounded in their names; the interface `metrics` enters them.
//!
//! Written by the camera's thread and read by anyone else, without a lock on either side: a plugin
//! that counts in an endless loop can hold up nobody who reads.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// Bytes of a name. It becomes part of the name of a time series, and those of common collectors
/// are held to some hundred bytes altogether.
const LONGEST_NAME: usize = 64;

/// Names that a book has room for, whatever the limits say: the room is taken when it is opened.
const MOST_NAMES: usize = 1000;

/// The numbers of one plugin on one camera. It outlives the plugin's instances.
#[derive(Debug)]
pub struct MetricsBook {
    /// Filled from the front; what is in place stays.
    entries: Box<[OnceLock<NamedMetric>]>,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct NamedMetric {
    name: Box<str>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Sum(AtomicU64),
    Level(Float),
    Observations { count: AtomicU64, sum: Float, least: Float, greatest: Float },
}

/// An `f64` that one thread writes and others read.
#[derive(Debug)]
struct Float(AtomicU64);

/// What a plugin has told of itself up to a moment. Numbers of one observation that comes at this
/// moment may be in one sum and not yet in another.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MetricsSnapshot {
    /// Its metrics by name.
    pub values: BTreeMap<String, Metric>,
    /// Calls whose number was not taken: another kind than the name has, a name that is none, one
    /// too many, or a number that is not finite.
    pub dropped: u64,
}

/// One metric; `{"counter": 7}` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// The sum of what was added.
    Counter(u64),
    /// The value that was set last.
    Gauge(f64),
    /// What was observed.
    Observed {
        /// How often.
        count: u64,
        /// All values together.
        sum: f64,
        /// The least of them.
        min: f64,
        /// The greatest of them.
        max: f64,
    },
}

/// What a plugin says of a metric in one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Report {
    Add(u64),
    Set(f64),
    Observe(f64),
}

impl Default for MetricsBook {
    fn default() -> Self {
        Self::with_names(32)
    }
}

impl MetricsBook {
    /// An empty book with room for so many names.
    #[must_use]
    pub fn with_names(most: usize) -> Self {
        let entries = std::iter::repeat_with(OnceLock::new).take(most.min(MOST_NAMES)).collect();
        Self { entries, dropped: AtomicU64::new(0) }
    }

    /// What it holds now.
    #[must_use]
    pub fn snapshot(&self) -> MetricsSnapshot {
        let entries = self.entries.iter().map_while(OnceLock::get);
        let values = entries.map(|entry| (entry.name.to_string(), entry.value.read())).collect();
        MetricsSnapshot { values, dropped: self.dropped.load(Relaxed) }
    }

    /// Enters one call; the first that is not taken says why.
    pub(crate) fn enter(&self, name: &str, call: Report) -> Option<String> {
        let Err(why) = self.take(name, call) else { return None };
        (self.dropped.fetch_add(1, Relaxed) == 0).then(|| why.say(name, self.entries.len()))
    }

    fn take(&self, name: &str, call: Report) -> Result<(), Dropped> {
        if let Report::Set(value) | Report::Observe(value) = call
            && !value.is_finite()
        {
            return Err(Dropped::NotFinite);
        }
        for slot in &self.entries {
            let entry = match slot.get() {
                Some(entry) => entry,
                None if is_name(name) => {
                    slot.get_or_init(|| NamedMetric { name: name.into(), value: Value::of(call) })
                }
                None => return Err(Dropped::Name),
            };
            if &*entry.name == name {
                return entry.value.take(call);
            }
        }
        Err(if is_name(name) { Dropped::TooMany } else { Dropped::Name })
    }
}

/// Why a call is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dropped {
    Name,
    Kind,
    TooMany,
    NotFinite,
}

impl Dropped {
    fn say(self, name: &str, most: usize) -> String {
        let name = name.get(..name.floor_char_boundary(LONGEST_NAME)).unwrap_or_default();
        match self {
            Self::Name => format!(
                "the name {name:?} is not 1 to {LONGEST_NAME} letters, digits, `_`, `.` and `-`"
            ),
            Self::Kind => format!("`{name}` was another kind of metric before"),
            Self::TooMany => format!(
                "`{name}` is one name more than the {most} that limits.metrics has room for"
            ),
            Self::NotFinite => format!("{name:?} is told a number that is not finite"),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_part)
}

impl Value {
    /// The kind that `call` is for, before it is taken.
    fn of(call: Report) -> Self {
        match call {
            Report::Add(_) => Self::Sum(AtomicU64::new(0)),
            Report::Set(_) => Self::Level(Float::new(0.0)),
            Report::Observe(_) => Self::Observations {
                count: AtomicU64::new(0),
                sum: Float::new(0.0),
                least: Float::new(f64::INFINITY),
                greatest: Float::new(f64::NEG_INFINITY),
            },
        }
    }

    /// Only ever called by one thread at a time, which is why reading and writing are two steps.
    fn take(&self, call: Report) -> Result<(), Dropped> {
        match (self, call) {
            (Self::Sum(sum), Report::Add(amount)) => {
                sum.store(sum.load(Relaxed).saturating_add(amount), Relaxed);
            }
            (Self::Level(level), Report::Set(value)) => level.set(value),
            (Self::Observations { count, sum, least, greatest }, Report::Observe(value)) => {
                // A sum beyond what can be said stays the greatest that can.
                sum.set((sum.get() + value).clamp(f64::MIN, f64::MAX));
                least.set(least.get().min(value));
                greatest.set(greatest.get().max(value));
                count.store(count.load(Relaxed).saturating_add(1), Relaxed);
            }
            _ => return Err(Dropped::Kind),
        }
        Ok(())
    }

    fn read(&self) -> Metric {
        match self {
            Self::Sum(sum) => Metric::Counter(sum.load(Relaxed)),
            Self::Level(level) => Metric::Gauge(level.get()),
            Self::Observations { count, sum, least, greatest } => {
                match count.load(Relaxed) {
                    // Its first is being entered at this moment.
                    0 => Metric::Observed { count: 0, sum: 0.0, min: 0.0, max: 0.0 },
                    count => Metric::Observed {
                        count,
                        sum: sum.get(),
                        min: least.get(),
                        max: greatest.get(),
                    },
                }
            }
        }
    }
}

impl Float {
    fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(calls: &[(&str, Report)]) -> MetricsBook {
        let book = MetricsBook::with_names(3);
        for (name, call) in calls {
            let _ = book.enter(name, *call);
        }
        book
    }

    #[test]
    fn sums_levels_and_observations_are_kept_by_name() {
        let snapshot = book(&[
            ("frames", Report::Add(2)),
            ("frames", Report::Add(3)),
            ("tracks", Report::Set(2.5)),
            ("tracks", Report::Set(-1.5)),
            ("score", Report::Observe(2.0)),
            ("score", Report::Observe(-1.0)),
        ])
        .snapshot();
        let json = serde_json::to_value(&snapshot).unwrap();
        let expected = serde_json::json!({
            "values": {
                "frames": { "counter": 5 },
                "tracks": { "gauge": -1.5 },
                "score": { "observed": { "count": 2, "sum": 1.0, "min": -1.0, "max": 2.0 } },
            },
            "dropped": 0,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn one_name_too_many_is_dropped_and_those_before_go_on() {
        let book = book(&[("a", Report::Add(1)), ("b", Report::Add(1)), ("c", Report::Add(1))]);
        for number in 0..100_000 {
            let _ = book.enter(&format!("flood-{number}"), Report::Add(1));
        }
        assert_eq!(book.enter("c", Report::Add(1)), None);
        let snapshot = book.snapshot();
        assert_eq!(snapshot.values.len(), 3);
        assert_eq!(snapshot.values["c"], Metric::Counter(2));
        assert_eq!(snapshot.dropped, 100_000);
    }

    #[test]
    fn only_the_first_that_is_dropped_is_told() {
        let book = book(&[("a", Report::Add(1))]);
        let told = book.enter("a", Report::Set(1.0));
        assert_eq!(told.as_deref(), Some("`a` was another kind of metric before"));
        assert_eq!(book.enter("b c", Report::Add(1)), None);
        assert_eq!(book.snapshot().dropped, 2);
    }

    #[test]
    fn what_is_no_name_or_no_number_takes_no_room() {
        let long = "x".repeat(65);
        let snapshot = book(&[
            ("", Report::Add(1)),
            ("ä", Report::Add(1)),
            ("a b", Report::Add(1)),
            ("a\n", Report::Add(1)),
            (&long, Report::Add(1)),
            ("a", Report::Set(f64::NAN)),
            ("a", Report::Observe(f64::INFINITY)),
            (&long[..64], Report::Add(1)),
        ])
        .snapshot();
        assert_eq!(snapshot.values.keys().collect::<Vec<_>>(), [&long[..64]]);
        assert_eq!(snapshot.dropped, 7);
    }

    #[test]
    fn sums_stay_what_json_can_say() {
        let huge = [
            ("n", Report::Add(u64::MAX)),
            ("n", Report::Add(1)),
            ("x", Report::Observe(f64::MAX)),
            ("x", Report::Observe(f64::MAX)),
        ];
        let values = book(&huge).snapshot().values;
        assert_eq!(values["n"], Metric::Counter(u64::MAX));
        let Metric::Observed { sum, .. } = values["x"] else { panic!("observations") };
        assert_eq!(sum, f64::MAX);
    }
}
