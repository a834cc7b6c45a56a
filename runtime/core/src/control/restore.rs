//! The start from the desired state: what the state topic says, beside what the configuration file
//! says.

use std::collections::{BTreeMap, HashMap};

use rdkafka::error::KafkaError;

use super::dispatch::Dispatcher;
use crate::config::{Config, Id};
use crate::control::topics::{INPUT, PROCESS, StateRecord};
use crate::control::wire::{
    CameraAnswer, CameraCommand, CommandPositions, Desired, Envelope, NodeProcess, Record, Refusal,
    Succession,
};
use crate::kafka::{Incarnation, TopicError};

/// The control plane can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlPlaneError {
    /// The cluster or a topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Retention would delete what was accepted.
    #[error(
        "the state topic `{topic}` has `cleanup.policy={policy}`, and the broker does not let this \
         client change it; set it to `cleanup.policy=compact`, or allow this client to alter it: \
         else what commands have changed is forgotten by and by"
    )]
    NotCompacted {
        /// The topic.
        topic: String,
        /// Its policy.
        policy: String,
    },
    /// A Kafka client.
    #[error("kafka (control): {0}; see `[kafka] properties`")]
    Client(#[from] KafkaError),
    /// Another process came later.
    #[error(
        "{process} has this node's name, and came later: it runs the cameras. Two nodes that \
         run at once need two names"
    )]
    TakenOver {
        /// That one.
        process: NodeProcess,
    },
    /// Where the node keeps what is its own.
    #[error("state_dir: {0}; choose another `state_dir`")]
    StateDir(#[from] std::io::Error),
    /// A camera of the configuration file.
    #[error("camera `{camera}`: {refusal}")]
    Camera {
        /// The camera.
        camera: Id,
        /// What keeps it from running.
        refusal: Refusal,
    },
}

/// What the state topic says of a camera.
pub(crate) enum StateFound {
    /// It shall be this, or not be.
    Right(Record),
    /// The latest record is wrong; the one before it, if there is one, is still true.
    Wrong(Option<Record>, Refusal),
    /// It is deleted.
    Gone,
}

/// The state topic, read to its end.
#[derive(Default)]
pub(crate) struct PlaneState {
    pub cameras: BTreeMap<String, StateFound>,
    /// For cameras that are not there: the commands that led to that.
    pub deleted_by: HashMap<String, CommandPositions>,
    /// The topics that cameras consume.
    pub inputs: HashMap<String, Incarnation>,
    /// The processes of this node's name.
    pub succession: Succession,
}

impl PlaneState {
    /// Takes one more record into account.
    pub fn add(&mut self, record: StateRecord, config: &Config) {
        let Ok(key) = String::from_utf8(record.key) else { return };
        if key.starts_with(PROCESS) {
            self.succession.note(&key, record.value.as_deref());
            return;
        }
        if let Some(camera) = key.strip_prefix(INPUT) {
            // What can't be read is not known, and then the offsets must do.
            let input = record.value.and_then(|value| serde_json::from_slice(&value).ok());
            match input {
                Some(input) => _ = self.inputs.insert(camera.to_owned(), input),
                None => _ = self.inputs.remove(camera),
            }
            return;
        }
        let commands = CommandPositions::parse(record.commands.as_deref().unwrap_or_default());
        let new = match &record.value {
            None => StateFound::Gone,
            Some(value) => match Record::parse(&key, value, commands.clone(), config) {
                Ok(record) => StateFound::Right(record),
                Err(refusal) => match self.cameras.remove(&key) {
                    Some(StateFound::Right(before)) => StateFound::Wrong(Some(before), refusal),
                    Some(StateFound::Wrong(before, _)) => StateFound::Wrong(before, refusal),
                    Some(StateFound::Gone) | None => StateFound::Wrong(None, refusal),
                },
            },
        };
        if matches!(new, StateFound::Gone | StateFound::Right(Record::Deleted)) {
            self.deleted_by.insert(key.clone(), commands);
        }
        self.cameras.insert(key, new);
    }
}

/// Starts what the topic says, and beside it what the file says of cameras that the topic does not
/// know. Only the file's must start: what was accepted once may meet another world now, and must
/// not keep the others from running.
pub(crate) async fn start_cameras(
    dispatcher: &Dispatcher,
    found: BTreeMap<String, StateFound>,
) -> Result<(), ControlPlaneError> {
    let context = &dispatcher.context;
    let mut wanted: BTreeMap<Id, (Desired, bool)> = BTreeMap::new();
    for camera in &context.host.config.cameras {
        wanted.insert(camera.id.clone(), (Desired::new(camera.clone()), true));
    }
    for (key, found) in found {
        let record = match found {
            StateFound::Gone => None,
            StateFound::Right(record) => Some(record),
            StateFound::Wrong(before, refusal) => {
                let message = format!("✘ state {key}: {refusal}");
                context.publisher.event("state-refused", &key, &message).await;
                // Without one before it, it stays: what this version can't read another one may.
                if let Some(Record::Camera(desired, _)) = &before {
                    let (value, commands) = (desired.to_json(), &desired.commands);
                    context.publisher.put_state(&key, Some(&value), commands).await?;
                }
                before
            }
        };
        match record {
            None => {}
            Some(Record::Deleted) => {
                let before = wanted.len();
                wanted.retain(|id, _| id.as_str() != key);
                if wanted.len() < before {
                    tracing::warn!(
                        camera = key,
                        "it does not run: it is in the configuration file, and a command has \
                         deleted it; `comux control reset '{{\"id\": \"{key}\"}}'` gives it back"
                    );
                }
            }
            Some(Record::Camera(desired, _)) => {
                let id = desired.spec.id.clone();
                if wanted.insert(id, (*desired, false)).is_some() {
                    tracing::info!(
                        camera = key,
                        "the state topic overrules the configuration file; `reset` gives the \
                         camera back to the file"
                    );
                }
            }
        }
    }
    let mut starting = Vec::with_capacity(wanted.len());
    for (id, (desired, is_of_file)) in wanted {
        let is_of_own_cluster = context.host.config.has_own_clusters(&desired.spec.tenant);
        let (envelope, answered) = Envelope::internal(CameraCommand::Resume(Box::new(desired)));
        dispatcher.tell(&id, envelope);
        // What a tenant's own cluster does must not keep the others' cameras from running.
        starting.push((id, is_of_file && !is_of_own_cluster, answered));
    }
    for (camera, must_start, answered) in starting {
        let Ok(CameraAnswer { result: Err(refusal), .. }) = answered.await else { continue };
        if must_start {
            return Err(ControlPlaneError::Camera { camera, refusal });
        }
        let message = format!("✘ {camera} could not be started: {refusal}");
        tracing::error!(camera = camera.as_str(), error = %refusal, "a camera could not be started");
        context.publisher.event("camera-stopped", camera.as_str(), &message).await;
    }
    Ok(())
}
