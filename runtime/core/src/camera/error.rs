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
    /// The broker refused a record for good.
    #[error(
        "the output topic refused a record: {0}; if it is too large, raise the topic's \
         max.message.bytes above that of the input topic, and resume or restart: no record is lost"
    )]
    Output(rdkafka::error::KafkaError),
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
