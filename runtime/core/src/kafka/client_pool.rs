//! The clients of all cameras: a consumer, a producer and a pair to ask for topics with, for each
//! distinct cluster. Tenants that name the same one, with the same properties, share them.
//!
//! Nothing here waits for a broker: librdkafka's clients connect by themselves.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::admin::AdminClient;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use super::properties::{Quiet, consumer_config, producer_config};
use super::sink::PacketSink;
use super::source::PacketSource;
use crate::config::{Cluster, Config};

/// See the module.
#[derive(Default)]
pub struct ClientPool {
    sources: Shared<PacketSource>,
    sinks: Shared<PacketSink>,
    topics: Shared<tokio::sync::Mutex<TopicClients>>,
}

type Shared<T> = Mutex<HashMap<Cluster, Arc<T>>>;

/// Clients to ask one cluster with. One question at a time: they are rare, and none is on the way
/// of a frame.
pub struct TopicClients {
    /// For metadata.
    pub consumer: BaseConsumer<Quiet>,
    /// For creation and settings.
    pub admin: AdminClient<Quiet>,
}

impl TopicClients {
    /// Clients for a cluster.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn new(cluster: &Cluster, config: &Config) -> Result<Self, KafkaError> {
        let consumer = consumer_config(cluster, &config.name);
        let admin = producer_config(cluster, &config.name);
        Ok(Self {
            consumer: consumer.create_with_context(Quiet)?,
            admin: admin.create_with_context(Quiet)?,
        })
    }
}

impl ClientPool {
    /// The consumer of a cluster.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn source(
        &self,
        cluster: &Cluster,
        config: &Config,
    ) -> Result<Arc<PacketSource>, KafkaError> {
        get(&self.sources, cluster, || PacketSource::new(cluster, &config.name))
    }

    /// The producer of a cluster.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn sink(&self, cluster: &Cluster, config: &Config) -> Result<PacketSink, KafkaError> {
        let sink = get(&self.sinks, cluster, || PacketSink::new(cluster, &config.name))?;
        Ok((*sink).clone())
    }

    /// Clients to ask a cluster for topics with.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn topics(
        &self,
        cluster: &Cluster,
        config: &Config,
    ) -> Result<Arc<tokio::sync::Mutex<TopicClients>>, KafkaError> {
        get(&self.topics, cluster, || TopicClients::new(cluster, config).map(Into::into))
    }

    /// Commits what is acknowledged, on all clusters at once: one that does not answer does not
    /// hold up the others. Waits for the brokers.
    pub fn commit(&self) {
        let sources: Vec<Arc<PacketSource>> = self.sources.lock().values().cloned().collect();
        std::thread::scope(|scope| {
            for source in &sources {
                scope.spawn(|| source.commit_now());
            }
        });
    }
}

fn get<T>(
    shared: &Shared<T>,
    cluster: &Cluster,
    create: impl FnOnce() -> Result<T, KafkaError>,
) -> Result<Arc<T>, KafkaError> {
    let mut shared = shared.lock();
    if let Some(found) = shared.get(cluster) {
        return Ok(Arc::clone(found));
    }
    let new = Arc::new(create()?);
    shared.insert(cluster.clone(), Arc::clone(&new));
    Ok(new)
}
