//! The figures that measurements find: rows with a unit and a goal, kept with the machine that they
//! were found on in `target/bench/ratios.json`, so that a later run can be compared with this one.
//!
//! Parts of the measurements can be repeated alone; the rows of the others stay as they were.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::target_dir;

/// Where measurements leave what they make.
#[must_use]
pub fn directory() -> PathBuf {
    target_dir().join("bench")
}

fn file() -> PathBuf {
    directory().join("ratios.json")
}

/// The parts that the environment variable `ONLY` names, such as `ONLY=latency,scale`; all where it
/// names none.
#[must_use]
pub fn only() -> Vec<String> {
    let only = std::env::var("ONLY").unwrap_or_default();
    only.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Whether this part is to be measured.
#[must_use]
pub fn is_wanted(part: &str) -> bool {
    let only = only();
    only.is_empty() || only.iter().any(|wanted| wanted == part)
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bound {
    /// Whether a figure is within it.
    #[must_use]
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As many digits as figures have, and no zeros behind.
        let rounded = |bound: &f64| (bound * 1000.0).round() / 1000.0;
        match self {
            Self::AtLeast(bound) => write!(formatter, "at least {}", rounded(bound)),
            Self::AtMost(bound) => write!(formatter, "at most {}", rounded(bound)),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The part of the measurements that found it.
    pub part: String,
    /// What was measured.
    pub name: String,
    /// The figure.
    pub figure: f64,
    /// What it counts: `×` for a ratio.
    pub unit: String,
    /// What it should be, where there is a goal.
    pub goal: Option<Bound>,
}

/// What figures depend on beside the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many cores there are to run on.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// The one that this runs on.
    #[must_use]
    pub fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
        Self {
            cpu: model.map_or("unknown", |it| it.trim_start_matches([' ', '\t', ':'])).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Where they were found.
    pub machine: Machine,
    /// How many threads wanted a core, on average over the minute before the last measurement: more
    /// than a few tenths, and times are those of a busy machine.
    pub load_before: f64,
    /// The figures.
    pub rows: Vec<Row>,
}

impl Figures {
    /// What is kept; none where nothing was measured yet.
    #[must_use]
    pub fn kept() -> Option<Self> {
        serde_json::from_slice(&fs::read(file()).ok()?).ok()
    }
}

/// The table in the making.
pub struct Table {
    machine: Machine,
    load_before: f64,
    /// What was kept before, if it is of this machine.
    before: Vec<Row>,
    part: String,
    rows: Vec<Row>,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// An empty one, which knows what was kept before.
    #[must_use]
    pub fn new() -> Self {
        let machine = Machine::this();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load_before = load.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or_default();
        let before = Figures::kept().filter(|kept| kept.machine == machine);
        let before = before.map(|kept| kept.rows).unwrap_or_default();
        Self { machine, load_before, before, part: String::new(), rows: Vec::new() }
    }

    /// The rows that follow are of this part.
    pub fn begin(&mut self, part: &str) {
        println!("\n{part}");
        part.clone_into(&mut self.part);
    }

    /// A figure with a goal.
    ///
    /// # Panics
    /// When it is not finite.
    pub fn goal(&mut self, name: &str, figure: f64, unit: &str, goal: Bound) {
        self.add(name, figure, unit, Some(goal));
    }

    /// A figure that is what it is.
    ///
    /// # Panics
    /// When it is not finite.
    pub fn row(&mut self, name: &str, figure: f64, unit: &str) {
        self.add(name, figure, unit, None);
    }

    fn add(&mut self, name: &str, figure: f64, unit: &str, goal: Option<Bound>) {
        // JSON has no other, and what was kept could not be read again.
        assert!(figure.is_finite(), "{name}: {figure} is no figure");
        let (part, name, unit) = (self.part.clone(), name.to_owned(), unit.to_owned());
        let row = Row { part, name, figure, unit, goal };
        println!("{}", line(&row));
        self.rows.push(row);
    }

    /// Keeps the figures, beside those of parts that were not measured now.
    ///
    /// # Panics
    /// When they can't be written.
    pub fn keep(&self) {
        let measured: BTreeSet<&str> = self.rows.iter().map(|row| row.part.as_str()).collect();
        let others = self.before.iter().filter(|row| !measured.contains(row.part.as_str()));
        let figures = Figures {
            machine: self.machine.clone(),
            load_before: self.load_before,
            rows: others.chain(&self.rows).cloned().collect(),
        };
        fs::create_dir_all(directory()).unwrap();
        fs::write(file(), serde_json::to_vec_pretty(&figures).unwrap()).unwrap();
    }

    /// Prints what was found, each beside what was kept before.
    pub fn print(&self) {
        let Machine { cpu, cores, kernel } = &self.machine;
        println!("\n{cores} cores of {cpu}, Linux {kernel}; load before: {}", self.load_before);
        for row in &self.rows {
            let before = self.before.iter().find(|before| before.name == row.name);
            let change = before.filter(|before| before.figure != 0.0).map(|before| {
                let percent = (row.figure / before.figure - 1.0) * 100.0;
                format!("{percent:+.1} % against the run before, {:.3}", before.figure)
            });
            println!("{}  {}", line(row), change.unwrap_or_default());
        }
    }
}

fn line(Row { name, figure, unit, goal, .. }: &Row) -> String {
    let goal = goal.map_or_else(String::new, |goal| {
        format!("{} {goal}", if goal.holds(*figure) { "✔" } else { "✘" })
    });
    format!("{name:76} {figure:10.3} {unit:7} {goal:18}")
}
