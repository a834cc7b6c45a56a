//! A host without Kafka, on which authors try plugins.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use comux::CameraSpec;
use comux::camera::Playback;
use comux::config::Config;
use comux::plugin::Loader;
use comux::plugin::compile::Compiler;
use comux::plugin::instance::CameraPlugin;
use comux::tenancy::Tenant;
use comux::video::{MediaPacket, MediaReader};
use hdrhistogram::Histogram;
use toml::{Table, Value};

use crate::commands::Failure;

/// The camera that frames say they are of.
pub const CAMERA: &str = "file";

/// Whether the instructions that plugins execute are counted, for which they take longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fuel {
    Counted,
    Uncounted,
}

/// For how long calls took, in microseconds. It has to hold whatever there may be, since it takes
/// what is beyond as the most that it holds: an hour is longer than any deadline.
pub fn call_times() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_max(3_600_000_000, 3).map_err(Failure::failed)
}

/// A file, device or URL.
pub fn open_video(video: &str) -> Result<MediaReader, Failure> {
    MediaReader::open(video).map_err(|error| {
        let message = format!("can't read video from `{video}`: {error}");
        Failure::usage(anyhow!("{message}; give a file, device or URL that ffmpeg plays, last"))
    })
}

/// Where plugins are that were named on the command line.
pub fn absolute(plugins: &[String]) -> io::Result<Vec<PathBuf>> {
    plugins.iter().map(std::path::absolute).collect()
}

/// That of a camera which analyses every frame, and can't fall behind.
pub fn configuration(
    sources: &[PathBuf],
    codec: &str,
    rate: Option<&str>,
) -> anyhow::Result<Config> {
    let mut camera = Table::new();
    camera.insert("id".into(), CAMERA.into());
    camera.insert("mode".into(), "every-frame".into());
    camera.insert("codec".into(), codec.into());
    if let Some(rate) = rate {
        let number = rate.parse().map(Value::Float);
        camera.insert("rate".into(), number.unwrap_or_else(|_| rate.into()));
    }
    let plugins = sources.iter().map(|source| {
        let source = source.to_str().with_context(|| format!("{source:?} is no UTF-8"))?;
        Ok(Table::from_iter([("source".to_owned(), source.into())]).into())
    });
    camera.insert("plugins".into(), Value::Array(plugins.collect::<anyhow::Result<_>>()?));
    let mut file = Table::new();
    let kafka = Table::from_iter([("bootstrap_servers".to_owned(), "nowhere:9".into())]);
    file.insert("kafka".into(), kafka.into());
    file.insert("cameras".into(), Value::Array(vec![camera.into()]));
    let path = Path::new("comux plugin run");
    let mut config = Config::parse(&file.to_string(), path, Path::new(""))?;
    config.compiler = Compiler::this_program();
    Ok(config)
}

/// A JSON object, as it is or from a file.
pub fn config_of(text: &str) -> anyhow::Result<String> {
    let (text, from) = match text.strip_prefix('@') {
        Some(file) => {
            let text = std::fs::read_to_string(file);
            (text.with_context(|| format!("--config: can't read `{file}`"))?, file)
        }
        None => (text.to_owned(), text),
    };
    let value: serde_json::Value = serde_json::from_str(&text)
        .with_context(|| format!("--config: `{from}` is no JSON; a file is named as @FILE"))?;
    ensure!(
        value.is_object(),
        "--config: `{from}` is no JSON object, as in '{{\"threshold\": 20}}'"
    );
    Ok(text)
}

/// The plugins of the configuration's camera, each as its `--config` says.
pub fn load(
    config: &Config,
    spec: &CameraSpec,
    configs: &[String],
    tenant: &Arc<Tenant>,
    fuel: Fuel,
) -> Result<Vec<CameraPlugin>, Failure> {
    let (count, most) = (configs.len(), spec.plugins.len());
    if count > most {
        let message = format!("{count} times --config, and {most} plugins; each takes one");
        return Err(Failure::usage(anyhow!(message)));
    }
    let mut settings = config.loader();
    settings.state_dir = None;
    settings.counts_fuel = fuel == Fuel::Counted;
    let loader = Loader::open(settings).map_err(Failure::failed)?;
    let mut chain = Vec::new();
    for (place, entry) in spec.plugins.iter().enumerate() {
        let own = configs.get(place).map_or(Ok("{}".to_owned()), |text| config_of(text));
        let own = own.map_err(Failure::Usage)?;
        let loaded = loader.load(tenant, &entry.source, None).map_err(Failure::failed)?;
        let (owner, mut terms) = ((Arc::clone(tenant), CAMERA), config.terms_of(spec));
        // Its author wants to see each failure, whenever it comes.
        terms.breaker.failures = u32::MAX;
        let (instances, plugin) = (loader.instances(), loaded.plugin);
        let started = CameraPlugin::start(instances, plugin, owner, own, terms);
        chain.push(started.map_err(Failure::failed)?);
    }
    Ok(chain)
}

/// Plays a packet of this video.
pub fn take(
    playback: &mut Playback,
    video: &MediaReader,
    packet: MediaPacket,
) -> Result<(), Failure> {
    let shown_at = micros(video, packet.pts);
    let times = (shown_at, shown_at.or(micros(video, packet.dts)));
    let MediaPacket { data, keyframe, .. } = packet;
    playback.take(data, times, keyframe).map_err(Failure::failed)
}

fn micros(reader: &MediaReader, time: Option<i64>) -> Option<i64> {
    let unit = reader.time_base;
    let (numerator, denominator) = (unit.numerator(), unit.denominator().max(1));
    let scaled = i128::from(time?) * i128::from(numerator) * 1_000_000 / i128::from(denominator);
    i64::try_from(scaled).ok()
}
