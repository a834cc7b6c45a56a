//! That files import each other in one direction only, as `runtime/ARCHITECTURE.md` says: no
//! circles between files, and each room of the library looks only at those before it. `make
//! structure`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on says so by panicking"
)]

mod imports;

use std::fs;

use comux_tests::tests_dir;
use imports::Structure;

/// The rooms of the library, each of which may import those before it only.
const ROOMS: [&str; 16] = [
    "policy",
    "record",
    "sched",
    "tenancy",
    "video",
    "plugin",
    "config",
    "stats",
    "snapshots",
    "kafka",
    "camera",
    "host",
    "control",
    "preflight",
    "runtime",
    "lib",
];

/// Those of `plugin/`, likewise.
const PLUGIN_ROOMS: [&str; 11] = [
    "supply",
    "sandbox",
    "compile",
    "instance",
    "fair_semaphore",
    "settings",
    "loader",
    "plugin_store",
    "signing",
    "fuzzing",
    "mod",
];

fn crate_at(path: &str) -> Structure {
    Structure::of(&tests_dir().join("..").join(path).join("src"))
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for path in [
        "runtime/core",
        "runtime/cli",
        "sdk",
        "plugins/line-counter",
        "plugins/motion",
        "plugins/tamper",
        "tests",
        "tests/fuzz",
    ] {
        let circles = crate_at(path).circles();
        assert!(circles.is_empty(), "{path}: {circles:#?}");
    }
}

#[test]
fn each_room_imports_only_those_before_it() {
    let structure = crate_at("runtime/core");
    assert_eq!(structure.upward(&ROOMS), [""; 0]);
    assert_eq!(structure.within("plugin").upward(&PLUGIN_ROOMS), [""; 0]);
}

#[test]
fn circles_are_found_through_faces_and_what_tests_import_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; mod c;");
    write("a/mod.rs", "mod x; mod y; pub use x::X;");
    write("a/x.rs", "pub struct X; fn f() { crate::b::g(); }");
    write("a/y.rs", "use super::X;");
    write("b.rs", "use crate::a::X; pub fn g() -> X { loop {} }");
    write("c.rs", "use crate::b::g; #[cfg(test)] mod tests { use crate::d::D; }");
    let structure = Structure::of(directory.path());
    assert_eq!(structure.circles().keys().collect::<Vec<_>>(), ["a/x.rs", "b.rs"]);
    assert_eq!(structure.imports["a/y.rs"].iter().collect::<Vec<_>>(), ["a/x.rs"]);
    assert_eq!(structure.upward(&["a", "b", "c", "lib"]), ["a/x.rs imports b.rs"]);
}
