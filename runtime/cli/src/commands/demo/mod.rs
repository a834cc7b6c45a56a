//! `comux demo`: broker, cameras, runtime and a consumer in one process, over real connections.

mod cameras;
mod screen;
mod tally;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use comux::config::Config;
use comux::control::Actions;
use comux::control::camera::CameraReport;
use comux::plugin::compile::Compiler;
use comux::runtime::Runtime;
use comux::video::MediaReader;
use rdkafka::Offset;

use super::broker::{EmbeddedBroker, topics_of};
use super::failure::Failure;
use super::follow::Follower;
use super::stop::stop_requested;
use cameras::Cameras;
use screen::Screen;
use tally::Tally;

/// A pedestrian street; see `tests/media/NOTICE.md`.
const CLIP: &[u8] = include_bytes!("../../../../../tests/media/pedestrians-bframes.mp4");

/// The plugins that the demo runs on every camera.
const PLUGINS: [&str; 3] = ["brightness", "motion", "tamper"];

/// How long everything that was sent may take to come out, at the end.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  comux demo
  comux demo --video my.mp4 --cameras 8
  comux demo --json --seconds 20")]
pub struct Arguments {
    /// The video that the cameras send; a pedestrian street when absent.
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// How many cameras send it, each a little later than the one before.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    cameras: u16,
    /// How long they send.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// One JSON object per line instead of the table.
    #[arg(long)]
    json: bool,
    /// Where the plugins are; found beside the program when absent.
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let clip = tempfile::Builder::new().suffix(".mp4").tempfile().map_err(Failure::failed)?;
    std::fs::write(clip.path(), CLIP).map_err(Failure::failed)?;
    let video = arguments.video.as_deref().unwrap_or(clip.path());
    let video = video.to_str().ok_or_else(|| Failure::usage(anyhow!("the path is no text")))?;
    let reader = MediaReader::open(video)
        .map_err(|error| Failure::usage(anyhow!("can't read video from `{video}`: {error}")))?;
    let plugins = match arguments.plugins {
        Some(directory) => directory,
        None => find_plugins().map_err(Failure::Usage)?,
    };
    let names: Vec<String> =
        (1..=arguments.cameras).map(|number| format!("cam-{number}")).collect();

    let broker = EmbeddedBroker::start().map_err(Failure::Failed)?;
    let servers = broker.bootstrap_servers();
    let state = tempfile::tempdir().map_err(Failure::failed)?;
    let text = configuration(&servers, state.path(), reader.codec, &names);
    let config = Config::parse(&text, Path::new("(demo)"), &plugins).map_err(Failure::usage)?;
    let config = Config { compiler: Compiler::this_program(), ..config };
    for topic in topics_of(&config) {
        broker.create_topic(&topic).map_err(Failure::Failed)?;
    }
    let specs = config.cameras.clone();
    let runtime = Runtime::start(config, Actions::default()).await.map_err(Failure::usage)?;
    let outputs = specs.iter().map(|c| (c.id.to_string(), c.produce_topic.clone()));
    let follower = Follower::new(&servers, outputs, Offset::Beginning).map_err(Failure::Failed)?;
    let tally = Arc::new(Tally::new(&names));
    let following = Following::start(follower, Arc::clone(&tally)).map_err(Failure::Failed)?;
    let cameras = Cameras::start(&servers, video, &specs).map_err(Failure::Failed)?;

    let length = Duration::from_secs(arguments.seconds);
    let mut screen = Screen::new(arguments.json, length, &servers);
    let show = async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.tick().await;
        for _ in 0..arguments.seconds {
            ticks.tick().await;
            screen.update(&runtime, &tally);
        }
    };
    let stop = stop_requested()?;
    tokio::select! {
        () = show => {}
        () = stop => {}
    }

    let sent = cameras.stop().map_err(Failure::Failed)?;
    let received = || -> u64 { runtime.cameras().iter().map(|c| c.stats.counts().received).sum() };
    wait_until(|| received() >= sent).await;
    let reports = runtime.stop().await;
    wait_until(|| tally.followed() >= sent).await;
    following.stop();
    screen.summary(sent, &reports, &tally);
    account(sent, &reports, &tally).map_err(Failure::Failed)
}

/// Every record that was sent was received, settled once, and came out.
fn account(sent: u64, reports: &[CameraReport], tally: &Tally) -> anyhow::Result<()> {
    for report in reports {
        let (camera, counts) = (report.spec.id.as_str(), &report.counts);
        if let Some(error) = &report.error {
            return Err(anyhow!("camera {camera} stopped: {error}"));
        }
        if counts.received != counts.settled() {
            let (received, settled) = (counts.received, counts.settled());
            return Err(anyhow!("camera {camera}: {received} records received, {settled} settled"));
        }
    }
    let followed = tally.followed();
    if followed == sent {
        Ok(())
    } else {
        Err(anyhow!("{sent} records were sent, and {followed} came out"))
    }
}

fn configuration(servers: &str, state: &Path, codec: &str, cameras: &[String]) -> String {
    use std::fmt::Write;
    let state = state.display();
    let mut text = format!(
        "[runtime]\nname = \"demo\"\nstate_dir = '{state}'\nplugin_dir = \".\"\n\
         [kafka]\nbootstrap_servers = \"{servers}\"\n\
         [kafka.consume.properties]\n\"fetch.wait.max.ms\" = 10\n[camera_defaults]\ncodec = \"{codec}\"\n\
         start = \"beginning\"\n"
    );
    let plugins = PLUGINS.map(|name| format!("{{ source = \"{name}.wasm\" }}")).join(", ");
    for camera in cameras {
        let _ = writeln!(text, "[[cameras]]\nid = \"{camera}\"\nplugins = [{plugins}]");
    }
    text
}

/// The plugins lie in `plugins/` of the target directory that the program was built in, or beside
/// the program.
fn find_plugins() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("can't tell where the program is")?;
    let has_all = |directory: &PathBuf| {
        PLUGINS.iter().all(|name| directory.join(name).with_extension("wasm").is_file())
    };
    let candidates = program.ancestors().skip(1).take(2).map(|parent| parent.join("plugins"));
    candidates.into_iter().find(has_all).ok_or_else(|| {
        anyhow!(
            "the demo's plugins ({}) are not beside the program; build them with `make plugins`, \
             or name their directory with --plugins",
            PLUGINS.join(", ")
        )
    })
}

async fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The consumer's thread.
struct Following {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Following {
    fn start(follower: Follower, tally: Arc<Tally>) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("follower".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match follower.next(Duration::from_millis(100)) {
                    Ok(Some(record)) => tally.record(record),
                    Ok(None) => {}
                    Err(error) => tracing::warn!("following: {error:#}"),
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}
