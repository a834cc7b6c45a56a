//! A real plugin in which a bit is flipped: each one is a plugin or an error with a step.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use comux_fuzz::TARGETS;

/// So many bytes lie between two flips: a prime, and in `make soak` five times as many flips.
fn stride() -> usize {
    if std::env::var_os("COMUX_SOAK").is_some() { 97 } else { 487 }
}

/// As `make plugins` builds it.
fn brightness() -> Vec<u8> {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let path: PathBuf = target.join("plugins/brightness.wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; make plugins", path.display()))
}

#[test]
fn a_plugin_with_a_flipped_bit_is_one_or_an_error() {
    let (real, stride) = (brightness(), stride());
    let run = TARGETS.iter().find(|target| target.name == "component").unwrap().run;
    let (next, threads) = (AtomicUsize::new(0), thread::available_parallelism().unwrap().get());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(stride, Ordering::Relaxed);
                    let mut flipped = real.clone();
                    let Some(byte) = flipped.get_mut(at) else { break };
                    *byte ^= 0x10;
                    println!("byte {at}");
                    run(&flipped);
                }
            });
        }
    });
    assert!(next.into_inner() > real.len());
}
