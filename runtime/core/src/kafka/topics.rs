//! Topics: whether they are there, and creating them.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;

use crate::kafka::PARTITION;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A topic can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// No broker answers.
    #[error(
        "Kafka at `{servers}` does not answer within {} s: {cause}; \
         check `bootstrap_servers` and credentials, and that the broker runs", PATIENCE.as_secs()
    )]
    Unreachable {
        /// The address.
        servers: String,
        /// What librdkafka says.
        cause: KafkaError,
    },
    /// It is not there and could not be created.
    #[error(
        "topic `{topic}` does not exist and could not be created: {reason}; create it with one \
         partition, or allow this client to create topics"
    )]
    Missing {
        /// The topic.
        topic: String,
        /// Why it could not be created.
        reason: String,
    },
    /// It has more than one partition.
    #[error(
        "topic `{topic}` has {partitions} partitions; a camera's topic has one, because records \
         keep their order only within a partition"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// How many it has.
        partitions: usize,
    },
}

/// Checks that the cluster answers.
///
/// # Errors
/// When it does not.
pub fn reach<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    servers: &str,
) -> Result<(), TopicError> {
    let answer = consumer.fetch_metadata(Some("comux-reach"), PATIENCE);
    let servers = servers.to_owned();
    answer.map(drop).map_err(|cause| TopicError::Unreachable { servers, cause })
}

/// Sees to it that `topic` exists with one partition. `true`: it was created, with these
/// `settings`.
///
/// # Errors
/// When it can't be created, or has more partitions.
pub async fn ensure_topic<C: ConsumerContext, A: ClientContext + 'static>(
    consumer: &BaseConsumer<C>,
    admin: &AdminClient<A>,
    topic: &str,
    settings: &[(&str, &str)],
) -> Result<bool, TopicError> {
    match partitions(consumer, topic) {
        Some(1) => return Ok(false),
        Some(partitions) if partitions > 1 => {
            return Err(TopicError::Partitions { topic: topic.to_owned(), partitions });
        }
        _ => {}
    }
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let create = async |settings: &[(&str, &str)]| {
        // -1: as many replicas as the broker's default.
        let new = NewTopic::new(topic, 1, TopicReplication::Fixed(-1));
        let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
        let results = admin.create_topics([&new], &options).await.map_err(|it| it.to_string())?;
        match results.into_iter().next() {
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(Ok(())),
            Some(Err((_, code))) => Ok(Err(code)),
        }
    };
    let missing = |reason: String| TopicError::Missing { topic: topic.to_owned(), reason };
    let mut created = create(settings).await.map_err(missing)?;
    if created == Err(RDKafkaErrorCode::InvalidConfig) {
        // An older broker does not know all settings.
        created = create(&[]).await.map_err(missing)?;
    }
    created.map(|()| true).map_err(|code| missing(code.to_string()))
}

/// The first offset of a topic, and the one behind its last record. Topics that were created a
/// moment ago are waited for.
///
/// # Errors
/// When the broker can't say.
pub fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
) -> Result<(i64, i64), KafkaError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.fetch_watermarks(topic, PARTITION, PATIENCE) {
            Err(error) if is_not_known_yet(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            answer => return answer,
        }
    }
}

fn is_not_known_yet(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        LeaderNotAvailable, UnknownPartition, UnknownTopic, UnknownTopicOrPartition,
    };
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| {
        [LeaderNotAvailable, UnknownPartition, UnknownTopic, UnknownTopicOrPartition]
            .contains(&code)
    })
}

/// How many partitions a topic has. `None`: it does not exist.
fn partitions<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> Option<usize> {
    of_metadata(consumer, topic, |topic| topic.partitions().len())
}

/// How many replicas of a topic there are. `None`: the broker does not tell.
pub(super) fn replicas<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
) -> Option<usize> {
    of_metadata(consumer, topic, |topic| {
        topic.partitions().first().map_or(0, |partition| partition.replicas().len())
    })
}

fn of_metadata<T, C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    look: impl Fn(&MetadataTopic) -> T,
) -> Option<T> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).ok()?;
    let topic = metadata.topics().iter().find(|found| found.name() == topic)?;
    (topic.error().is_none() && !topic.partitions().is_empty()).then(|| look(topic))
}
