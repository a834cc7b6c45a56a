//! Topics that are deleted and made again under the same name.
//!
//! Offsets begin again in the new topic, and librdkafka, which goes by names, reads on in it from
//! where it was in the old one: from the beginning if the new topic is shorter, else somewhere in
//! the middle. Brokers tell the two apart by an id
//! ([KIP-516](https://cwiki.apache.org/confluence/display/KAFKA/KIP-516%3A+Topic+Identifiers)),
//! which librdkafka notes before it fetches from the new one; a line of its log is the only sign of
//! that.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::bindings::{
    rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new,
    rd_kafka_AdminOptions_set_request_timeout, rd_kafka_DescribeTopics,
    rd_kafka_DescribeTopics_result_topics, rd_kafka_TopicCollection_destroy,
    rd_kafka_TopicCollection_of_topic_names, rd_kafka_TopicDescription_topic_id,
    rd_kafka_Uuid_base64str, rd_kafka_admin_op_t, rd_kafka_event_DescribeTopics_result,
    rd_kafka_event_destroy, rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_poll,
};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use serde::{Deserialize, Serialize};

use super::outage::Outage;
use super::properties::{Logging, tells_of_outage};

/// What a topic has that no other ever had, in base64, as Kafka's tools show it.
pub type TopicId = String;

/// What there is in place of an id where a broker has none, and before it was asked.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// One of the topics that had a name, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation {
    /// Its name.
    pub topic: String,
    /// Its id; none: the broker is older than Kafka 2.8, and has none.
    pub id: Option<TopicId>,
    /// How often the topic was made again, as far as the camera has seen.
    pub number: u32,
}

/// Where a record is: `topic/partition/offset`, and behind that how often the topic was made again,
/// if it was.
#[must_use]
pub fn source(topic: &str, partition: i32, offset: i64, number: u32) -> String {
    match number {
        0 => format!("{topic}/{partition}/{offset}"),
        number => format!("{topic}/{partition}/{offset}/{number}"),
    }
}

// === while it is consumed ===

/// What a client notices of topics that are other ones.
#[derive(Default)]
pub(super) struct Incarnations {
    pub outage: Outage,
    watched: Mutex<HashMap<String, Arc<TopicWatch>>>,
}

/// Whether a topic is still the one that it was.
#[derive(Debug)]
pub(super) struct TopicWatch {
    is_other: AtomicBool,
    ids: Mutex<Ids>,
}

#[derive(Debug)]
struct Ids {
    known: Option<TopicId>,
    other: Option<TopicId>,
}

impl TopicWatch {
    /// The id of the topic of this name, if that is another one now.
    pub fn other(&self) -> Option<TopicId> {
        if self.is_other.load(Ordering::Acquire) { self.ids.lock().other.clone() } else { None }
    }

    /// The id of the topic that is read.
    pub fn known(&self) -> Option<TopicId> {
        self.ids.lock().known.clone()
    }

    /// It is a certain one from now on.
    pub fn goes_on(&self, id: &TopicId) {
        let mut ids = self.ids.lock();
        ids.known = Some(id.clone());
        if ids.other.as_ref() == Some(id) {
            ids.other = None;
            self.is_other.store(false, Ordering::Release);
        }
    }

    fn note(&self, id: &str) {
        let mut ids = self.ids.lock();
        match &ids.known {
            None => ids.known = Some(id.to_owned()),
            Some(known) if known == id => {}
            Some(_) => {
                ids.other = Some(id.to_owned());
                self.is_other.store(true, Ordering::Release);
            }
        }
    }
}

impl Incarnations {
    /// Begins to watch a topic that has this id, before it is consumed.
    pub fn watch(&self, topic: &str, id: Option<TopicId>) -> Arc<TopicWatch> {
        let ids = Mutex::new(Ids { known: id, other: None });
        let watch = Arc::new(TopicWatch { is_other: AtomicBool::new(false), ids });
        self.watched.lock().insert(topic.to_owned(), Arc::clone(&watch));
        watch
    }

    /// Watches a topic, of which the first id that is told is the one that is known.
    pub fn watch_first(&self, topic: &str) -> Arc<TopicWatch> {
        let new = || {
            let ids = Mutex::new(Ids { known: None, other: None });
            Arc::new(TopicWatch { is_other: AtomicBool::new(false), ids })
        };
        Arc::clone(self.watched.lock().entry(topic.to_owned()).or_insert_with(new))
    }

    /// It is used no longer.
    pub fn forget(&self, topic: &str) {
        self.watched.lock().remove(topic);
    }
}

impl Incarnations {
    /// A line of the client's log.
    pub fn read_log(&self, facility: &str, message: &str) {
        if facility == "METADATA"
            && let Some((topic, id)) = changed_id(message)
            && let Some(watch) = self.watched.lock().get(topic)
        {
            watch.note(id);
        }
    }
}

impl ClientContext for Incarnations {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.read_log(facility, message);
        if tells_of_outage(facility) {
            self.outage.suspect();
        }
        if is_for_people(level) {
            Logging.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.outage.note(&error);
        Logging.error(error, reason);
    }
}

impl ConsumerContext for Incarnations {}

/// Whether a line goes on to the log, beside those that `debug` adds to be read here.
pub(super) fn is_for_people(level: RDKafkaLogLevel) -> bool {
    use RDKafkaLogLevel::{Alert, Critical, Emerg, Error};
    matches!(level, Emerg | Alert | Critical | Error)
}

/// The topic, and the id that it has now, of a line that tells of a change
/// (`rd_kafka_topic_metadata_update` in `rdkafka_topic.c`).
fn changed_id(line: &str) -> Option<(&str, &str)> {
    let (before, ids) = line.split_once(" changed id from ")?;
    let (_, topic) = before.rsplit_once("Topic ")?;
    let (_, id) = ids.split_once(" to ")?;
    (id != NO_ID).then_some((topic, id))
}

// === before ===

/// Asks for a topic's id. `None`: the broker has none, or does not say. Waits for the broker.
pub(super) fn topic_id<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Option<TopicId> {
    let name = CString::new(topic).ok()?;
    let client = consumer.client().native_ptr();
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client lives during the call. All that is made here is given back at the end, the
    // queue last; the description and the text of the id live as long as the event.
    unsafe {
        let queue = NonNull::new(rd_kafka_queue_new(client))?.as_ptr();
        let mut names = [name.as_ptr()];
        let topics = rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let operation = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = rd_kafka_AdminOptions_new(client, operation);
        rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, std::ptr::null_mut(), 0);
        rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1000));
        let mut id = None;
        if let Some(result) = rd_kafka_event_DescribeTopics_result(event).as_ref() {
            let mut count = 0;
            let described = rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            if count == 1
                && let Some(uuid) = rd_kafka_TopicDescription_topic_id(*described).as_ref()
                && let Some(text) = NonNull::new(rd_kafka_Uuid_base64str(uuid).cast_mut())
            {
                id = CStr::from_ptr(text.as_ptr()).to_str().ok().map(str::to_owned);
            }
        }
        rd_kafka_event_destroy(event);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_TopicCollection_destroy(topics);
        rd_kafka_queue_destroy(queue);
        id.filter(|id| id != NO_ID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_which_topic_is_another_one() {
        let line = "[thrd:main]: Topic raw_gate-7 changed id from gQ to Xw";
        assert_eq!(changed_id(line), Some(("raw_gate-7", "Xw")));
        let line = format!("[thrd:main]: Topic raw_gate-7 changed id from gQ to {NO_ID}");
        assert_eq!(changed_id(&line), None);
        assert_eq!(changed_id("[thrd:main]: Topic raw_gate-7 [0] Leader 1 Epoch 0"), None);

        let contexts = Incarnations::default();
        let watch = contexts.watch("raw_gate-7", Some("gQ".to_owned()));
        let tell = |id: &str| {
            let line = format!("[thrd:main]: Topic raw_gate-7 changed id from {NO_ID} to {id}");
            contexts.log(RDKafkaLogLevel::Debug, "METADATA", &line);
        };
        tell("gQ");
        assert_eq!(watch.other(), None, "it is told first");
        tell("Xw");
        assert_eq!(watch.other().as_deref(), Some("Xw"));
        watch.goes_on(&"Xw".to_owned());
        assert_eq!(watch.other(), None);
    }

    #[test]
    fn a_record_of_a_topic_that_was_made_again_has_a_place_of_its_own() {
        assert_eq!(source("raw_gate-7", 0, 17, 0), "raw_gate-7/0/17");
        assert_eq!(source("raw_gate-7", 0, 17, 2), "raw_gate-7/0/17/2");
    }
}
