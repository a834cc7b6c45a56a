//! Kafka clients as comux sets them up, and the topics they need.

mod checkpoint;
mod client_pool;
mod compaction;
mod headers;
mod lag;
mod producer;
mod properties;
mod sink;
mod source;
mod topics;

pub use checkpoint::{Checkpoint, GopStart};
pub use client_pool::{ClientPool, TopicClients};
pub use compaction::{Compaction, ensure_compacted};
pub use headers::{each_header, text_header};
pub use producer::{Outgoing, PolledProducer};
pub use properties::{Logging, Quiet, consumer_config, producer_config};
pub use sink::{PacketSink, ProduceError, RecordFacts, with_results};
pub use source::CameraQueue;
pub use topics::{TopicError, ensure_topic, largest_record, reach, watermarks};

/// A camera's topics have one partition: order is per partition.
pub const PARTITION: i32 = 0;
