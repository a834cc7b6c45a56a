//! Why a topic refused a record, and what to do, in words.

use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::Timestamp;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::kafka::Acceptance;

/// The cause and the remedy. `bytes`: how large the record is at most.
pub(super) fn explain(
    error: &KafkaError,
    takes: &Acceptance,
    bytes: usize,
    timestamp: Timestamp,
) -> String {
    match error.rdkafka_error_code() {
        // librdkafka itself has refused it.
        Some(RDKafkaErrorCode::MessageSizeTooLarge) if takes.takes_bytes(bytes) => format!(
            "with its headers it has about {bytes} bytes, and `message.max.bytes` in comux's own \
             `properties` of that cluster is less; raise or remove it (the topic takes so much)"
        ),
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => format!(
            "with its headers it has about {bytes} bytes, and the topic takes {}; raise its \
             `max.message.bytes`",
            takes.max_bytes()
        ),
        Some(RDKafkaErrorCode::InvalidTimestamp) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
            let at = timestamp.to_millis().unwrap_or(now);
            let (where_to, setting, most) = match at > now {
                true => ("ahead of", "message.timestamp.after.max.ms", takes.after_max_ms()),
                false => ("behind", "message.timestamp.before.max.ms", takes.before_max_ms()),
            };
            let seconds = at.abs_diff(now) / 1000;
            format!(
                "its timestamp is {seconds} s {where_to} this host's clock, and the topic takes {} \
                 s; set the camera's clock, or raise the topic's `{setting}`",
                most / 1000
            )
        }
        Some(RDKafkaErrorCode::InvalidRecord) => {
            format!(
                "{error}; is its `cleanup.policy` `compact`? A record without a key needs `delete`"
            )
        }
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ) => format!("{error}; allow comux to write to it"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_said_by_whom_it_is_refused() {
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        let why = |bytes| explain(&error, &Acceptance::default(), bytes, Timestamp::NotAvailable);
        let by_topic = why(2_000_000);
        assert!(by_topic.contains("the topic takes 1048588; raise its"), "{by_topic}");
        let by_client = why(50_000);
        assert!(by_client.contains("`properties` of that cluster is less"), "{by_client}");
    }
}
