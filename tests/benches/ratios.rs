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

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use comux_tests::broker::broker;
use comux_tests::cost;
use comux_tests::latency::{Probe, create_topics};
use comux_tests::media::Clip;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Reader, Record, Writer, consume, create_topic_with};
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

/// Feeds the clip to whatever reads the topic of `name`, as fast as it can take it, and waits until all
/// of it is out; `look` sees each record. CPU time per record, by a clock of the process that does it.
fn feed(
    name: &str,
    clip: &Clip,
    cpu: impl Fn() -> Duration,
    mut look: impl FnMut(Record),
) -> Duration {
    let records = clip.looped(LOOPS * clip.packets.len());
    let before = cpu();
    let writer = Writer::new();
    for record in &records {
        writer.send(&format!("raw_{name}"), record);
    }
    writer.flush();
    let mut reader = Reader::new(&format!("stream_{name}"));
    for sent in &records {
        let record = reader.take(1).remove(0);
        assert!(record.value == sent.value, "another record comes out than went in");
        look(record);
    }
    (cpu() - before).div_f64(records.len() as f64)
}

/// A part of the header `comux-timing`, in microseconds; 0 where nothing was analysed.
fn timing(record: &Record, part: &str) -> f64 {
    let Some(timing) = record.header("comux-timing") else { return 0.0 };
    let figure = timing.split(';').find_map(|timing| timing.strip_prefix(part));
    figure.and_then(|figure| figure.strip_prefix('=')).expect("a part").parse().unwrap()
}

/// Feeds a clip to a camera of this configuration; `is_right` looks at each record.
fn run(name: &str, clip: &Clip, camera: &str, mut is_right: impl FnMut(&Record) -> bool) -> Run {
    create_topics(&[name.to_owned()]);
    let codec = format!("codec = '{}'\n", clip.codec);
    let config = Config::new(name).camera(name, &(codec + "mode = 'every-frame'\n" + camera));
    let comux = Comux::run(&config);
    let (mut decode, mut plugin) = (Vec::new(), Vec::new());
    let cpu = feed(
        name,
        clip,
        || comux.cpu(),
        |record| {
            assert!(is_right(&record), "record {} is {:?}", decode.len(), record.status());
            decode.push(timing(&record, "decode"));
            plugin.push(timing(&record, "plugin"));
        },
    );
    let _ = comux.stop();
    let mean = |figures: Vec<f64>| figures.iter().sum::<f64>() / figures.len() as f64;
    Run { cpu, decode_us: mean(decode), plugin_us: mean(plugin) }
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

/// What a careful engineer writes in Python, for the same results.
fn python(table: &mut Table, clip: &Clip) {
    let (mut ratios, tools) = (Vec::new(), target_dir().join("tools/peers/bin/python"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/careful.py");
    for round in 0..ROUNDS {
        let mut scores = Vec::new();
        let own = run(&format!("bench-own-{round}"), clip, &plugins_line("motion", ""), |record| {
            scores.push(record.header("motion.score").expect("a score").to_owned());
            record.is_analysed()
        });
        let name = format!("bench-python-{round}");
        create_topics(std::slice::from_ref(&name));
        let mut command = Command::new(&tools);
        command.arg(&script).arg(broker().bootstrap());
        command.args([&format!("raw_{name}"), &format!("stream_{name}"), clip.codec]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("`make bench` installs it");
        let mut said = [0; 6];
        process.stdout.as_mut().unwrap().read_exact(&mut said).expect("it begins");
        let mut different = 0;
        let mut expected = scores.iter();
        let cpu = feed(
            &name,
            clip,
            || cost::of_process(process.id()),
            |record| {
                let score = record.header("motion.score").expect("a score");
                different += usize::from(expected.next().is_none_or(|own| own != score));
            },
        );
        process.kill().unwrap();
        process.wait().unwrap();
        // A cell whose mean is right between two numbers may be rounded either way.
        assert!(different <= scores.len() / 50, "{different} of {} scores differ", scores.len());
        println!("  Python {:.0} µs, comux {:.0} µs", micros(cpu), micros(own.cpu));
        ratios.push(micros(cpu) / micros(own.cpu));
    }
    table.row("frames per CPU second, PyAV and OpenCV = 1", median(ratios), "at least 1.4");
}

/// Milliseconds, and how often each was measured.
#[derive(Default)]
struct Histogram(BTreeMap<i64, u32>);

impl Histogram {
    fn add(&mut self, milliseconds: i64) {
        *self.0.entry(milliseconds).or_default() += 1;
    }

    /// What this share of the measurements does not exceed. Each is the difference of two times in
    /// whole milliseconds, so that those of one number lie around it.
    fn quantile(&self, share: f64) -> f64 {
        let mut left = share * f64::from(self.0.values().sum::<u32>());
        for (&milliseconds, &count) in &self.0 {
            if left <= f64::from(count) {
                return milliseconds as f64 - 0.5 + left / f64::from(count);
            }
            left -= f64::from(count);
        }
        panic!("nothing was measured")
    }

    fn print(&self) {
        let most = self.0.values().max().copied().unwrap_or(1);
        for (milliseconds, &count) in &self.0 {
            let bar = "#".repeat((count * 50).div_ceil(most) as usize);
            println!("  {milliseconds:4} ms {count:6} {bar}");
        }
    }
}

/// A live camera, from the broker's time of a record to its time of what comux made of it.
fn latency(table: &mut Table, clip: &'static Clip) {
    let name = "bench-latency";
    let (input, output) = (format!("raw_{name}"), format!("stream_{name}"));
    for topic in [&input, &output] {
        create_topic_with(topic, 1, &[("message.timestamp.type", "LogAppendTime")]);
    }
    let lines = format!("mode = 'live'\nstart = 'beginning'\n{}", plugins_line("noop", ""));
    let comux = Comux::run(&Config::new(name).camera(name, &lines));
    let probe = Probe::start(&[name.to_owned()], clip, 25);
    std::thread::sleep(Duration::from_secs(60));
    let (_, samples) = probe.stop();
    let _ = comux.stop();
    let count = samples[0].len();
    let sent = consume(&input, count);
    let (mut latency, mut decode) = (Histogram::default(), Vec::new());
    // The first seconds are those in which everything starts.
    for record in consume(&output, count).iter().skip(5 * 25) {
        assert!(record.is_analysed(), "{:?}", record.status());
        let source = record.header("comux-source").and_then(|source| source.rsplit('/').next());
        let offset: usize = source.expect("a source").parse().unwrap();
        latency.add(record.timestamp - sent[offset].timestamp);
        decode.push(timing(record, "decode"));
    }
    latency.print();
    let beyond = latency.quantile(0.5) - median(decode) / 1e3;
    table.row("live 1080p25, latency beyond decoding, p50, ms", beyond, "at most 2");
    table.row("live 1080p25, latency, p99, ms", latency.quantile(0.99), "at most 40");
    let longest = latency.0.keys().last().copied().unwrap_or_default();
    table.row("live 1080p25, latency, longest, ms", longest as f64, "");
}

/// A thousand cameras that pass records through.
fn thousand(table: &mut Table) {
    let cameras: Vec<String> = (0..1000).map(|number| format!("bench-many-{number}")).collect();
    // comux creates their topics, all at once.
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
    let outputs: Vec<String> = cameras.iter().map(|camera| format!("stream_{camera}")).collect();
    let mut sources = BTreeSet::new();
    for record in Reader::of_all(&outputs).take(10 * cameras.len()) {
        assert_eq!(record.status().0, "passthrough");
        sources.insert(record.header("comux-source").expect("a source").to_owned());
    }
    assert_eq!(sources.len(), 10 * cameras.len(), "each record once");
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
    if is_wanted("python") {
        python(&mut table, low_delay);
    }
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
