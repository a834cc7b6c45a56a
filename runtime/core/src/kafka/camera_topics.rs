//! A camera's topics: that they are there, and whether something about them would break a promise.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::client_pool::ClientPool;
use super::settings::{TopicSettings, topic_settings};
use super::topic_clients::TopicClients;
use super::topics::{TopicError, ensure_topic, reach, replicas, watermarks};
use crate::config::{CameraSpec, Config};
use crate::kafka::PARTITION;

/// How long a broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much larger than an input record the output record may be where comux creates the topic:
/// four plugins that write as much as they may by default.
const HEADER_ROOM: u64 = 256 * 1024;
/// What the runtime's own headers take at least.
const OWN_HEADERS: u64 = 1024;

/// What was found.
#[derive(Debug, Default)]
pub struct CameraTopics {
    /// Topics that did not exist before.
    pub created: Vec<String>,
    /// What is wrong with them.
    pub warnings: Vec<TopicWarning>,
}

/// Something about a camera's topics that would break a promise, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicWarning {
    /// A record may come in that is too large to go out.
    #[error(
        "the output topic `{output}` takes records up to {takes} bytes and the input topic up to \
         {sends}, and headers are added; a larger one is refused: set the output topic's \
         max.message.bytes to {sends} and as much more as the plugins write, {needed} or so"
    )]
    Size {
        /// The output topic.
        output: String,
        /// The largest record that it takes.
        takes: u64,
        /// The largest record that may come in.
        sends: u64,
        /// What is enough for most.
        needed: u64,
    },
    /// A record may come in that is larger than the topic's limit.
    #[error(
        "the broker compresses what is on the input topic `{input}`, so that records may be larger \
         than its max.message.bytes says, and too large for the output topic: set compression.type \
         to `producer`, or the output topic's max.message.bytes well above"
    )]
    Recompressed {
        /// The input topic.
        input: String,
    },
    /// Records do not keep their timestamps.
    #[error(
        "the output topic `{output}` gives records the time of their arrival, in place of their \
         own: set message.timestamp.type to `CreateTime`"
    )]
    LogAppendTime {
        /// The output topic.
        output: String,
    },
    /// A record may come in whose timestamp keeps it from going out.
    #[error(
        "the input topic takes records up to {sends} s {where_to} the broker's clock, and the \
         output topic `{output}` up to {takes} s; others are refused: set its {setting} as high"
    )]
    Timestamps {
        /// The output topic.
        output: String,
        /// `ahead of` or `behind`.
        where_to: &'static str,
        /// How far off the input topic takes records, in seconds.
        sends: u64,
        /// How far off the output topic takes them, in seconds.
        takes: u64,
        /// The topic's setting.
        setting: &'static str,
    },
    /// What goes out is deleted at once.
    #[error(
        "all records of the input topic are older, by their timestamps, than the {seconds} s for \
         which the output topic `{output}` keeps them, so that Kafka deletes them soon after they \
         come: set the camera's clock, or raise the topic's retention.ms"
    )]
    Retention {
        /// The output topic.
        output: String,
        /// How long it keeps records.
        seconds: u64,
    },
    /// Records with the same key are thrown away.
    #[error(
        "the topic `{topic}` is compacted: it refuses records without a key, and forgets all but \
         the last of each key; set its cleanup.policy to `delete`"
    )]
    Compacted {
        /// The topic.
        topic: String,
    },
    /// Nothing is ever acknowledged.
    #[error(
        "the output topic `{output}` has {replicas} replicas and wants {wanted} to have a record \
         (min.insync.replicas), so that none is ever acknowledged: add replicas, or lower that"
    )]
    Replicas {
        /// The output topic.
        output: String,
        /// How many it has.
        replicas: usize,
        /// How many must have a record.
        wanted: u64,
    },
}

/// Sees to it that a camera's topics exist, and looks at what they are set to.
///
/// # Errors
/// When a client can't be created, or a topic not, or when one has more than one partition.
pub async fn ensure_camera_topics<E: From<TopicError> + From<KafkaError>>(
    pool: &ClientPool,
    config: &Config,
    spec: &CameraSpec,
) -> Result<CameraTopics, E> {
    let [consume, produce] = config.clusters_of(&spec.tenant);
    let (input, output) = (spec.consume_topic.as_str(), spec.produce_topic.as_str());
    let mut found = CameraTopics::default();
    let clients = pool.topics(consume, config).await?;
    if config.has_own_clusters(&spec.tenant) {
        // The host's own were looked at when it started.
        reach(&clients.consumer, &consume.bootstrap_servers)?;
    }
    if ensure_topic(&clients.consumer, &clients.admin, input, &[]).await? {
        found.created.push(input.to_owned());
    }
    let of_input = topic_settings(&clients, &[input]).await.remove(input);
    drop(clients);

    let clients = pool.topics(produce, config).await?;
    if config.has_own_clusters(&spec.tenant) {
        reach(&clients.consumer, &produce.bootstrap_servers)?;
    }
    for topic in spec.output_topics() {
        let settings = of_input.as_ref().map(|of_input| match topic == output {
            true => of_input.for_output(HEADER_ROOM),
            false => of_input.for_dead_letters(HEADER_ROOM),
        });
        let settings = settings.unwrap_or_default();
        let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        if ensure_topic(&clients.consumer, &clients.admin, topic, &settings).await? {
            found.created.push(topic.to_owned());
            pool.sink(produce, config)?.look_for(topic);
        }
    }
    let topics: Vec<&str> = spec.output_topics().collect();
    let mut of_outputs = topic_settings(&clients, &topics).await;
    let sink = pool.sink(produce, config)?;
    for (topic, settings) in &of_outputs {
        sink.topic(topic).acceptance.set(settings);
    }
    let of_output = of_outputs.remove(output);
    if let (Some(of_input), Some(of_output)) = (of_input, of_output) {
        found.warnings = warnings((input, &of_input), (output, &of_output));
        found.warnings.extend(too_few_replicas(&clients, output, &of_output));
        drop(clients);
        let clients = pool.topics(consume, config).await?;
        found.warnings.extend(too_old(&clients, input, (output, &of_output)));
    }
    Ok(found)
}

fn warnings(
    (input, of_input): (&str, &TopicSettings),
    (output, of_output): (&str, &TopicSettings),
) -> Vec<TopicWarning> {
    let mut found = Vec::new();
    let output = output.to_owned();
    if let (Some(sends), Some(takes)) = (of_input.max_bytes, of_output.max_bytes)
        && takes < sends + OWN_HEADERS
    {
        let (output, needed) = (output.clone(), sends + HEADER_ROOM);
        found.push(TopicWarning::Size { output, takes, sends, needed });
    }
    if of_input.recompresses {
        found.push(TopicWarning::Recompressed { input: input.to_owned() });
    }
    if of_output.is_log_append_time && !of_input.is_log_append_time {
        found.push(TopicWarning::LogAppendTime { output: output.clone() });
    }
    if !of_input.is_log_append_time && !of_output.is_log_append_time {
        let bounds = [
            (
                "ahead of",
                of_input.after_max_ms,
                of_output.after_max_ms,
                "message.timestamp.after.max.ms",
            ),
            (
                "behind",
                of_input.before_max_ms,
                of_output.before_max_ms,
                "message.timestamp.before.max.ms",
            ),
        ];
        for (where_to, sends, takes, setting) in bounds {
            if let (Some(sends), Some(takes)) = (sends, takes)
                && takes < sends
            {
                let (sends, takes) = (sends / 1000, takes / 1000);
                let output = output.clone();
                found.push(TopicWarning::Timestamps { output, where_to, sends, takes, setting });
            }
        }
    }
    for (topic, settings) in [(input, of_input), (&output, of_output)] {
        if settings.is_compacted {
            found.push(TopicWarning::Compacted { topic: topic.to_owned() });
        }
    }
    found
}

fn too_few_replicas(
    clients: &TopicClients,
    output: &str,
    settings: &TopicSettings,
) -> Option<TopicWarning> {
    let wanted = settings.min_insync_replicas.filter(|wanted| *wanted > 1)?;
    let replicas = replicas(&clients.consumer, output)?;
    let output = output.to_owned();
    ((replicas as u64) < wanted).then_some(TopicWarning::Replicas { output, replicas, wanted })
}

/// Whether all that is on the input topic would be deleted from the output topic.
fn too_old(
    clients: &TopicClients,
    input: &str,
    (output, settings): (&str, &TopicSettings),
) -> Option<TopicWarning> {
    let retention_ms = settings.retention_ms?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let oldest = i64::try_from(u64::try_from(now.as_millis()).ok()?.checked_sub(retention_ms)?);
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(input, PARTITION, Offset::Offset(oldest.ok()?)).ok()?;
    let answer = clients.consumer.offsets_for_times(asked, TIMEOUT).ok()?;
    let first = answer.find_partition(input, PARTITION)?;
    // The end: no record is as new as that.
    let (low, high) = watermarks(&clients.consumer, input).ok()?;
    let none = matches!(first.offset(), Offset::End | Offset::Invalid)
        || first.offset() == Offset::Offset(high);
    let warning =
        TopicWarning::Retention { output: output.to_owned(), seconds: retention_ms / 1000 };
    (none && high > low).then_some(warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_keep_every_promise_are_not_complained_of() {
        let input = TopicSettings {
            max_bytes: Some(1_000_000),
            after_max_ms: Some(3_600_000),
            before_max_ms: Some(u64::MAX),
            ..TopicSettings::default()
        };
        let output = TopicSettings { max_bytes: Some(1_001_024), ..input.clone() };
        assert_eq!(warnings(("in", &input), ("out", &output)), []);
        let small = TopicSettings { max_bytes: Some(1_001_023), ..output.clone() };
        let late = TopicSettings { is_log_append_time: true, ..output.clone() };
        let narrow =
            TopicSettings { after_max_ms: Some(1000), before_max_ms: Some(2000), ..output.clone() };
        let compacted = TopicSettings { is_compacted: true, ..output.clone() };
        for (output, words) in [
            (small, &["1001023", "1000000", "max.message.bytes"][..]),
            (late, &["CreateTime"]),
            (narrow, &["1 s", "after.max.ms", "2 s", "before.max.ms"]),
            (compacted, &["compacted"]),
        ] {
            let found = warnings(("in", &input), ("out", &output));
            let said: Vec<String> = found.iter().map(ToString::to_string).collect();
            for word in words {
                assert!(said.iter().any(|said| said.contains(word)), "{word}: {said:?}");
            }
        }
        let recompressed = TopicSettings { recompresses: true, ..input };
        let found = warnings(("in", &recompressed), ("out", &output));
        assert_eq!(found, [TopicWarning::Recompressed { input: "in".to_owned() }]);
    }
}
