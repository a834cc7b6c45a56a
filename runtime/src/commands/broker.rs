//! `comux broker`: librdkafka's in-process cluster, for trying things out.

use std::path::PathBuf;

use anyhow::Context;
use comux::config::Config;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::{Failure, stop_requested};

#[derive(clap::Args)]
#[command(after_help = "The broker keeps everything in memory, at most 5 MiB of a topic.

Examples:
  comux broker --topic raw_gate-7 --topic stream_gate-7
  comux broker --config comux.toml          topics of that file's cameras")]
pub struct Arguments {
    /// A topic to create, with one partition.
    #[arg(long = "topic", value_name = "NAME")]
    topics: Vec<String>,
    /// Create the topics of this configuration's cameras.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut topics = arguments.topics;
    if let Some(path) = arguments.config {
        let config = Config::load(&path).map_err(Failure::usage)?;
        for camera in config.cameras {
            topics.extend([camera.consume_topic, camera.produce_topic]);
        }
    }
    let broker = EmbeddedBroker::start().map_err(Failure::Failed)?;
    for topic in &topics {
        broker.create_topic(topic).map_err(Failure::Usage)?;
    }
    println!("{}", broker.bootstrap_servers());
    stop_requested().await
}
