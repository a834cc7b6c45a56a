//! Why a camera stops although nobody told it to.

/// A camera stopped although it was not told to, or can't be as it is told.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// Its decoder can't run.
    #[error(transparent)]
    Decoder(#[from] crate::video::decode::DecoderError),
    /// libavcodec can't cut its stream.
    #[error("libavcodec has no parser for this codec; use framing = \"packet\"")]
    NoParser,
    /// The broker refused a record that was sent alone, and nothing behind it left.
    #[error(
        "the record {source_of} can't leave for `{topic}`: {why}; nothing behind it has left. \
         `comux control resume`, or a restart, goes on with it; `on_refused` set to \"skip\" or \
         \"dead-letter\" goes on without such records"
    )]
    Refused {
        /// The topic that refused it.
        topic: String,
        /// `topic/partition/offset` of the record.
        source_of: String,
        /// The cause, and what to do.
        why: String,
    },
    /// The broker refused records that it was sure to take.
    #[error(
        "the topic `{topic}` refused a record, or one that was sent with it: {cause}. It takes \
         less than it did: mend that, and `resume` or restart; what was on its way comes again"
    )]
    Output {
        /// The topic that refused it.
        topic: String,
        /// What the broker says.
        cause: rdkafka::error::KafkaError,
    },
    /// The output topic was deleted; nothing of what was refused for that is there.
    #[error("the output topic `{topic}` was deleted")]
    OutputGone {
        /// The topic.
        topic: String,
    },
    /// The input can't be read.
    #[error("the input topic can't be read: {0}")]
    Input(rdkafka::error::KafkaError),
    /// A defect of comux.
    #[error("the camera's thread panicked; this is a defect of comux, please report it")]
    Panicked,
}

/// The camera's thread has ended, and takes no more commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the camera has stopped")]
pub struct Stopped;
