//! The commands of FFmpeg, an independent decoder and encoder.

use std::path::Path;
use std::process::Command;

pub(crate) fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-threads", "1"]);
    command
}

/// Runs a command that must succeed without a word; returns its output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("ffmpeg; `make setup-test` installs it");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaints}");
    assert!(complaints.is_empty(), "{command:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn probe(path: &Path, entries: &str) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-of", "csv=p=0", "-show_entries"]);
    let output = run(command.arg(entries).arg(path));
    // Where there is other data beside, lines end with a comma, and some are empty.
    let lines = output.lines().map(|line| line.trim_end_matches(',')).filter(|it| !it.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}
