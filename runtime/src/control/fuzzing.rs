//! What the fuzzers in `tests/fuzz` reach of the control plane, beside what is public: no logic.

pub use super::answer::{CameraAnswer, Kind, Refusal, result_fields};
pub use super::desired::{Desired, Record, deleted_mark, patched};
use super::fields::{Cameras, DeployFields, OneCamera, PerhapsOneCamera, Rollback};
pub use super::request::{Commands, ControlRecord, MAX_VALUE};
use super::request::{Request, from_json};

/// Reads the fields of the actions that are not given a whole camera.
///
/// # Errors
/// With the key that is wrong.
pub fn read_fields(request: &Request) -> Result<(), Refusal> {
    match request.action.as_str() {
        "delete" | "pause" | "resume" => request.fields::<OneCamera>().map(drop),
        "status" => request.fields::<PerhapsOneCamera>().map(drop),
        "deploy" => {
            let (_, fields) = Cameras::split(&request.value)?;
            from_json::<DeployFields>(fields).map(drop)
        }
        "rollback" => {
            let (_, fields) = Cameras::split(&request.value)?;
            from_json::<Rollback>(fields).map(drop)
        }
        _ => Ok(()),
    }
}
