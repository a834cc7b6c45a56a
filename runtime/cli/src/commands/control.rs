//! `comux control`: a command to running nodes, and its answer.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use comux::config::{Config, Id};
use comux::kafka::{PARTITION, Quiet, consumer_config, producer_config, text_header};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::failure::Failure;
use crate::output::{print_json, print_line};

/// How long the broker may take to answer.
const BROKER_PATIENCE: Duration = Duration::from_secs(10);
/// When one node does not know the camera, another may.
const OTHERS: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
#[command(after_help = "Actions: create, update, delete, pause, resume, deploy, rollback, status.

Examples:
  comux control status --wait
  comux control create '{\"id\": \"gate-7\", \"plugins\": [{\"source\": \"motion@0.1.0\"}]}' --wait
  comux control deploy '{\"id\": \"gate-7\", \"plugin\": {\"source\": \"motion@0.2.0\"}}' --wait
  comux control deploy '{\"all\": true, \"canary\": true, \"plugin\": {\"source\": \"motion@0.2.0\"}}' --wait
  comux control rollback '{\"id\": \"gate-7\"}' --wait
  comux control update - < gate-7.json")]
pub struct Arguments {
    /// What to do.
    action: String,
    /// The action's JSON object; `-` reads it from standard input.
    #[arg(default_value = "{}")]
    value: String,
    /// The configuration that names topics and cluster.
    #[arg(long, value_name = "FILE", default_value = "comux.toml")]
    config: PathBuf,
    /// Kafka's address, to command without a configuration.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_servers: Option<String>,
    /// Only the node of this name acts.
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// Only nodes that have this camera act.
    #[arg(long, value_name = "ID")]
    camera: Option<String>,
    /// Use this tenant's own control topic, which reaches its cameras only.
    #[arg(long, value_name = "ID")]
    tenant_topic: Option<String>,
    /// Wait for the answer, and print it.
    #[arg(long)]
    wait: bool,
    /// How many seconds to wait.
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// Print the whole answer as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let answer = tokio::task::spawn_blocking(move || command(&arguments));
    answer.await.map_err(Failure::failed)?
}

fn command(arguments: &Arguments) -> Result<(), Failure> {
    let value = match arguments.value.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(Failure::failed)?;
            text
        }
        text => text.to_owned(),
    };
    let config = configuration(arguments)?;
    let (control, status) = match &arguments.tenant_topic {
        None => (config.topics.control.clone(), config.topics.status.clone()),
        Some(tenant) => {
            let tenant = Id::new(tenant).map_err(Failure::usage)?;
            (config.topics.control_of(&tenant), config.topics.status_of(&tenant))
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::failed)?;
    let id = format!("{:x}-{:x}", now.as_nanos(), std::process::id());
    // First listen, then ask, so that the answer can't be missed.
    let answers = match arguments.wait {
        true => Some(Answers::listen(&config, &status, &id).map_err(Failure::Failed)?),
        false => None,
    };
    send(&config, &control, arguments, &value, &id).map_err(Failure::Failed)?;
    let Some(answers) = answers else { return Ok(()) };
    let patience = Duration::from_secs(arguments.timeout);
    let answer = answers.wait(patience).map_err(Failure::Failed)?;
    let message = answer.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    if arguments.json {
        print_json(&answer)?;
    } else {
        print(&answer, &message);
    }
    match answer.get("ok").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        _ => Err(Failure::Failed(anyhow!("{message}"))),
    }
}

fn configuration(arguments: &Arguments) -> Result<Config, Failure> {
    let Some(servers) = &arguments.bootstrap_servers else {
        return Config::load(&arguments.config).map_err(Failure::usage);
    };
    let servers = Value::from(servers.as_str());
    let text = format!("[kafka]\nbootstrap_servers = {servers}");
    let here = PathBuf::from("(--bootstrap-servers)");
    Config::parse(&text, &here, &here).map_err(Failure::usage)
}

fn send(
    config: &Config,
    topic: &str,
    arguments: &Arguments,
    value: &str,
    id: &str,
) -> anyhow::Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> =
        producer_config(&config.control, &config.name)
            .set("message.timeout.ms", BROKER_PATIENCE.as_millis().to_string())
            .create()?;
    let mut headers = OwnedHeaders::new().insert(Header { key: "correlation-id", value: Some(id) });
    for (key, value) in [("runtime", &arguments.runtime), ("camera", &arguments.camera)] {
        if let Some(value) = value {
            headers = headers.insert(Header { key, value: Some(value.as_str()) });
        }
    }
    let record = BaseRecord::to(topic)
        .key(&arguments.action)
        .payload(value)
        .partition(PARTITION)
        .headers(headers);
    producer.send(record).map_err(|(error, _)| error)?;
    let patience = BROKER_PATIENCE.saturating_add(Duration::from_secs(1));
    producer.flush(patience)?;
    if producer.in_flight_count() > 0 {
        return Err(anyhow!("the command was not acknowledged"));
    }
    Ok(())
}

/// The answers to one command.
struct Answers {
    consumer: BaseConsumer<Quiet>,
    id: String,
}

impl Answers {
    fn listen(config: &Config, topic: &str, id: &str) -> anyhow::Result<Self> {
        let consumer: BaseConsumer<_> = consumer_config(&config.control, &config.name)
            // The embedded broker answers a fetch only at its end when nothing is there at first.
            .set("fetch.wait.max.ms", "10")
            .create_with_context(Quiet)?;
        let (_, end) =
            consumer.fetch_watermarks(topic, PARTITION, BROKER_PATIENCE).with_context(|| {
                format!("topic `{topic}`: is the address right, and comux running?")
            })?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, PARTITION, Offset::Offset(end))?;
        consumer.assign(&assignment)?;
        Ok(Self { consumer, id: id.to_owned() })
    }

    /// The first answer; one of a node that knows the camera is preferred.
    fn wait(&self, patience: Duration) -> anyhow::Result<Value> {
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
        unknown.map(|(answer, _)| answer).ok_or_else(|| {
            anyhow!("no answer within {} s: is a node of that name running?", patience.as_secs())
        })
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

/// For people: the message on its own line, and what belongs to it below.
fn print(answer: &Value, message: &str) {
    let is_ok = answer.get("ok").and_then(Value::as_bool) == Some(true);
    if is_ok {
        print_line(message);
    }
    let steps = answer.get("steps").and_then(Value::as_array).into_iter().flatten();
    let steps: Vec<String> = steps
        .filter_map(|step| {
            let name = step.get("step")?.as_str()?;
            Some(format!("{name} {} ms", step.get("ms")?))
        })
        .collect();
    if !steps.is_empty() {
        print_line(format_args!("  {}", steps.join(", ")));
    }
    if let Some(cut) = answer.get("cut").and_then(|cut| cut.get("source")?.as_str()) {
        let gap = answer.get("gap_ms").map(ToString::to_string).unwrap_or_default();
        print_line(format_args!("  first record: {cut}; the camera was held up for {gap} ms"));
    }
    if let Some(shadow) = answer.get("shadow") {
        print_line(format_args!("  shadow: {shadow}"));
    }
    for camera in answer.get("cameras").and_then(Value::as_array).into_iter().flatten() {
        match camera.get("message").and_then(Value::as_str) {
            Some(message) => print_line(format_args!("  {message}")),
            None => print_line(format_args!("  {}", describe(camera))),
        }
    }
}

/// A camera of the answer to `status`, on one line.
fn describe(camera: &Value) -> String {
    let text = |key: &str| camera.get(key).and_then(Value::as_str).unwrap_or_default();
    let count = |key: &str| {
        camera.get("counts").and_then(|counts| counts.get(key)?.as_u64()).unwrap_or_default()
    };
    let plugins = camera.get("plugins").and_then(Value::as_array).into_iter().flatten();
    let plugins: Vec<&str> = plugins.filter_map(Value::as_str).collect();
    let plugins = if plugins.is_empty() { "no plugins".to_owned() } else { plugins.join(", ") };
    let generation = camera.get("generation").and_then(Value::as_u64).unwrap_or_default();
    let mut line = format!(
        "{} ({}) {}, generation {generation}, {plugins}: {} records received, {} analysed",
        text("camera"),
        text("tenant"),
        text("phase"),
        count("received"),
        count("analysed"),
    );
    if !text("error").is_empty() {
        line.push_str("; ");
        line.push_str(text("error"));
    }
    line
}
