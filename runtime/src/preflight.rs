//! Everything that can fail at start, looked at before anything starts.

use rdkafka::admin::AdminClient;
use rdkafka::consumer::BaseConsumer;

use crate::config::{Cluster, Config};
use crate::kafka::{Logging, TopicError, consumer_config, ensure_topic, producer_config, reach};
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

/// Clients to ask one cluster with.
struct Clients {
    consumer: BaseConsumer<Logging>,
    admin: AdminClient<Logging>,
}

impl Clients {
    fn new(cluster: &Cluster, config: &Config) -> Result<Self, StartError> {
        let consumer = consumer_config(cluster, &config.name);
        let admin = producer_config(cluster, &config.name);
        Ok(Self {
            consumer: consumer.create_with_context(Logging).map_err(StartError::Client)?,
            admin: admin.create_with_context(Logging).map_err(StartError::Client)?,
        })
    }

    fn reach(&self, cluster: &Cluster, found: &mut impl FnMut(Finding)) -> Result<(), TopicError> {
        let servers = &cluster.bootstrap_servers;
        reach(&self.consumer, servers)?;
        found(Finding::Cluster(servers.clone()));
        Ok(())
    }
}
