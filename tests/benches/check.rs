//! Compares the figures of the last `make bench` with `bounds.toml`, row by row: those that are out
//! of bounds, or were not measured, are named, and it ends with exit code 1.
//!
//! `make bench-check`. Not a part of the tests: figures are those of a machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a check that can't go on says so by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use comux_tests::figures::{Bound, Figures};
use comux_tests::tests_dir;

fn main() -> ExitCode {
    let path = tests_dir().join("benches/bounds.toml");
    let text = fs::read_to_string(path).expect("tests/benches/bounds.toml");
    let bounds: BTreeMap<String, Bound> =
        toml::from_str(&text).unwrap_or_else(|error| panic!("tests/benches/bounds.toml: {error}"));
    let Some(Figures { machine, load_before, rows }) = Figures::kept() else {
        eprintln!("there are no figures to compare: run `make bench` first");
        return ExitCode::FAILURE;
    };
    println!(
        "measured on {} cores of {}, Linux {}, load before: {load_before}",
        machine.cores, machine.cpu, machine.kernel
    );
    let mut out = 0;
    for (name, bound) in &bounds {
        let Some(row) = rows.iter().find(|row| row.name == *name) else {
            println!(
                "✘ {name}: not measured; `make bench` measures all, and another row may have its name"
            );
            out += 1;
            continue;
        };
        if !bound.holds(row.figure) {
            println!("✘ {name}: {:.3} {}, and should be {bound}", row.figure, row.unit);
            out += 1;
        }
    }
    println!("{} of {} rows within bounds", bounds.len() - out, bounds.len());
    if out == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
