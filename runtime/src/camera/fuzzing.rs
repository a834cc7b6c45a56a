//! What the fuzzers in `tests/fuzz` reach of cameras, beside what is public: no logic.

pub use super::received::{keyframe_header, pts_us};
