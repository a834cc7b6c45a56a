//! Records in and out of the broker, by clients that have nothing to do with comux.

use std::collections::{BTreeMap, HashSet};
use std::ffi::CStr;
use std::ptr;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use rdkafka::bindings::{rd_kafka_header_add, rd_kafka_header_get_all, rd_kafka_headers_t};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use crate::PATIENCE;
use crate::broker::{MAX_RECORD, client};
use crate::topics::{record_count, topic_exists};

/// A header: its name, and its value unless that is null.
pub type RecordHeader = (String, Option<Vec<u8>>);

/// A record as it stands on a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Its key; null and empty are different.
    pub key: Option<Vec<u8>>,
    /// Its value; null and empty are different.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970, as its producer set it.
    pub timestamp: i64,
    /// Its headers in order; names may repeat.
    pub headers: Vec<RecordHeader>,
}

impl Record {
    /// A record of this value alone.
    #[must_use]
    pub fn of(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), timestamp: 1_700_000_000_000, ..Self::default() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }

    /// The text of the last header of this name.
    ///
    /// # Panics
    /// When it is no UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(found, _)| found == name)?;
        value.as_deref().map(|value| std::str::from_utf8(value).expect("a header of text"))
    }

    /// `comux-status` and `comux-reason`.
    ///
    /// # Panics
    /// When there is no status.
    #[must_use]
    pub fn status(&self) -> (&str, Option<&str>) {
        let status = self.header("comux-status").expect("every output record has a status");
        (status, self.header("comux-reason"))
    }

    /// Whether every plugin saw its picture.
    #[must_use]
    pub fn is_analysed(&self) -> bool {
        self.status().0 == "analysed"
    }

    /// The value of a plugin's header, as a number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn number(&self, name: &str) -> f64 {
        let text = self.header(name).unwrap_or_else(|| panic!("no `{name}`: {:?}", self.status()));
        text.parse().unwrap_or_else(|_| panic!("`{name}` is no number: {text}"))
    }
}

/// Puts a record on a topic with a header more, whose name may be any bytes.
///
/// # Panics
/// When the broker does not take it.
pub fn produce_with_raw_header(topic: &str, record: &Record, name: &[u8]) {
    let headers = OwnedHeaders::new();
    let raw: *mut rd_kafka_headers_t = ptr::from_ref(headers.as_borrowed()).cast_mut().cast();
    let length = isize::try_from(name.len()).unwrap();
    // SAFETY: `headers` is alive and nobody else has it; the name and its length go together.
    unsafe { rd_kafka_header_add(raw, name.as_ptr().cast(), length, ptr::null(), 0) };
    let writer = Writer::new();
    writer.send_with(topic, record, headers);
    writer.flush();
}

/// All headers; a name that is no text with its bytes in hexadecimal, on which rdkafka would panic.
fn headers_of(headers: &BorrowedHeaders) -> Vec<RecordHeader> {
    let raw: *const rd_kafka_headers_t = ptr::from_ref(headers).cast();
    let header = |index| {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: `raw` is valid as long as `headers`; `index` is below their count, so `name` is a
        // C string, and `value` null or of `size` bytes, and both live as long.
        let (name, value) = unsafe {
            rd_kafka_header_get_all(raw, index, &raw mut name, &raw mut value, &raw mut size);
            let value: *const u8 = value.cast();
            let value =
                (!value.is_null()).then(|| std::slice::from_raw_parts(value, size).to_vec());
            (CStr::from_ptr(name).to_bytes(), value)
        };
        let text = std::str::from_utf8(name).map(str::to_owned);
        (text.unwrap_or_else(|_| name.escape_ascii().to_string()), value)
    };
    (0..headers.count()).map(header).collect()
}

/// Puts records on a topic, in order, and waits until the broker has them all.
///
/// # Panics
/// When the broker does not take one.
pub fn produce<'a>(topic: &str, records: impl IntoIterator<Item = &'a Record>) {
    static WRITER: LazyLock<Writer> = LazyLock::new(Writer::new);
    for record in records {
        WRITER.send(topic, record);
    }
    WRITER.flush();
}

/// A producer for who sends now and then.
pub struct Writer {
    producer: BaseProducer<Deliveries>,
    /// Topics that know the producer. A broker that is not ready for a topic yet may refuse the
    /// first batch and take the second; librdkafka would count both as delivered.
    known: Mutex<HashSet<String>>,
}

/// What the broker says of records; nothing is to go wrong with one.
#[derive(Default)]
struct Deliveries {
    failed: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            *self.failed.lock().unwrap() = Some(format!("{}: {error}", message.topic()));
        }
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A producer of its own.
    ///
    /// # Panics
    /// When the client can't be created.
    #[must_use]
    pub fn new() -> Self {
        let producer = client()
            .set("message.max.bytes", MAX_RECORD.to_string())
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .create_with_context(Deliveries::default());
        Self { producer: producer.unwrap(), known: Mutex::default() }
    }

    /// Hands a record over to the client.
    ///
    /// # Panics
    /// When it is no record that a broker could take, or does not take as the topic's first.
    pub fn send(&self, topic: &str, record: &Record) {
        self.send_with(topic, record, OwnedHeaders::new());
    }

    fn send_with(&self, topic: &str, record: &Record, before: OwnedHeaders) {
        let headers = record.headers.iter().fold(before, |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_ref() })
        });
        let mut message = BaseRecord::<[u8], [u8]>::to(topic)
            .partition(0)
            .timestamp(record.timestamp)
            .headers(headers);
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.producer.send(message) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    self.producer.poll(Duration::from_millis(100));
                }
                // A topic that was made again is unknown until the client looks for it.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::UnknownTopic), back))
                    if Instant::now() < deadline =>
                {
                    message = back;
                    // What it says shows in the next try.
                    let _ = self.producer.client().fetch_metadata(Some(topic), PATIENCE);
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err((error, _)) => panic!("producing to {topic}: {error}"),
            }
        }
        if self.known.lock().unwrap().insert(topic.to_owned()) {
            self.flush();
        }
    }

    /// Serves what the client has to do between two records.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until the broker has all records.
    ///
    /// # Panics
    /// When it does not take them.
    pub fn flush(&self) {
        let deadline = Instant::now() + PATIENCE;
        // The client's own `flush` looks every 100 ms only.
        while self.producer.in_flight_count() > 0 {
            assert!(Instant::now() < deadline, "the broker does not take what is produced");
            self.producer.poll(Duration::from_millis(10));
        }
        let failed = self.producer.context().failed.lock().unwrap().take();
        assert_eq!(failed, None, "the broker does not take what is produced");
    }
}

/// Follows topics from their beginning.
pub struct Reader {
    consumer: BaseConsumer,
    topics: String,
}

impl Reader {
    /// A reader at the beginning of a topic.
    ///
    /// # Panics
    /// When the client can't be created.
    #[must_use]
    pub fn new(topic: &str) -> Self {
        Self::of_all(&[topic.to_owned()])
    }

    /// A reader at the beginning of several topics, whose records come in any order.
    ///
    /// # Panics
    /// When the client can't be created.
    #[must_use]
    pub fn of_all(topics: &[String]) -> Self {
        let consumer: BaseConsumer = client()
            .set("group.id", "comux-tests")
            .set("enable.auto.commit", "false")
            .set("fetch.message.max.bytes", MAX_RECORD.to_string())
            .set("check.crcs", "true")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        for topic in topics {
            assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        }
        consumer.assign(&assignment).unwrap();
        Self { consumer, topics: topics.join(", ") }
    }

    /// The next `count` records.
    ///
    /// # Panics
    /// When none comes for [`PATIENCE`].
    pub fn take(&mut self, count: usize) -> Vec<Record> {
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            let next = self.next_within(PATIENCE);
            records.push(next.unwrap_or_else(|| {
                let there: Vec<usize> = self.topics.split(", ").map(record_count).collect();
                let inputs = self.topics.split(", ").map(|it| it.replace("stream_", "raw_"));
                let inputs: Vec<usize> =
                    inputs.filter(|it| topic_exists(it)).map(|it| record_count(&it)).collect();
                panic!(
                    "{}: record {} of {count} does not come; the broker has {there:?}, and \
                     {inputs:?} of what goes in",
                    self.topics,
                    records.len()
                )
            }));
        }
        records
    }

    /// The next record, when it comes in time.
    ///
    /// # Panics
    /// When the broker does not answer for that long.
    pub fn next_within(&mut self, patience: Duration) -> Option<Record> {
        let deadline = Instant::now() + patience;
        loop {
            match self.consumer.poll(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => return Some(owned(&message)),
                Some(Err(error)) if Instant::now() > deadline => {
                    panic!("consuming {}: {error}", self.topics)
                }
                // The topic may be about to be created.
                Some(Err(_)) => {}
                None => return None,
            }
        }
    }
}

/// The first `count` records of a topic, however long they take to arrive.
#[must_use]
pub fn consume(topic: &str, count: usize) -> Vec<Record> {
    Reader::new(topic).take(count)
}

/// The latest record of each key of a topic, as a compacted topic is read; a key whose last record
/// has no value is gone.
///
/// # Panics
/// When the broker does not answer, or a record has no key.
#[must_use]
pub fn latest(topic: &str) -> BTreeMap<String, Record> {
    let consumer: BaseConsumer = client()
        .set("group.id", "comux-tests")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        // Whoever waits for the end need not wait for more to come.
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut records = BTreeMap::new();
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                let record = owned(&message);
                let key = String::from_utf8(record.key.clone().expect("a key")).unwrap();
                if record.value.is_some() {
                    records.insert(key, record);
                } else {
                    records.remove(&key);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return records,
            Some(Err(_)) | None => {}
        }
    }
    panic!("{topic} has no end");
}

fn owned(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(headers_of);
    Record {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp: message.timestamp().to_millis().expect("a timestamp"),
        headers: headers.unwrap_or_default(),
    }
}
