//! `comux publish`: what a camera does.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use comux::kafka::PARTITION;
use comux::video::{MediaPacket, MediaReader};
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::failure::Failure;
use crate::output::print_note;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  comux publish gate.mp4 --camera gate-7 --realtime --loop
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
    /// The topic, with `:cam_id` for the camera.
    #[arg(long, default_value = "raw_:cam_id")]
    topic: String,
    /// Send at the pace at which the video plays, not as fast as possible.
    #[arg(long)]
    realtime: bool,
    /// Begin again at the end.
    #[arg(long = "loop")]
    repeat: bool,
}

/// Sends packets to one camera's topic.
pub struct Publisher {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

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
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.max.bytes", "100000000")
            .create()?;
        Ok(Self { producer, topic })
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
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Waits until the broker has acknowledged everything.
    pub fn finish(self) -> anyhow::Result<()> {
        let patience = Duration::from_secs(30);
        self.producer.flush(patience).with_context(|| {
            format!("topic `{}`: not acknowledged within {} s", self.topic, patience.as_secs())
        })
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
    let topic = arguments.topic.replace(":cam_id", &arguments.camera);
    let publisher = Publisher::new(&arguments.bootstrap_servers, topic).map_err(Failure::Failed)?;
    let pace = if arguments.realtime { Pace::Realtime } else { Pace::Unpaced };
    let mut reader = open()?;
    print_note(format_args!("{}: {} to `{}`", arguments.source, reader.codec, publisher.topic));
    let progress = progress_bar(&reader, arguments.repeat);
    loop {
        let sent = || {
            progress.inc(1);
            true
        };
        publisher.send_all(&mut reader, pace, sent).map_err(Failure::Failed)?;
        if !arguments.repeat {
            break;
        }
        reader = open()?;
    }
    progress.finish();
    let packets = progress.position();
    publisher.finish().map_err(Failure::Failed)?;
    print_note(format_args!("{packets} records published"));
    Ok(())
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
