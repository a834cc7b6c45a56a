//! What goes over the control topics: requests with their fields, answers, and the desired state of
//! a camera. Parsed at the edge, so that inside there are only values that can be right.

mod answer;
mod command;
mod desired;
mod fields;
mod process;
mod request;

pub use answer::{
    CameraAnswer, Cut, ErrorCode, Refusal, StepTimes, SwapReport, counted, result_fields,
};
pub(crate) use command::{
    CameraCommand, Deploy, Done, Envelope, Rollback, RolloutOptions, Wanted, WantedPlugin,
};
pub use desired::{Desired, Record, deleted_mark, patched};
pub(crate) use fields::{CameraSelection, Canary, DeployFields, OneCamera, PerhapsOneCamera};
pub use process::NodeProcess;
pub(crate) use process::Succession;
pub use request::{CommandPositions, ControlRecord, MAX_VALUE, Origin, Request, Target, from_json};
