//! What topics are set to, as far as it matters for records that pass from one to another.

use std::collections::HashMap;

use rdkafka::admin::{ConfigResource, ConfigSource, OwnedResourceSpecifier};

use super::topic_clients::TopicClients;

const MAX_BYTES: &str = "max.message.bytes";
const AFTER_MAX: &str = "message.timestamp.after.max.ms";
const BEFORE_MAX: &str = "message.timestamp.before.max.ms";
/// Both of the above, before Kafka 3.6.
const DIFFERENCE_MAX: &str = "message.timestamp.difference.max.ms";
const RETENTION: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";

/// A topic's settings; `None`: the broker does not tell, or does not know that one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// The largest batch of records that it takes, in bytes.
    pub max_bytes: Option<u64>,
    /// How many milliseconds ahead of the broker's clock a record's timestamp may be.
    pub after_max_ms: Option<u64>,
    /// How many milliseconds behind the broker's clock it may be.
    pub before_max_ms: Option<u64>,
    /// Records get the time of their arrival as timestamp.
    pub is_log_append_time: bool,
    /// Records older than so many milliseconds, by their timestamps, are deleted; none: never.
    pub retention_ms: Option<u64>,
    /// Of records with the same key, the last one is kept; a record needs a key.
    pub is_compacted: bool,
    /// The broker compresses records itself, so that larger ones fit.
    pub recompresses: bool,
    /// How many replicas must have a record before it is acknowledged.
    pub min_insync_replicas: Option<u64>,
    /// The settings that a topic for the same records takes over: those that somebody set.
    pub own: Vec<(&'static str, String)>,
}

impl TopicSettings {
    fn of(config: &ConfigResource) -> Self {
        let text = |name: &str| config.get(name).and_then(|entry| entry.value.as_deref());
        let number = |name: &str| text(name).and_then(|value| value.parse().ok());
        let has = |name: &str, word: &str| {
            text(name).is_some_and(|value| value.split(',').any(|it| it.trim() == word))
        };
        let inherited =
            [AFTER_MAX, BEFORE_MAX, DIFFERENCE_MAX, RETENTION, RETENTION_BYTES, MAX_BYTES];
        let own = inherited.into_iter().filter_map(|name| {
            let entry = config.get(name)?;
            let is_own = entry.source == ConfigSource::DynamicTopic;
            is_own.then(|| entry.value.clone().map(|value| (name, value)))?
        });
        Self {
            max_bytes: number(MAX_BYTES),
            after_max_ms: number(AFTER_MAX).or_else(|| number(DIFFERENCE_MAX)),
            before_max_ms: number(BEFORE_MAX).or_else(|| number(DIFFERENCE_MAX)),
            is_log_append_time: has("message.timestamp.type", "LogAppendTime"),
            // −1: without end.
            retention_ms: number(RETENTION).filter(|_| !has("cleanup.policy", "compact")),
            is_compacted: has("cleanup.policy", "compact"),
            recompresses: text("compression.type")
                .is_some_and(|kind| !matches!(kind, "producer" | "uncompressed" | "none")),
            min_insync_replicas: number("min.insync.replicas"),
            own: own.collect(),
        }
    }

    /// What a topic is to be created with that takes this one's records, each with `room` bytes
    /// more.
    #[must_use]
    pub fn for_output(&self, room: u64) -> Vec<(&'static str, String)> {
        let mut settings = self.own.clone();
        settings.retain(|(name, _)| *name != MAX_BYTES);
        if let Some(bytes) = self.max_bytes {
            settings.push((MAX_BYTES, (bytes + room).to_string()));
        }
        settings
    }

    /// What a topic is to be created with for records that the output topic refuses.
    #[must_use]
    pub fn for_dead_letters(&self, room: u64) -> Vec<(&'static str, String)> {
        let anything = || i64::MAX.to_string();
        let mut settings = vec![(AFTER_MAX, anything()), (BEFORE_MAX, anything())];
        if let Some(bytes) = self.max_bytes {
            settings.push((MAX_BYTES, (bytes + room).to_string()));
        }
        settings
    }
}

/// The settings of topics; those of which the broker tells nothing are absent.
pub async fn topic_settings(
    clients: &TopicClients,
    topics: &[&str],
) -> HashMap<String, TopicSettings> {
    let described = clients.describe(topics).await.into_iter().filter_map(|config| {
        let OwnedResourceSpecifier::Topic(topic) = &config.specifier else { return None };
        Some((topic.clone(), TopicSettings::of(&config)))
    });
    described.collect()
}
