//! Everything that can fail at start, looked at before anything starts.

use rdkafka::admin::AdminClient;
use rdkafka::consumer::BaseConsumer;

use crate::config::{Cluster, Config};
use crate::kafka::{
    Quiet, TopicError, consumer_config, ensure_topic, largest_record, producer_config, reach,
};
use crate::runtime::{Plugins, StartError};

/// Something that would keep the instance from starting.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// A plugin or client.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A cluster or topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

/// What was found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A plugin can be loaded, and every camera that runs it can configure it.
    Plugin(String),
    /// A cluster answers.
    Cluster(String),
    /// A camera's topics exist; those named here were created just now.
    Topics {
        /// The camera.
        camera: String,
        /// Topics that did not exist before.
        created: Vec<String>,
    },
}

/// Checks plugins, clusters and topics, creating missing topics; tells `found` of each as it goes.
///
/// # Errors
/// The first obstacle.
pub async fn preflight(
    config: &Config,
    mut found: impl FnMut(Finding),
) -> Result<Plugins, Obstacle> {
    let plugins = Plugins::load(config)?;
    for (_, plugin) in plugins.iter() {
        found(Finding::Plugin(plugin.identity.clone()));
    }
    let consume = Clients::new(&config.consume, config)?;
    let produce = Clients::new(&config.produce, config)?;
    consume.reach(&config.consume, &mut found)?;
    if config.produce != config.consume {
        produce.reach(&config.produce, &mut found)?;
    }
    for camera in &config.cameras {
        let topics = [(&consume, &camera.consume_topic), (&produce, &camera.produce_topic)];
        let mut created = Vec::new();
        for (clients, topic) in topics {
            if ensure_topic(&clients.consumer, &clients.admin, topic).await? {
                created.push(topic.clone());
            }
        }
        found(Finding::Topics { camera: camera.id.to_string(), created });
    }
    Ok(plugins)
}

/// A camera's output topic takes smaller records than its input topic, so that one may come in that
/// can't go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeConflict {
    /// The camera.
    pub camera: String,
    /// The output topic.
    pub topic: String,
    /// The largest record that the input topic takes, in bytes.
    pub input: u64,
    /// The largest record that the output topic takes, in bytes.
    pub output: u64,
}

/// Compares the record-size limits of each camera's topics, where the brokers tell them.
///
/// # Errors
/// When a Kafka client can't be created.
pub async fn size_conflicts(config: &Config) -> Result<Vec<SizeConflict>, StartError> {
    let consume = Clients::new(&config.consume, config)?;
    let produce = Clients::new(&config.produce, config)?;
    let mut conflicts = Vec::new();
    for camera in &config.cameras {
        let input = largest_record(&consume.admin, &camera.consume_topic).await;
        let output = largest_record(&produce.admin, &camera.produce_topic).await;
        if let (Some(input), Some(output)) = (input, output)
            && output < input
        {
            let (camera, topic) = (camera.id.to_string(), camera.produce_topic.clone());
            conflicts.push(SizeConflict { camera, topic, input, output });
        }
    }
    Ok(conflicts)
}

/// Clients to ask one cluster with.
struct Clients {
    consumer: BaseConsumer<Quiet>,
    admin: AdminClient<Quiet>,
}

impl Clients {
    fn new(cluster: &Cluster, config: &Config) -> Result<Self, StartError> {
        let consumer = consumer_config(cluster, &config.name);
        let admin = producer_config(cluster, &config.name);
        Ok(Self {
            consumer: consumer.create_with_context(Quiet).map_err(StartError::Client)?,
            admin: admin.create_with_context(Quiet).map_err(StartError::Client)?,
        })
    }

    fn reach(&self, cluster: &Cluster, found: &mut impl FnMut(Finding)) -> Result<(), TopicError> {
        let servers = &cluster.bootstrap_servers;
        reach(&self.consumer, servers)?;
        found(Finding::Cluster(servers.clone()));
        Ok(())
    }
}
