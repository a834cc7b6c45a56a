//! What a camera is asked for, from whom, and where to answer.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::answer::{CameraAnswer, Refusal};
use super::desired::Desired;
use super::fields::Rollback;
use super::request::Origin;
use crate::config::{CameraTable, Id};
use crate::control::camera::Deploy;

/// What a camera is asked for.
#[derive(Debug, Clone)]
pub(crate) enum CameraCommand {
    /// Be as it was when the instance ended, or as the configuration file says.
    Resume(Box<Desired>),
    Create(Box<CameraTable>),
    /// A merge patch over the camera.
    Update(Map<String, Value>),
    Delete,
    Pause(bool),
    Deploy(Arc<Deploy>),
    /// Go back to what a plugin took the place of.
    Rollback(Rollback),
    /// Be as a person wrote onto the state topic. `None`: not at all.
    Declare(Option<Vec<u8>>),
    /// The thread of its start with this number has ended.
    Ended(u64),
    /// The instance ends.
    Stop,
}

/// A job, from whom, and where to answer.
pub(crate) struct Envelope {
    pub job: CameraCommand,
    /// The tenant whose own control topic it came on: what is the operator's is not for it.
    pub scope: Option<Id>,
    /// The tenant whose cameras it may reach; absent: all.
    pub reach: Option<Id>,
    pub origin: Option<Origin>,
    pub reply: Option<oneshot::Sender<CameraAnswer>>,
}

impl Envelope {
    /// A job of the instance itself, that nobody waits for.
    pub fn internal(job: CameraCommand) -> Self {
        Self { job, scope: None, reach: None, origin: None, reply: None }
    }

    /// A job of the instance itself, and where its answer comes.
    pub fn answered(job: CameraCommand) -> (Self, oneshot::Receiver<CameraAnswer>) {
        let (reply, answered) = oneshot::channel();
        (Self { reply: Some(reply), ..Self::internal(job) }, answered)
    }
}

/// What a job gave.
pub(crate) type Done = Result<String, Refusal>;
