//! From access units to frames, each known by the record it came from.

mod buffers;
mod complaints;
mod coverage;
mod decoder;
mod gate;
mod open;
mod workers;

pub use decoder::{Decoded, Decoder, WasSent};
pub use gate::{Gate, LagLimits, Lateness, Passage};
pub use open::{DecoderError, Fidelity};
