//! `comux publish`: what a camera does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use comux::config::{Config, Id};
use comux::kafka::{Introduction, PARTITION};
use comux::video::{MediaPacket, MediaReader};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::failure::Failure;
use crate::output::print_note;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  comux publish gate.mp4 --camera gate-7 --realtime --loop
  comux publish gate.mp4 --camera gate-7 --config comux.toml
  comux publish rtsp://camera.local/stream --camera gate-7
  comux publish /dev/video0 --camera desk --bootstrap-servers broker:9092")]
pub struct Arguments {
    /// A file, device or URL: whatever libavformat opens.
    source: String,
    /// The camera's id.
    #[arg(long, value_name = "ID")]
    camera: String,
    /// Kafka's address.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092")]
    bootstrap_servers: String,
    /// The configuration that names cluster and topic, in place of an address.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bootstrap_servers", "topic"])]
    config: Option<PathBuf>,
    /// The topic, with `:cam_id` for the camera and `:tenant` for its tenant.
    #[arg(long, default_value = "raw_:cam_id")]
    topic: String,
    /// The camera's tenant, where neither configuration nor topic say.
    #[arg(long, value_name = "ID", default_value = "default")]
    tenant: String,
    /// Send at the pace at which the video plays, not as fast as possible.
    #[arg(long)]
    realtime: bool,
    /// Begin again at the end.
    #[arg(long = "loop")]
    repeat: bool,
}

/// Sends packets to one camera's topic.
pub struct Publisher {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
}

/// What the broker says of records.
#[derive(Default)]
struct Deliveries {
    introduction: Introduction,
    /// Why it did not take the first that it did not take.
    refused: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.refused.lock().get_or_insert(error.clone());
        }
        self.introduction.answered(result.is_ok());
    }
}

/// How long the broker may take, where nothing goes on without its word.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait for room, or for the first record's acknowledgement, before the next look.
const NAP: Duration = Duration::from_millis(5);

/// When the packets of a source are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As the video plays.
    Realtime,
    /// As fast as the broker takes them.
    Unpaced,
}

impl Publisher {
    pub fn new(bootstrap_servers: &str, topic: String) -> anyhow::Result<Self> {
        Self::with(&BTreeMap::new(), bootstrap_servers, topic)
    }

    fn with(
        properties: &BTreeMap<String, String>,
        bootstrap_servers: &str,
        topic: String,
    ) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.max.bytes", "100000000");
        for (key, value) in properties {
            config.set(key, value);
        }
        let config = config.set("bootstrap.servers", bootstrap_servers);
        let producer = config.create_with_context(Deliveries::default())?;
        Ok(Self { producer, topic })
    }

    /// To where a configuration has a camera's input; of one that it does not name, where it would
    /// have it.
    fn of_config(path: &Path, camera: &str, tenant: &str) -> Result<Self, Failure> {
        let config = Config::load(path).map_err(Failure::usage)?;
        let named = config.cameras.iter().find(|it| it.id.as_str() == camera);
        let (tenant, topic) = match named {
            Some(camera) => (camera.tenant.clone(), camera.consume_topic.clone()),
            None => {
                let tenant = Id::new(tenant).map_err(Failure::usage)?;
                let camera = Id::new(camera).map_err(Failure::usage)?;
                let topic = config.topics.consume.topic(&tenant, &camera);
                (tenant, topic)
            }
        };
        let [cluster, _] = config.clusters_of(&tenant);
        Self::with(&cluster.properties, &cluster.bootstrap_servers, topic).map_err(Failure::Failed)
    }

    /// Sends a whole source, calling `sent` before each packet, until that says `false`. Records
    /// carry the time at which they are sent; of unpaced files, as if the last one were sent now.
    pub fn send_all(
        &self,
        reader: &mut MediaReader,
        pace: Pace,
        mut sent: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let backdate = match pace {
            Pace::Realtime => 0.0,
            Pace::Unpaced => reader.duration.unwrap_or(0.0),
        };
        let begin_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
        let mut first = None;
        while let Some(packet) = reader.next_packet()? {
            let seconds = reader.seconds(&packet).unwrap_or(0.0);
            let elapsed = (seconds - *first.get_or_insert(seconds)).max(0.0);
            if pace == Pace::Realtime {
                let due = begin + Duration::from_secs_f64(elapsed);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            if !sent() {
                return Ok(());
            }
            let timestamp = begin_ms + (elapsed - backdate) * 1000.0;
            self.send(&packet, reader, timestamp as i64)?;
        }
        Ok(())
    }

    fn send(&self, packet: &MediaPacket, reader: &MediaReader, at: i64) -> anyhow::Result<()> {
        let time_base = reader.time_base;
        let time_base = format!("{}/{}", time_base.numerator(), time_base.denominator());
        let keyframe = if packet.keyframe { "1" } else { "0" };
        let mut headers = OwnedHeaders::new()
            .insert(Header { key: "time_base", value: Some(&time_base) })
            .insert(Header { key: "keyframe", value: Some(keyframe) });
        for (key, time) in [("pts", packet.pts), ("dts", packet.dts)] {
            if let Some(time) = time {
                headers = headers.insert(Header { key, value: Some(&time.to_string()) });
            }
        }
        let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&self.topic)
            .partition(PARTITION)
            .payload(packet.data.as_slice())
            .timestamp(at)
            .headers(headers);
        self.wait_for_first()?;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(NAP);
                }
                Err((error, _)) => {
                    self.deliveries().introduction.answered(false);
                    return Err(self.refused(&error));
                }
            }
        }
    }

    /// Waits until a record may be sent.
    fn wait_for_first(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.look_for_refused()?;
            if self.deliveries().introduction.may_send() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.too_late());
            }
            std::thread::sleep(NAP);
        }
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.context()
    }

    fn look_for_refused(&self) -> anyhow::Result<()> {
        match &*self.deliveries().refused.lock() {
            Some(error) => Err(self.refused(error)),
            None => Ok(()),
        }
    }

    fn refused(&self, error: &KafkaError) -> anyhow::Error {
        anyhow!("topic `{}`: the broker did not take a record: {error}", self.topic)
    }

    fn too_late(&self) -> anyhow::Error {
        anyhow!("topic `{}`: not acknowledged within {} s", self.topic, PATIENCE.as_secs())
    }

    /// Waits until the broker has acknowledged everything.
    pub fn finish(self) -> anyhow::Result<()> {
        self.producer.flush(PATIENCE).map_err(|_| self.too_late())?;
        self.look_for_refused()
    }
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    tokio::task::spawn_blocking(move || publish(&arguments)).await.map_err(Failure::failed)?
}

fn publish(arguments: &Arguments) -> Result<(), Failure> {
    let open = || {
        MediaReader::open(&arguments.source).map_err(|error| {
            let message = format!("can't read video from `{}`: {error}", arguments.source);
            Failure::usage(anyhow!("{message}; give a file, device or URL that ffmpeg plays"))
        })
    };
    let mut reader = open()?;
    let (camera, tenant) = (arguments.camera.as_str(), arguments.tenant.as_str());
    let publisher = match &arguments.config {
        Some(path) => Publisher::of_config(path, camera, tenant)?,
        None => {
            let topic = filled(&arguments.topic, camera, tenant);
            Publisher::new(&arguments.bootstrap_servers, topic).map_err(Failure::Failed)?
        }
    };
    let pace = if arguments.realtime { Pace::Realtime } else { Pace::Unpaced };
    print_note(format_args!("{}: {} to `{}`", arguments.source, reader.codec, publisher.topic));
    let progress = progress_bar(&reader, arguments.repeat);
    // The bar's own count is what the file's index promised, once it is finished.
    let mut packets = 0_u64;
    loop {
        let sent = || {
            packets += 1;
            progress.inc(1);
            true
        };
        publisher.send_all(&mut reader, pace, sent).map_err(Failure::Failed)?;
        if !arguments.repeat {
            break;
        }
        reader = open()?;
    }
    progress.finish_and_clear();
    publisher.finish().map_err(Failure::Failed)?;
    print_note(format_args!("{packets} records published"));
    Ok(())
}

/// The topic that a template names.
fn filled(template: &str, camera: &str, tenant: &str) -> String {
    template.replace(":cam_id", camera).replace(":tenant", tenant)
}

fn progress_bar(reader: &MediaReader, repeat: bool) -> ProgressBar {
    match reader.packets {
        Some(packets) if !repeat => {
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} records {eta}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(packets).with_style(style)
        }
        _ => {
            let style = ProgressStyle::with_template("{spinner} {pos} records, {per_sec}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::new_spinner().with_style(style)
        }
    }
}
