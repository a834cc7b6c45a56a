//! libFuzzer around one of the targets; `tests/fuzz/run` says which.
#![no_main]

use std::sync::LazyLock;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static TARGET: LazyLock<comux_fuzz::Target> = LazyLock::new(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let target = comux_fuzz::TARGETS.iter().find(|target| target.name == name);
        assert!(target.is_some(), "FUZZ_TARGET: there is no target `{name}`");
        target.copied().unwrap_or(comux_fuzz::TARGETS[0])
    });
    (TARGET.run)(data);
});
