//! How far a camera is behind the end of its topic.

use std::cell::Cell;
use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::bindings::{
    rd_kafka_get_watermark_offsets, rd_kafka_queue_destroy, rd_kafka_queue_get_partition,
    rd_kafka_queue_length, rd_kafka_queue_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::incarnation::Incarnations;
use crate::kafka::PARTITION;

/// How often librdkafka is asked where the topic ends. It searches a list of all cameras' topics
/// for the answer, so asking for each record would cost the more the more cameras there are.
const ASKING_INTERVAL: Duration = Duration::from_millis(250);

/// How far one camera is behind, without a question to the broker.
pub(super) struct Lag {
    consumer: Arc<BaseConsumer<Incarnations>>,
    topic: CString,
    /// What was fetched and not yet taken.
    fetched: NonNull<rd_kafka_queue_t>,
    end: Cell<Option<End>>,
}

/// Where the topic ended at the latest fetch.
#[derive(Clone, Copy)]
struct End {
    offset: i64,
    asked: Instant,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Lag {}

impl Lag {
    pub fn new(consumer: Arc<BaseConsumer<Incarnations>>, topic: &str) -> Result<Self, KafkaError> {
        let subscription = |text: String| KafkaError::Subscription(text);
        let name = CString::new(topic).map_err(|error| subscription(error.to_string()))?;
        // SAFETY: the client and the name live during the call.
        let queue = unsafe {
            rd_kafka_queue_get_partition(consumer.client().native_ptr(), name.as_ptr(), PARTITION)
        };
        let fetched = NonNull::new(queue)
            .ok_or_else(|| subscription(format!("no queue for the topic `{topic}`")))?;
        Ok(Self { consumer, topic: name, fetched, end: Cell::new(None) })
    }

    /// How many records are known to lie behind `offset`: at least those that were fetched.
    pub fn behind(&self, offset: i64) -> u64 {
        // SAFETY: the queue lives as long as `self`.
        let fetched = unsafe { rd_kafka_queue_length(self.fetched.as_ptr()) };
        let up_to_end = u64::try_from(self.end() - offset - 1).unwrap_or(0);
        up_to_end.max(fetched as u64)
    }

    fn end(&self) -> i64 {
        let now = Instant::now();
        if let Some(end) = self.end.get()
            && now.duration_since(end.asked) < ASKING_INTERVAL
        {
            return end.offset;
        }
        let (mut low, mut high) = (0, 0);
        // SAFETY: the client lives as long as `self`, the offsets until the call returns.
        let answer = unsafe {
            rd_kafka_get_watermark_offsets(
                self.consumer.client().native_ptr(),
                self.topic.as_ptr(),
                PARTITION,
                &raw mut low,
                &raw mut high,
            )
        };
        let offset = if answer == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR { high } else { 0 };
        self.end.set(Some(End { offset, asked: now }));
        offset
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        // SAFETY: it is ours, and used no more; the client, which `self` holds, is still there.
        unsafe { rd_kafka_queue_destroy(self.fetched.as_ptr()) };
    }
}
