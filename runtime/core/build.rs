//! Lets the code tell versions of FFmpeg apart where its C interface differs: `cfg(ffmpeg_6_0)` is
//! set for FFmpeg 6.0 and later.

/// The versions that the code asks for.
const VERSIONS: [&str; 3] = ["ffmpeg_6_0", "ffmpeg_7_0", "ffmpeg_9_0"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for version in VERSIONS {
        println!("cargo::rustc-check-cfg=cfg({version})");
        // From ffmpeg-sys-next, which has read the headers; cargo runs this again when they change.
        let variable = format!("DEP_FFMPEG_{}", version.to_uppercase());
        if std::env::var(variable).is_ok_and(|value| value == "true") {
            println!("cargo::rustc-cfg={version}");
        }
    }
}
