//! A clip through comux, as fast as it can take it: what that cost, from outside and as records
//! say.

use std::time::Duration;

use comux_tests::media::Clip;
use comux_tests::process::{Comux, Config};
use comux_tests::records::{Reader, Record, Writer};

/// Each pair is measured so often, in turns; its row is the median.
pub const ROUNDS: usize = 3;

/// A clip is fed so often.
pub const LOOPS: usize = 3;

/// What one run of comux cost, per record.
#[derive(Clone, Copy)]
pub struct Run {
    pub cpu: Duration,
    /// Mean microseconds in the decoder and in plugins, as the records say.
    pub decode_us: f64,
    pub plugin_us: f64,
}

/// What is fed: so many records of the clip, in a loop, to each of these cameras.
pub struct Load<'a> {
    pub cameras: &'a [String],
    pub clip: &'a Clip,
    pub records: usize,
}

/// The clip in a loop to one camera.
pub fn loops<'a>(camera: &'a String, clip: &'a Clip) -> Load<'a> {
    Load { cameras: std::slice::from_ref(camera), clip, records: LOOPS * clip.packets.len() }
}

/// Feeds whoever reads the topics of these cameras as fast as it can take it, and waits until all
/// of it is out; `look` sees each record. CPU time per record, by a clock of the process that does
/// it.
pub fn feed(load: &Load, cpu: impl Fn() -> Duration, mut look: impl FnMut(Record)) -> Duration {
    let records = load.clip.looped(load.records);
    let before = cpu();
    let writer = Writer::new();
    for record in &records {
        for camera in load.cameras {
            writer.send(&format!("raw_{camera}"), record);
        }
    }
    writer.flush();
    // One after the other: who is read later is not worked for later.
    for camera in load.cameras {
        let mut reader = Reader::new(&format!("stream_{camera}"));
        for sent in &records {
            let record = reader.take(1).remove(0);
            assert!(record.value == sent.value, "{camera}: another record comes out than went in");
            look(record);
        }
    }
    (cpu() - before).div_f64((records.len() * load.cameras.len()) as f64)
}

/// A part of the header `comux-timing`, in microseconds; 0 where nothing was analysed.
pub fn timing(record: &Record, part: &str) -> f64 {
    let Some(timing) = record.header("comux-timing") else { return 0.0 };
    let figure = timing.split(';').find_map(|timing| timing.strip_prefix(part));
    figure.and_then(|figure| figure.strip_prefix('=')).expect("a part").parse().unwrap()
}

/// Feeds cameras of this configuration, in one process that creates their topics; `is_right` looks
/// at each record. The first camera's name must be unique.
pub fn run(load: &Load, lines: &str, mut is_right: impl FnMut(&Record) -> bool) -> Run {
    let codec = load.clip.codec;
    // A busy machine takes the core away for longer than a deadline. What it is compared with
    // decodes in one thread too: several on the cores that broker and reader keep busy as well cost
    // more in all.
    let lines = format!(
        "codec = '{codec}'\nmode = 'every-frame'\nstart = 'beginning'\ndecode_threads = 1\n\
         limits = {{ deadline_ms = 30_000 }}\n{lines}"
    );
    let config = load
        .cameras
        .iter()
        .fold(Config::new(&load.cameras[0]), |config, camera| config.camera(camera, &lines));
    let comux = Comux::run(&config);
    let (mut decode, mut plugin) = (Vec::new(), Vec::new());
    let cpu = feed(
        load,
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

pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

pub fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}
