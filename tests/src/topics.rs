//! Topics of the broker: made, deleted, set, counted.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::PATIENCE;
use crate::broker::client;

/// Creates a topic.
///
/// # Panics
/// When the broker refuses.
pub fn create_topic(name: &str, partitions: i32) {
    create_topics(&[name], partitions, &[]);
}

/// Creates topics with settings of their own.
///
/// # Panics
/// When the broker refuses.
pub fn create_topics(names: &[&str], partitions: i32, settings: &[(&str, &str)]) {
    // Who connects anew for each waits for most of the time.
    static ADMIN: LazyLock<AdminClient<DefaultClientContext>> =
        LazyLock::new(|| client().create().unwrap());
    let topic = |name| {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
    };
    let topics: Vec<NewTopic<'_>> = names.iter().copied().map(topic).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let results = runtime.block_on(ADMIN.create_topics(&topics, &AdminOptions::new())).unwrap();
    for result in results {
        result.unwrap_or_else(|(topic, error)| panic!("creating topic {topic}: {error}"));
    }
}

/// Deletes a topic, and waits until it is gone.
///
/// # Panics
/// When the broker does not do it.
pub fn delete_topic(name: &str) {
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let deleted = admin.delete_topics(&[name], &AdminOptions::new());
    for result in runtime.block_on(deleted).unwrap() {
        result.unwrap_or_else(|(topic, error)| panic!("deleting topic {topic}: {error}"));
    }
    let deadline = Instant::now() + PATIENCE;
    while topic_exists(name) {
        assert!(Instant::now() < deadline, "{name} is still there");
    }
}

/// Whether a topic exists.
///
/// # Panics
/// When the broker does not answer.
#[must_use]
pub fn topic_exists(name: &str) -> bool {
    let consumer: BaseConsumer = client().create().unwrap();
    let metadata = consumer.fetch_metadata(Some(name), PATIENCE).unwrap();
    metadata.topics().iter().any(|topic| topic.name() == name && topic.error().is_none())
}

/// A topic's own setting.
///
/// # Panics
/// When the broker does not answer.
#[must_use]
pub fn topic_setting(topic: &str, key: &str) -> Option<String> {
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (topic, options) = ([ResourceSpecifier::Topic(topic)], AdminOptions::new());
    let described = runtime.block_on(admin.describe_configs(&topic, &options));
    let described = described.unwrap().remove(0).unwrap();
    described.get(key).and_then(|entry| entry.value.clone())
}

/// Sets a topic to this; its other settings go back to the broker's defaults.
///
/// # Panics
/// When the broker refuses.
pub fn set_topic(topic: &str, key: &str, value: &str) {
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let altered = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(key, value);
    let altered = runtime.block_on(admin.alter_configs([&altered], &AdminOptions::new())).unwrap();
    altered.into_iter().for_each(|topic| drop(topic.unwrap()));
}

/// How many records a topic holds.
///
/// # Panics
/// When the broker does not answer.
#[must_use]
pub fn record_count(topic: &str) -> usize {
    let consumer: BaseConsumer = client().create().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.fetch_watermarks(topic, 0, PATIENCE) {
            Ok((low, high)) => return usize::try_from(high - low).unwrap(),
            // It may have been made a moment ago.
            Err(error) => assert!(Instant::now() < deadline, "{topic}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
