//! Encoded video, from packets to frames: what a packet says ([`packet`]), libavcodec with the
//! rules for what may enter it ([`decode`]), decoded frames and what is computed of them
//! ([`frame`]), and reading files as cameras send them.
//!
//! It knows nothing of Kafka, of plugins and of the configuration.

#[cfg(test)]
mod clips;
pub mod decode;
mod demux;
pub mod frame;
pub mod packet;

pub use demux::{MediaPacket, MediaReader};
