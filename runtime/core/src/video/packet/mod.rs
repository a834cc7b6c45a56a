//! What can be said of encoded video without decoding it.
//!
//! The key-frame gate needs to know where decoding can begin, and the ledger which records hold
//! a picture at all; asking the decoder would be too late for both.

pub(crate) mod annexb;
mod av1;
mod codec;
mod guess;
mod h264;
mod h265;
mod inspect;
mod inspector;
mod mpeg;
mod nal;
mod parameter_sets;
mod splitter;
mod still;
mod vp8;
mod vp9;

pub use annexb::lengths_to_start_codes;
pub use codec::{Codec, UnknownCodec};
pub use guess::looks_like;
pub(crate) use h265::block_size;
pub use inspect::{Content, Inspection, Lack};
pub use inspector::Inspector;
pub use parameter_sets::ParameterSets;
pub use splitter::{Splitter, Unit};
