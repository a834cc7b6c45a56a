//! The way out of the control plane: answers, events and the desired state, each acknowledged by
//! the broker before whoever gave it goes on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::config::{Config, Id, Topics};
use crate::control::wire::{CommandPositions, NodeProcess, Request};
use crate::kafka::{
    Incarnation, Introduction, Logging, Outgoing, PARTITION, PolledProducer, producer_config,
};

/// On records of the state topic: the process that wrote them.
pub(crate) const WRITER: &str = "comux-writer";
/// On records of the state topic, tombstones too: the commands that led to them, so that none is
/// carried out twice after a crash.
pub(crate) const COMMANDS: &str = "comux-commands";

/// How keys of the state topic begin that say which topic a camera consumes. No id of a camera
/// does.
pub(crate) const INPUT: &str = "input/";

/// How keys of the state topic begin under which processes stand that have the node's name.
pub(crate) const PROCESS: &str = "process/";

const TOO_LARGE: RDKafkaErrorCode = RDKafkaErrorCode::MessageSizeTooLarge;

/// How long the broker may take to acknowledge; then the command has failed.
const TIMEOUT_MS: &str = "30000";

/// Writes to the control plane's topics. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Publisher {
    producer: Arc<PolledProducer<Acknowledgements>>,
    /// By topic.
    introductions: Arc<Mutex<HashMap<String, Arc<Introduction>>>>,
    node: Id,
    topics: Topics,
    /// This process, among all that ever had the node's name.
    pub writer: Arc<str>,
}

/// Passes each acknowledgement on to whoever waits for it.
struct Acknowledgements;

/// Where a record's acknowledgement goes.
struct Waiting {
    introduction: Arc<Introduction>,
    told: oneshot::Sender<Result<(), KafkaError>>,
}

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logging.error(error, reason);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<Waiting>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let result = result.as_ref().map(drop).map_err(|(error, _)| error.clone());
        waiting.introduction.answered(result.is_ok());
        // Whoever waited may have been told to stop.
        let _ = waiting.told.send(result);
    }
}

impl Publisher {
    pub fn new(config: &Config) -> Result<Self, KafkaError> {
        let mut properties = producer_config(&config.control, &config.name);
        properties.set("message.timeout.ms", TIMEOUT_MS);
        let producer = PolledProducer::new(&properties, Acknowledgements, "publisher")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let writer = format!("{}/{:x}-{:x}", config.name, now.as_nanos(), std::process::id());
        Ok(Self {
            producer: Arc::new(producer),
            introductions: Arc::default(),
            node: config.name.clone(),
            topics: config.topics.clone(),
            writer: writer.into(),
        })
    }

    /// Answers a request, where whoever asked can read it.
    pub async fn answer(&self, request: &Request, mut fields: Map<String, Value>) {
        fields.insert("action".to_owned(), request.action.as_str().into());
        fields.insert("runtime".to_owned(), self.node.as_str().into());
        let correlation_id = request.correlation_id.as_ref().map(|id| match id {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        if let Some(id) = &request.correlation_id {
            fields.insert("correlation-id".to_owned(), id.clone());
        }
        let topic = match &request.scope {
            Some(tenant) => self.topics.status_of(tenant),
            None => self.topics.status.clone(),
        };
        self.tell(&topic, &request.action, fields, correlation_id.as_deref()).await;
    }

    /// Tells of something that nobody asked for.
    pub async fn event(&self, event: &str, camera: &str, message: &str) {
        let mut fields = Map::new();
        fields.insert("event".to_owned(), event.into());
        fields.insert("runtime".to_owned(), self.node.as_str().into());
        fields.insert("camera".to_owned(), camera.into());
        fields.insert("message".to_owned(), message.into());
        self.tell(&self.topics.status, event, fields, None).await;
    }

    async fn tell(
        &self,
        topic: &str,
        key: &str,
        mut fields: Map<String, Value>,
        correlation_id: Option<&str>,
    ) {
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        let (camera, tenant, answer) = (text("camera"), text("tenant"), text("message"));
        match fields.get("ok").and_then(Value::as_bool) {
            Some(false) => tracing::warn!(correlation_id, camera, tenant, answer, "control"),
            _ => tracing::info!(correlation_id, camera, tenant, answer, "control"),
        }
        let value = Value::Object(fields.clone()).to_string();
        let headers = [("correlation-id", correlation_id)];
        let mut told = self.produce(topic, key, Some(value.as_bytes()), &headers).await;
        if told.as_ref().err().and_then(KafkaError::rdkafka_error_code) == Some(TOO_LARGE) {
            // Of very many cameras, the sum must do.
            fields.remove("cameras");
            let value = Value::Object(fields).to_string();
            told = self.produce(topic, key, Some(value.as_bytes()), &headers).await;
        }
        if let Err(error) = told {
            tracing::error!(topic, %error, "an answer could not be given");
        }
    }

    /// Makes `value` the desired state of a camera, after these commands; `None` is a tombstone.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn put_state(
        &self,
        camera: &str,
        value: Option<&[u8]>,
        commands: &CommandPositions,
    ) -> Result<(), KafkaError> {
        let commands = (!commands.is_empty()).then(|| commands.to_string());
        let headers = [(WRITER, Some(&*self.writer)), (COMMANDS, commands.as_deref())];
        self.produce(&self.topics.state, camera, value, &headers).await
    }

    /// Keeps which topic a camera consumes; `None`: there is no such camera.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn put_input(
        &self,
        camera: &str,
        input: Option<&Incarnation>,
    ) -> Result<(), KafkaError> {
        self.put(&format!("{INPUT}{camera}"), input).await
    }

    /// The key under which this process stands on the state topic.
    pub fn process_key(&self) -> String {
        format!("{PROCESS}{}", self.writer)
    }

    /// Keeps that there is a process; `None`: there is none any more.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn put_process(
        &self,
        key: &str,
        process: Option<&NodeProcess>,
    ) -> Result<(), KafkaError> {
        self.put(key, process).await
    }

    async fn put(&self, key: &str, value: Option<&impl Serialize>) -> Result<(), KafkaError> {
        let value = value.map(|value| serde_json::to_vec(value).unwrap_or_default());
        let headers = [(WRITER, Some(&*self.writer))];
        self.produce(&self.topics.state, key, value.as_deref(), &headers).await
    }

    async fn produce(
        &self,
        topic: &str,
        key: &str,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&str>)],
    ) -> Result<(), KafkaError> {
        let introduction =
            Arc::clone(self.introductions.lock().entry(topic.to_owned()).or_default());
        introduction.wait().await;
        let (told, acknowledged) = oneshot::channel();
        let waiting = Waiting { introduction: Arc::clone(&introduction), told };
        let mut record: Outgoing<'_, Acknowledgements> =
            BaseRecord::with_opaque_to(topic, Box::new(waiting)).partition(PARTITION);
        record.key = Some(key.as_bytes());
        record.payload = value;
        let present = headers.iter().filter(|(_, value)| value.is_some());
        record.headers = Some(present.fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: *value })
        }));
        self.producer.send(record).inspect_err(|_| introduction.answered(false))?;
        // The producer answers for each record, also when it ends.
        acknowledged.await.unwrap_or(Err(KafkaError::Canceled))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::Publisher;
    use crate::config::Config;
    use crate::kafka::PARTITION;

    #[tokio::test]
    async fn what_is_told_first_comes_too_when_the_broker_is_not_ready_for_it() {
        const EVENTS: i64 = 4;
        let cluster = MockCluster::new(1).unwrap();
        for topic in ["comux.state", "comux.status"] {
            cluster.create_topic(topic, 1, 1).unwrap();
        }
        let servers = cluster.bootstrap_servers();
        let text = format!("[kafka]\nbootstrap_servers = '{servers}'");
        let config = Config::parse(&text, "comux.toml".as_ref(), ".".as_ref()).unwrap();
        let publisher = Publisher::new(&config).unwrap();
        // So that the first event leaves at once. While it is on its way to be refused, others
        // come.
        publisher.put_process("process/this", None).await.unwrap();
        let client = publisher.producer.client();
        client.fetch_metadata(Some("comux.status"), Duration::from_secs(60)).unwrap();
        cluster.broker_round_trip_time(1, Duration::from_millis(400)).unwrap();
        let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION];
        cluster.request_errors(RDKafkaApiKey::Produce, &refused);
        let told: Vec<_> = (0..EVENTS)
            .map(|number| {
                let publisher = publisher.clone();
                tokio::spawn(async move {
                    let after = u32::try_from(number).unwrap() * Duration::from_millis(100);
                    tokio::time::sleep(after).await;
                    publisher.event("camera-failed", &format!("gate-{number}"), "").await;
                })
            })
            .collect();
        for it in told {
            it.await.unwrap();
        }
        let reader: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
        let end = reader.fetch_watermarks("comux.status", PARTITION, Duration::from_secs(60));
        assert_eq!(end.unwrap().1, EVENTS, "all that were acknowledged are there");
    }
}
