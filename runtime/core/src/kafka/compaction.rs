//! Whether a topic is compacted, and making it so. Where the broker does not tell, nothing is done.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, AlterConfig, ConfigResource, ConfigSource, ResourceSpecifier};

use super::topic_clients::TopicClients;

/// How long a broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether a change has taken effect, …
const LOOKS: u32 = 20;
/// … and how long after each other.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

const POLICY: &str = "cleanup.policy";

/// What became of a topic that has to be compacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compaction {
    /// It is compacted, or the broker does not tell.
    InPlace,
    /// It was not, and is from now on.
    Mended {
        /// Its `cleanup.policy` of before.
        policy: String,
    },
    /// It is not, and the broker does not let it be changed.
    Refused {
        /// Its `cleanup.policy`.
        policy: String,
    },
}

/// Sees to it that a topic that exists is compacted; its other settings stay as they are.
pub async fn ensure_compacted(clients: &TopicClients, topic: &str) -> Compaction {
    let Some(settings) = settings_of(clients, topic).await else { return Compaction::InPlace };
    let Some(policy) = policy_in(&settings).map(str::to_owned) else { return Compaction::InPlace };
    if is_compacted(&policy) {
        return Compaction::InPlace;
    }
    // What is not named here goes back to the broker's default.
    let own = settings.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    let own = own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
    let start = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let altered = own.fold(start, |new, (key, value)| new.set(key, value)).set(POLICY, "compact");
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    if let Err(error) = clients.admin.alter_configs([&altered], &options).await {
        tracing::warn!(topic, %error, "kafka: the topic's settings can't be changed");
        return Compaction::Refused { policy };
    }
    // rdkafka does not tell what the broker says of a single topic: only the topic itself does.
    for _ in 0..LOOKS {
        let settings = settings_of(clients, topic).await;
        if settings.as_ref().and_then(policy_in).is_some_and(is_compacted) {
            return Compaction::Mended { policy };
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Compaction::Refused { policy }
}

async fn settings_of(clients: &TopicClients, topic: &str) -> Option<ConfigResource> {
    clients.describe(&[topic]).await.into_iter().next()
}

fn policy_in(settings: &ConfigResource) -> Option<&str> {
    settings.get(POLICY)?.value.as_deref()
}

fn is_compacted(policy: &str) -> bool {
    policy.split(',').any(|word| word.trim() == "compact")
}
