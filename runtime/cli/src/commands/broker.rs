//! `comux broker`: librdkafka's in-process cluster, for trying things out.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use comux::config::{Config, Topics};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::failure::Failure;
use super::stop::stop_requested;
use crate::output::print_line;

#[derive(clap::Args)]
#[command(
    after_help = "The broker keeps everything in memory, at most 5 MiB of a topic. The system
chooses its port; it prints its address.

Examples:
  comux broker --topic raw_gate-7 --topic stream_gate-7
  comux broker --config comux.toml          topics of that file's cameras"
)]
pub struct Arguments {
    /// A topic to create, with one partition.
    #[arg(long = "topic", value_name = "NAME")]
    topics: Vec<String>,
    /// Create the topics of this configuration's cameras.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// librdkafka has no way to choose it.
    #[arg(long, hide = true)]
    port: Option<u16>,
}

/// The embedded broker; gone when dropped.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    pub fn start() -> anyhow::Result<Self> {
        let cluster = MockCluster::new(1).context("the embedded broker could not start")?;
        Ok(Self { cluster })
    }

    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    pub fn create_topic(&self, topic: &str) -> anyhow::Result<()> {
        self.cluster.create_topic(topic, 1, 1).with_context(|| format!("topic `{topic}`"))
    }
}

/// All topics that a configuration needs.
pub fn topics_of(config: &Config) -> Vec<String> {
    let Topics { control, status, state, .. } = config.topics.clone();
    let tenants = config.tenants.iter();
    let tenants =
        tenants.flat_map(|it| [config.topics.control_of(&it.id), config.topics.status_of(&it.id)]);
    let cameras = config.cameras.iter();
    let cameras = cameras.flat_map(|camera| {
        let outputs = camera.output_topics().map(str::to_owned);
        [camera.consume_topic.clone()].into_iter().chain(outputs)
    });
    [control, status, state].into_iter().chain(tenants).chain(cameras).collect()
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.port.is_some() {
        return Err(Failure::usage(anyhow!(
            "the system chooses the port of the embedded broker, which prints its address; where \
             an address has to stay, run Apache Kafka"
        )));
    }
    let mut topics = arguments.topics;
    if let Some(path) = arguments.config {
        let config = Config::load(&path).map_err(Failure::usage)?;
        topics.extend(topics_of(&config));
    }
    let broker = EmbeddedBroker::start().map_err(Failure::Failed)?;
    for topic in &topics {
        broker.create_topic(topic).map_err(Failure::Usage)?;
    }
    let stop = stop_requested()?;
    print_line(broker.bootstrap_servers());
    stop.await;
    Ok(())
}
