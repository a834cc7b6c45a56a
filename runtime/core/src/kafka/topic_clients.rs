//! Clients to ask a cluster for its topics with.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::bootstrap::bootstrap_if_lost;
use super::properties::{Quiet, consumer_config, producer_config};
use crate::config::{Cluster, Config};

/// How long a broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How the ids of librdkafka's own clusters begin.
const EMBEDDED: &str = "mockCluster";

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

    /// To be called before they are used: nobody polls them meanwhile.
    pub fn bootstrap_if_lost(&self) {
        bootstrap_if_lost(self.consumer.client());
        bootstrap_if_lost(self.admin.inner());
    }

    /// All that topics are set to. Those of which the broker does not tell are absent.
    pub async fn describe(&self, topics: &[&str]) -> Vec<ConfigResource> {
        // The embedded broker has no settings, and is not waited for to say so.
        let cluster = self.consumer.client().fetch_cluster_id(TIMEOUT);
        if cluster.is_some_and(|id| id.starts_with(EMBEDDED)) {
            return Vec::new();
        }
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let topics: Vec<_> = topics.iter().copied().map(ResourceSpecifier::Topic).collect();
        match self.admin.describe_configs(&topics, &options).await {
            Ok(described) => described.into_iter().flatten().collect(),
            Err(error) => {
                tracing::debug!(%error, "kafka: the settings of topics can't be read");
                Vec::new()
            }
        }
    }
}
