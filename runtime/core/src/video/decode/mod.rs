//! From access units to frames, each known by the record it came from.

mod buffers;
mod complaints;
mod coverage;
mod decoder;
mod gate;
mod workers;

pub use decoder::{Decoded, Decoder, DecoderError, Fidelity, WasSent};
pub use gate::{Gate, LagLimits, Lateness, Passage};
