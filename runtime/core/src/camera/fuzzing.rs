//! What the fuzzers in `tests/fuzz` reach of cameras, beside what is public: no logic.

pub use super::input_record::{keyframe_header, pts_us};
