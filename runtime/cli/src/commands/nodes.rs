//! Running nodes, as commands reach them: by the control topic, and their answers on the status
//! topic.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use comux::config::{Config, Id};
use comux::kafka::{PARTITION, Quiet, consumer_config, producer_config, text_header};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::failure::Failure;

/// How long the broker may take to answer.
const BROKER_PATIENCE: Duration = Duration::from_secs(10);
/// When one node does not know the camera, another may.
const OTHERS: Duration = Duration::from_secs(2);

/// Where nodes are reached.
#[derive(clap::Args)]
pub struct Place {
    /// The configuration that names topics and cluster.
    #[arg(long, value_name = "FILE", default_value = "comux.toml")]
    pub config: PathBuf,
    /// Kafka's address, where there is no configuration.
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap_servers: Option<String>,
    /// Use this tenant's own control topic, which reaches its cameras only.
    #[arg(long, value_name = "ID")]
    pub tenant_topic: Option<String>,
}

/// The topics by which nodes are commanded.
pub struct Nodes {
    config: Config,
    control: String,
    status: String,
}

/// A command to nodes.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub action: &'a str,
    /// JSON.
    pub value: &'a str,
    /// Only the node of this name acts.
    pub runtime: Option<&'a str>,
    /// Only nodes that have this camera act.
    pub camera: Option<&'a str>,
}

/// The answers to one command.
pub struct Answers {
    consumer: BaseConsumer<Quiet>,
    id: String,
}

impl Nodes {
    /// Those that are reached there.
    pub fn new(place: &Place) -> Result<Self, Failure> {
        let config = match &place.bootstrap_servers {
            None => Config::load(&place.config),
            Some(servers) => {
                let servers = Value::from(servers.as_str());
                let text = format!("[kafka]\nbootstrap_servers = {servers}");
                let here = PathBuf::from("(--bootstrap-servers)");
                Config::parse(&text, &here, &here)
            }
        };
        let config = config.map_err(Failure::usage)?;
        let topics = &config.topics;
        let (control, status) = match &place.tenant_topic {
            None => (topics.control.clone(), topics.status.clone()),
            Some(tenant) => {
                let tenant = Id::new(tenant).map_err(Failure::usage)?;
                (topics.control_of(&tenant), topics.status_of(&tenant))
            }
        };
        Ok(Self { config, control, status })
    }

    /// The name that the configuration gives its node.
    pub fn own_name(&self) -> &str {
        self.config.name.as_str()
    }

    /// Begins to listen for answers: before the question, so that none can be missed.
    pub fn listen(&self) -> anyhow::Result<Answers> {
        let consumer: BaseConsumer<_> = consumer_config(&self.config.control, &self.config.name)
            // The embedded broker answers a fetch only at its end when nothing is there at first.
            .set("fetch.wait.max.ms", "10")
            .create_with_context(Quiet)?;
        let (topic, servers) = (self.status.as_str(), &self.config.control.bootstrap_servers);
        consumer.fetch_metadata(Some(topic), BROKER_PATIENCE).map_err(|error| {
            anyhow!(
                "Kafka at `{servers}` does not answer this command ({error}), so no node can be \
                 asked; nodes that run wait for Kafka, and lose nothing. Check that it runs, and \
                 `bootstrap_servers`"
            )
        })?;
        let end = consumer.fetch_watermarks(topic, PARTITION, BROKER_PATIENCE);
        let (_, end) = end.map_err(|error| {
            anyhow!("topic `{topic}`: {error}; has comux ever run with these topics?")
        })?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, PARTITION, Offset::Offset(end))?;
        consumer.assign(&assignment)?;
        Ok(Answers { consumer, id: new_id() })
    }

    /// Sends a command whose answers have this id.
    pub fn send(&self, asked: Asked<'_>, id: Option<&str>) -> anyhow::Result<()> {
        let producer: ThreadedProducer<DefaultProducerContext> =
            producer_config(&self.config.control, &self.config.name)
                .set("message.timeout.ms", BROKER_PATIENCE.as_millis().to_string())
                .create()?;
        let new = new_id();
        let named = [
            ("correlation-id", Some(id.unwrap_or(&new))),
            ("runtime", asked.runtime),
            ("camera", asked.camera),
        ];
        let headers =
            named.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| match value {
                Some(value) => headers.insert(Header { key, value: Some(value) }),
                None => headers,
            });
        let record = BaseRecord::to(&self.control)
            .key(asked.action)
            .payload(asked.value)
            .partition(PARTITION)
            .headers(headers);
        producer.send(record).map_err(|(error, _)| error)?;
        let patience = BROKER_PATIENCE.saturating_add(Duration::from_secs(1));
        producer.flush(patience)?;
        if producer.in_flight_count() > 0 {
            let servers = &self.config.control.bootstrap_servers;
            return Err(anyhow!(
                "the command was not acknowledged: does Kafka at `{servers}` run, and comux?"
            ));
        }
        Ok(())
    }
}

/// One that no other command has.
fn new_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_nanos(), std::process::id())
}

impl Answers {
    /// What a command has to carry, so that its answers are these.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first answer; one of a node that knows the camera is preferred.
    pub fn first(&self, patience: Duration) -> anyhow::Result<Value> {
        let deadline = Instant::now() + patience;
        let mut unknown = None;
        while Instant::now() < deadline {
            let Some(answer) = self.next()? else {
                match &unknown {
                    Some((_, since)) if Instant::now() - OTHERS > *since => break,
                    _ => continue,
                }
            };
            if answer.get("error").and_then(Value::as_str) != Some("unknown-camera") {
                return Ok(answer);
            }
            unknown.get_or_insert((answer, Instant::now()));
        }
        unknown.map(|(answer, _)| answer).ok_or_else(|| nobody(patience))
    }

    /// The answers of all nodes: those that come within some time after the first, in the order of
    /// the nodes' names.
    pub fn all(&self, patience: Duration) -> anyhow::Result<Vec<Value>> {
        let mut deadline = Instant::now() + patience;
        let mut answers = Vec::new();
        while Instant::now() < deadline {
            if let Some(answer) = self.next()? {
                if answers.is_empty() {
                    deadline = Instant::now() + OTHERS;
                }
                answers.push(answer);
            }
        }
        if answers.is_empty() {
            return Err(nobody(patience));
        }
        answers.sort_by_key(|answer| answer.get("runtime").map(ToString::to_string));
        Ok(answers)
    }

    fn next(&self) -> anyhow::Result<Option<Value>> {
        // Errors of the connection mend themselves, or end with the patience.
        let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100)) else {
            return Ok(None);
        };
        if text_header(message.headers(), "correlation-id") != Some(&self.id) {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(message.payload().unwrap_or_default())?))
    }
}

fn nobody(patience: Duration) -> anyhow::Error {
    anyhow!(
        "no answer within {} s: does a node of that name run, with these topics, and does it reach \
         Kafka?",
        patience.as_secs()
    )
}
