//! The clients of all cameras: a consumer, a producer and a pair to ask for topics with, for each
//! distinct cluster. Tenants that name the same one, with the same properties, share them.
//!
//! Nothing here waits for a broker: librdkafka's clients connect by themselves.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::error::KafkaError;
use tokio::sync::OwnedMutexGuard;

use super::settings::topic_settings;
use super::sink::PacketSink;
use super::source::PacketSource;
use super::topic_clients::TopicClients;
use crate::config::{Cluster, Config};

/// See the module.
#[derive(Default)]
pub struct ClientPool {
    sources: Shared<PacketSource>,
    sinks: Shared<PacketSink>,
    topics: Shared<tokio::sync::Mutex<TopicClients>>,
}

type Shared<T> = Mutex<HashMap<Cluster, Arc<T>>>;

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
        let same = |source: &Cluster| source.bootstrap_servers == cluster.bootstrap_servers;
        let has_consumer = self.sources.lock().keys().any(same);
        let new = || PacketSink::new(cluster, &config.name, has_consumer);
        let sink = get(&self.sinks, cluster, new)?;
        Ok((*sink).clone())
    }

    /// Clients to ask a cluster for topics with, as soon as nobody else does.
    ///
    /// # Errors
    /// When a property is wrong.
    pub async fn topics(
        &self,
        cluster: &Cluster,
        config: &Config,
    ) -> Result<OwnedMutexGuard<TopicClients>, KafkaError> {
        let new = || TopicClients::new(cluster, config).map(Into::into);
        let clients = get(&self.topics, cluster, new)?.lock_owned().await;
        clients.bootstrap_if_lost();
        Ok(clients)
    }

    /// Looks again at what the topics that are written to take.
    pub async fn look_at_outputs(&self) {
        let sinks: Vec<(Cluster, Arc<PacketSink>)> =
            self.sinks.lock().iter().map(|(cluster, it)| (cluster.clone(), it.clone())).collect();
        for (cluster, sink) in sinks {
            let outputs = sink.topics();
            let clients = self.topics.lock().get(&cluster).cloned();
            let Some(clients) = clients.filter(|_| !outputs.is_empty()) else { continue };
            let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
            let clients = clients.lock_owned().await;
            clients.bootstrap_if_lost();
            let settings = topic_settings(&clients, &names).await;
            for (name, acceptance) in &outputs {
                if let Some(settings) = settings.get(name) {
                    acceptance.set(settings);
                }
            }
        }
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
