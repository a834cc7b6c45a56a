//! Kafka clients as comux sets them up, and the topics they need.

mod clients;
mod headers;
mod polled;
mod topics;

pub use clients::{Logging, Quiet, consumer_config, producer_config};
pub use headers::{each_header, text_header};
pub use polled::{Outgoing, Polled};
pub use topics::{TopicError, ensure_topic, largest_record, reach, watermarks};

/// A camera's topics have one partition: order is per partition.
pub const PARTITION: i32 = 0;
