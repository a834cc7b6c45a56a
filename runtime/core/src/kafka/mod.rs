//! Kafka clients as comux sets them up, and the topics they need.

mod acceptance;
mod bootstrap;
mod camera_topics;
mod checkpoint;
mod client_pool;
mod compaction;
mod headers;
mod incarnation;
mod introduction;
mod lag;
mod outage;
mod producer;
mod properties;
mod settings;
mod sink;
mod source;
mod topic_clients;
mod topics;

pub use acceptance::Acceptance;
pub(crate) use bootstrap::bootstrap_if_lost;
pub use camera_topics::{CameraTopics, TopicWarning, ensure_camera_topics};
pub use checkpoint::{Acknowledged, Checkpoint, GopStart};
pub use client_pool::ClientPool;
pub use compaction::{Compaction, ensure_compacted};
pub use headers::{each_header, text_header};
pub use incarnation::{Incarnation, source};
pub use introduction::Introduction;
pub use producer::{Outgoing, PolledProducer};
pub use properties::{Logging, Quiet, consumer_config, is_outage, producer_config};
pub use sink::{Measured, OutputTopic, PacketSink, ProduceError, RecordFacts, with_results};
pub use source::CameraQueue;
pub use topic_clients::TopicClients;
pub use topics::{TopicError, ensure_topic, reach, watermarks};

/// A camera's topics have one partition: order is per partition.
pub const PARTITION: i32 = 0;
