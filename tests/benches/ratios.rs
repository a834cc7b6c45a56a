//! What comux costs beside the decoder alone, and how fast it is: the figures of the README, each pair
//! measured in one run on the same clip. CPU time is the operating system's, so that a busy machine
//! matters little; latency is that of an idle one. Nothing is measured less: every record comes back
//! analysed, or the measurement ends with an error.
//!
//! `make bench`; the result is kept in `target/bench/ratios.json`, and the one before is shown beside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that can't go on says so by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use comux_tests::cost;
use comux_tests::latency::{Probe, create_topics, permille};
use comux_tests::media::Clip;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Reader, Record, Writer};
use comux_tests::target_dir;

/// The clip is fed so often.
const LOOPS: usize = 5;
/// Each pair is measured so often, in turns.
const ROUNDS: usize = 3;

/// The rows: what was measured, the figure, and what it should be.
#[derive(Default)]
struct Table {
    rows: Vec<(String, f64, &'static str)>,
}

impl Table {
    fn row(&mut self, what: &str, figure: f64, goal: &'static str) {
        println!("{what:64} {figure:9.3}   {goal}");
        self.rows.push((what.to_owned(), figure, goal));
    }

    /// Keeps the figures, and shows those that were kept before.
    fn keep(&self) {
        let path = directory().join("ratios.json");
        let before: Option<BTreeMap<String, f64>> =
            fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(before) = before {
            println!("\nagainst the run before:");
            for (what, figure, _) in &self.rows {
                if let Some(earlier) = before.get(what) {
                    let change = (figure / earlier - 1.0) * 100.0;
                    println!("{what:64} {earlier:9.3} → {figure:9.3}  {change:+6.1} %");
                }
            }
        }
        let now: BTreeMap<_, _> =
            self.rows.iter().map(|(what, figure, _)| (what, figure)).collect();
        fs::write(path, serde_json::to_vec_pretty(&now).unwrap()).unwrap();
    }
}

fn directory() -> PathBuf {
    target_dir().join("bench")
}

/// What one run of comux cost, per record.
struct Run {
    cpu: Duration,
    /// Mean microseconds in the decoder and in plugins, as the records say.
    decode_us: f64,
    plugin_us: f64,
}

/// Feeds a clip to a camera of this configuration, as fast as it can take it, and waits until all
/// of it is out; `is_right` looks at each record.
fn run(name: &str, clip: &Clip, camera: &str, is_right: fn(&Record) -> bool) -> Run {
    create_topics(&[name.to_owned()]);
    let codec = format!("codec = '{}'\n", clip.codec);
    let config = Config::new(name).camera(name, &(codec + "mode = 'every-frame'\n" + camera));
    let comux = Comux::run(&config);
    let records = clip.looped(LOOPS * clip.packets.len());
    let before = comux.cpu();
    let writer = Writer::new();
    for record in &records {
        writer.send(&format!("raw_{name}"), record);
    }
    writer.flush();
    let mut reader = Reader::new(&format!("stream_{name}"));
    let (mut decode, mut plugin) = (0.0, 0.0);
    for number in 0..records.len() {
        let record = reader.take(1).remove(0);
        assert!(is_right(&record), "record {number} is {:?}", record.status());
        if let Some(timing) = record.header("comux-timing") {
            let part = |name: &str| {
                let part = timing.split(';').find_map(|part| part.strip_prefix(name));
                part.expect("a part").parse::<f64>().unwrap()
            };
            decode += part("decode=");
            plugin += part("plugin=");
        }
    }
    let cpu = comux.cpu() - before;
    let _ = comux.stop();
    let each = records.len() as f64;
    let cpu = cpu.div_f64(each);
    Run { cpu, decode_us: decode / each, plugin_us: plugin / each }
}

/// CPU time per frame of `ffmpeg`, which decodes the same clip as often and does nothing with it.
fn ffmpeg(clip: &Clip, path: &std::path::Path) -> Duration {
    let mut command = Command::new("ffmpeg");
    let more = (LOOPS - 1).to_string();
    command.args(["-nostdin", "-hide_banner", "-threads", "1", "-stream_loop", &more, "-i"]);
    command.arg(path).args(["-f", "null", "-"]);
    let (cpu, said) = cost::of_command(&mut command);
    let frames = LOOPS * clip.packets.len();
    assert!(said.contains(&format!("frame={frames:>5}")), "not {frames} frames:\n{said}");
    cpu.div_f64(frames as f64)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The whole runtime against libavcodec alone, on the same file.
fn throughput(table: &mut Table, clips: &[(&str, Clip, PathBuf)]) {
    for (name, clip, path) in clips {
        let (mut ratios, mut own) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let floor = ffmpeg(clip, path);
            let id = format!("bench-{}-{round}", clip_id(name));
            let whole = run(&id, clip, &plugins_line("motion", ""), Record::is_analysed);
            ratios.push(micros(floor) / micros(whole.cpu));
            own.push(micros(whole.cpu) - whole.decode_us - whole.plugin_us);
            println!(
                "  {name}: ffmpeg {:.0} µs, comux {:.0} µs, of which decoder {:.0} and plugin {:.0}",
                micros(floor),
                micros(whole.cpu),
                whole.decode_us,
                whole.plugin_us
            );
        }
        let ratio = format!("{name}: frames per CPU second, ffmpeg alone = 1");
        table.row(&ratio, median(ratios), "at least 0.90");
        let own_work = format!("{name}: own work per frame, µs");
        table.row(&own_work, median(own), "at most 100");
    }
}

fn clip_id(name: &str) -> String {
    name.replace([' ', '.', ','], "").to_lowercase()
}

/// Key frames only, against every frame.
fn keyframes(table: &mut Table, clip: &Clip) {
    let plugin = plugins_line("motion", "");
    let ratios = (0..ROUNDS).map(|round| {
        let all = run(&format!("bench-all-{round}"), clip, &plugin, Record::is_analysed);
        let lines = format!("rate = 'keyframes'\n{plugin}");
        let is_right = |record: &Record| {
            record.is_analysed() == (record.header("comux-keyframe") == Some("1"))
        };
        let few = run(&format!("bench-keys-{round}"), clip, &lines, is_right);
        micros(few.cpu) / micros(all.cpu)
    });
    table.row("key frames only: CPU, every frame = 1", median(ratios.collect()), "at most 0.25");
}

/// A live camera, record in to record out, as others see it.
fn latency(table: &mut Table, clip: &'static Clip) {
    let name = "bench-latency";
    create_topics(&[name.to_owned()]);
    let lines = format!("mode = 'live'\nstart = 'beginning'\n{}", plugins_line("noop", ""));
    let comux = Comux::run(&Config::new(name).camera(name, &lines));
    let probe = Probe::start(&[name.to_owned()], clip, 25);
    std::thread::sleep(Duration::from_secs(60));
    let (_, samples) = probe.stop();
    let _ = comux.stop();
    let settled = samples[0].iter().filter(|sample| sample.sent > Duration::from_secs(5));
    let mut latencies: Vec<Duration> = settled
        .map(|sample| {
            assert_eq!(sample.lost, None);
            sample.latency
        })
        .collect();
    latencies.sort_unstable();
    let mut decode: Vec<f64> = Vec::new();
    for record in comux_tests::records::consume(&format!("stream_{name}"), latencies.len()) {
        let timing = record.header("comux-timing").expect("timing");
        let decode_us = timing.split(';').find_map(|part| part.strip_prefix("decode="));
        decode.push(decode_us.unwrap().parse().unwrap());
    }
    let at = |of| permille(&latencies, of).as_secs_f64() * 1000.0;
    table.row(
        "live 1080p25, latency beyond decoding, p50, ms",
        at(500) - median(decode) / 1e3,
        "at most 2",
    );
    table.row("live 1080p25, latency, p99, ms", at(990), "at most 40");
    table.row("live 1080p25, latency, longest, ms", at(1000), "");
}

/// A thousand cameras that pass records through.
fn thousand(table: &mut Table) {
    let cameras: Vec<String> = (0..1000).map(|number| format!("bench-many-{number}")).collect();
    create_topics(&cameras);
    let mut config = Config::new("bench-many");
    for camera in &cameras {
        config = config.camera(camera, "mode = 'every-frame'");
    }
    let comux = Comux::run(&config);
    let writer = Writer::new();
    let clip = comux_tests::media::lowdelay();
    for number in 0..10 {
        for camera in &cameras {
            writer.send(&format!("raw_{camera}"), &clip.record(number));
        }
    }
    writer.flush();
    for camera in &cameras {
        let records = comux_tests::records::consume(&format!("stream_{camera}"), 10);
        assert!(records.iter().all(|record| record.status().0 == "passthrough"), "{camera}");
    }
    table.row(
        "1,000 cameras passing through, MiB",
        comux.memory("VmHWM") as f64 / 1048576.0,
        "at most 1024",
    );
    table.row("1,000 cameras passing through, threads", comux.threads() as f64, "");
    let _ = comux.stop();
}

fn main() {
    let x264 = ["-c:v", "libx264", "-preset", "veryfast"];
    let clip = |name: &'static str, codec, encoder: &[&str]| {
        let path = directory().join(format!("{}.mp4", clip_id(name)));
        (name, Clip::full_hd(codec, encoder, &path), path)
    };
    let clips = [
        clip("H.264 with B-frames", "h264", &[&x264[..], &["-bf", "3"]].concat()),
        clip("H.264 without", "h264", &[&x264[..], &["-bf", "0"]].concat()),
        clip(
            "H.265",
            "h265",
            &["-c:v", "libx265", "-preset", "superfast", "-x265-params", "log-level=error"],
        ),
    ];
    let wanted = std::env::var("ONLY").unwrap_or_default();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.contains(part);
    let mut table = Table::default();
    if is_wanted("throughput") {
        throughput(&mut table, &clips);
    }
    let [_, (_, low_delay, _), _] = clips;
    let low_delay: &'static Clip = Box::leak(Box::new(low_delay));
    if is_wanted("keyframes") {
        keyframes(&mut table, low_delay);
    }
    if is_wanted("latency") {
        latency(&mut table, low_delay);
    }
    if is_wanted("thousand") {
        thousand(&mut table);
    }
    table.keep();
}
