//! What a record passes on its camera, one file each; [`super::pipeline`] puts them together.

mod decode_load;
mod discard;
pub(crate) mod linger;
mod output;
mod rate;

pub(crate) use decode_load::DecodeLoad;
pub(crate) use discard::Discard;
pub(crate) use linger::Linger;
pub(crate) use output::Output;
pub(crate) use rate::RateLimiter;
