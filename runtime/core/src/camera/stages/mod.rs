//! What a record passes on its camera, one file each; [`super::frame_path`] and [`super::pipeline`]
//! put them together.

pub(super) mod admission;
pub(super) mod damage;
pub(super) mod decode;
mod decode_load;
mod decode_threads;
pub(super) mod diagnosis;
mod discard;
pub(super) mod intake;
mod linger;
pub(super) mod output;
pub(super) mod rate;
mod refusal;
mod repeats;
