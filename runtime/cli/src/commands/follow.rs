//! Output records, read back as any consumer would.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comux::kafka::{PARTITION, each_header};
use comux::record::header;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Serialize;

/// Reads output topics.
pub struct Follower {
    consumer: BaseConsumer,
    cameras: BTreeMap<String, Watched>,
}

/// An output record, without its video.
#[derive(Debug, Clone, Serialize)]
pub struct Followed {
    pub camera: String,
    pub offset: i64,
    /// Bytes of video.
    pub bytes: usize,
    /// From the record's timestamp until now; absent of records that were there before.
    pub latency_ms: Option<i64>,
    /// The runtime's headers, without their prefix.
    pub comux: BTreeMap<String, String>,
    /// All other headers: the record's own and the plugins' results. Bytes that are no text are
    /// shown as their number.
    pub headers: BTreeMap<String, String>,
}

impl Followed {
    pub fn status(&self) -> &str {
        self.comux.get("status").map_or("", String::as_str)
    }
}

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A camera's output topic.
struct Watched {
    camera: String,
    /// Records from this offset on came while it was watched.
    new_from: i64,
}

impl Follower {
    /// Follows cameras, given as (camera, topic), from `offset` on.
    pub fn new(
        bootstrap_servers: &str,
        topics: impl IntoIterator<Item = (String, String)>,
        offset: Offset,
    ) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            // Required by librdkafka; nothing is ever committed.
            .set("group.id", "comux-watch")
            .set("enable.auto.commit", "false")
            // The embedded broker answers a fetch only at its end when nothing is there at first.
            .set("fetch.wait.max.ms", "10")
            .create()?;
        let mut assignment = TopicPartitionList::new();
        let mut cameras = BTreeMap::new();
        for (camera, topic) in topics {
            assignment.add_partition_offset(&topic, PARTITION, offset)?;
            // Of a topic that is not there yet, every record is new.
            let end = consumer.fetch_watermarks(&topic, PARTITION, PATIENCE);
            let new_from = end.map_or(0, |(_, end)| end);
            cameras.insert(topic, Watched { camera, new_from });
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer, cameras })
    }

    /// The next record, if one comes within `patience`.
    pub fn next(&self, patience: Duration) -> anyhow::Result<Option<Followed>> {
        match self.consumer.poll(patience) {
            None => Ok(None),
            Some(message) => Ok(Some(self.read(&message?))),
        }
    }

    fn read(&self, message: &BorrowedMessage<'_>) -> Followed {
        let (mut comux, mut headers) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in each_header(message.headers()) {
            let (name, value) = (String::from_utf8_lossy(name), value.unwrap_or_default());
            let text = match std::str::from_utf8(value) {
                Ok(text) => text.to_owned(),
                Err(_) => format!("({} bytes)", value.len()),
            };
            let own = name.strip_prefix(header::PREFIX);
            match own.filter(|_| !name.starts_with(header::INPUT_PREFIX)) {
                Some(key) => comux.insert(key.to_owned(), text),
                None => headers.insert(name.into_owned(), text),
            };
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let watched = self.cameras.get(message.topic());
        let is_new = watched.is_some_and(|watched| message.offset() >= watched.new_from);
        Followed {
            camera: watched.map(|watched| watched.camera.clone()).unwrap_or_default(),
            offset: message.offset(),
            bytes: message.payload_len(),
            latency_ms: message.timestamp().to_millis().filter(|_| is_new).map(|at| now - at),
            comux,
            headers,
        }
    }
}
