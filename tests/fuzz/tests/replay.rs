//! Everything that fuzzing ever found, and the seeds that it began with, hold what the targets
//! promise.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::path::Path;

use comux_fuzz::TARGETS;

/// Gives each file of a directory to its target. Which input it was stands before the panic.
fn replay(directory: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    for target in TARGETS {
        let Ok(files) = fs::read_dir(root.join(target.name)) else { continue };
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            println!("{}", path.display());
            (target.run)(&fs::read(&path).unwrap());
        }
    }
}

#[test]
fn what_was_found_once_holds() {
    replay("regressions");
}

#[test]
fn the_seeds_hold() {
    for target in TARGETS {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
        assert!(fs::read_dir(&seeds).is_ok_and(|mut files| files.next().is_some()), "{seeds:?}");
    }
    replay("seeds");
}
