//! What the fuzzers in `tests/fuzz` reach of the control plane, beside what is public: no logic.

pub use crate::control::wire::{CameraAnswer, ErrorCode, Refusal, result_fields};
use crate::control::wire::{CameraSelection, DeployFields, OneCamera, PerhapsOneCamera, Rollback};
pub use crate::control::wire::{CommandPositions, ControlRecord, MAX_VALUE};
pub use crate::control::wire::{Desired, Record, deleted_mark, patched};
use crate::control::wire::{Request, from_json};

/// Reads the fields of the actions that are not given a whole camera.
///
/// # Errors
/// With the key that is wrong.
pub fn read_fields(request: &Request) -> Result<(), Refusal> {
    match request.action.as_str() {
        "delete" | "reset" | "pause" | "resume" => request.fields::<OneCamera>().map(drop),
        "status" => request.fields::<PerhapsOneCamera>().map(drop),
        "deploy" => {
            let (_, fields) = CameraSelection::split(&request.value)?;
            from_json::<DeployFields>(fields).map(drop)
        }
        "rollback" => {
            let (_, fields) = CameraSelection::split(&request.value)?;
            from_json::<Rollback>(fields).map(drop)
        }
        _ => Ok(()),
    }
}
