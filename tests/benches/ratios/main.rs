//! What comux costs beside the decoder alone, how fast it is, and how that grows: the figures of
//! the book, each pair measured in one run on the same clip. CPU time is the operating system's, so
//! that a busy machine matters little; latency is that of an idle one. Nothing is measured less:
//! every record comes back with what it should say, or the measurement ends with an error.
//!
//! `make bench`, or `make bench ONLY=latency,scale` for some parts; the result is kept in
//! `target/bench/ratios.json` and compared with the one before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that can't go on says so by panicking"
)]

mod batches;
mod churn;
mod clips;
mod growth;
mod keyframes;
mod latency;
mod memory;
mod neighbours;
mod plot;
mod previous;
mod python;
mod run;
mod runaway;
mod scale;
mod swap;
mod thousand;
mod throughput;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use comux_tests::broker::start_for_measuring;
use comux_tests::figures::{Table, is_wanted, only};

/// A measurement: what `ONLY` calls it, and how it is done.
type Part = (&'static str, fn(&mut Table));

/// Those whose figures are times come first, while the machine is cool.
const PARTS: [Part; 14] = [
    ("latency", latency::measure),
    ("scale", scale::measure),
    ("batches", batches::measure),
    ("neighbours", neighbours::measure),
    ("runaway", runaway::measure),
    ("swap", swap::measure),
    ("throughput", throughput::measure),
    ("python", python::measure),
    ("keyframes", keyframes::measure),
    ("previous", previous::measure),
    ("growth", growth::measure),
    ("memory", memory::measure),
    ("thousand", thousand::measure),
    ("churn", churn::measure),
];

/// The part that is a benchmark of its own, because it looks from inside.
const SANDBOX: &str = "sandbox";

fn main() -> ExitCode {
    let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).chain([SANDBOX]).collect();
    if let Some(unknown) = only().iter().find(|part| !known.contains(&part.as_str())) {
        eprintln!("ONLY={unknown}: the parts are {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    start_for_measuring();
    let wanted = PARTS.into_iter().filter(|(name, _)| is_wanted(name));
    let table = Mutex::new(Table::new());
    let mut failed = Vec::new();
    for (name, measure) in wanted {
        // One part that can't go on takes nothing from the others, and what it said stands above.
        let measured = catch_unwind(|| {
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.begin(name);
            measure(&mut table);
            table.keep();
        });
        if measured.is_err() {
            failed.push(name);
        }
    }
    table.lock().unwrap_or_else(PoisonError::into_inner).print();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("not measured to the end: {}", failed.join(", "));
    ExitCode::FAILURE
}
