//! The control plane as a whole: its start from the desired state, its loop, its end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use rdkafka::error::KafkaError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::actions::Actions;
use super::dispatch::Dispatcher;
use super::registry::{CameraView, Registry};
use crate::config::{Config, Id};
use crate::control::camera::{ActorContext, CameraReport};
use crate::control::topics::Publisher;
use crate::control::topics::{ControlConsumer, Incoming, Listener, StateRecord};
use crate::control::wire::{CameraAnswer, ErrorCode, Refusal, result_fields};
use crate::control::wire::{CameraCommand, Envelope};
use crate::control::wire::{CommandPositions, ControlRecord, Request};
use crate::control::wire::{Desired, Record};
use crate::host::Host;
use crate::kafka::TopicClients;
use crate::kafka::{TopicError, ensure_topic, reach};

/// Commands of the operator that are carried out at the same time; further ones wait on the topic.
const MOST_COMMANDS: usize = 64;
/// Commands of one tenant that are carried out at the same time; further ones are refused, so that
/// nobody waits for them.
const MOST_OF_A_TENANT: usize = 16;

/// How often components that are no longer used are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// The control plane can't start.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// The cluster or a topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A Kafka client.
    #[error("kafka (control): {0}; see `[kafka] properties`")]
    Client(#[from] KafkaError),
    /// A camera of the configuration file.
    #[error("camera `{camera}`: {refusal}")]
    Camera {
        /// The camera.
        camera: Id,
        /// What keeps it from running.
        refusal: Refusal,
    },
}

/// A running control plane.
pub struct ControlPlane {
    dispatcher: Dispatcher,
    listener: Arc<Listener>,
    serving: JoinHandle<()>,
    stop: watch::Sender<bool>,
    reports: mpsc::UnboundedReceiver<CameraReport>,
}

/// What the state topic says of a camera.
enum StateFound {
    /// It shall be this, or not be.
    Right(Record),
    /// The latest record is wrong; the one before it, if there is one, is still true.
    Wrong(Option<Record>, Refusal),
    /// It is deleted.
    Gone,
}

/// The state topic, read to its end.
#[derive(Default)]
struct PlaneState {
    cameras: BTreeMap<String, StateFound>,
    /// For cameras that are not there: the commands that led to that.
    deleted_by: HashMap<String, CommandPositions>,
}

impl ControlPlane {
    /// Starts all cameras that should run, and begins to listen. The topics of control exist; see
    /// [`ensure_topics`].
    ///
    /// # Errors
    /// When a topic of control can't be used, or a camera of the configuration file not start.
    pub async fn start(host: Arc<Host>, actions: Actions) -> Result<Self, ControlPlaneError> {
        let config = &host.config;
        let bus = Publisher::new(config)?;
        let mut consumer = ControlConsumer::new(config)?;
        let mut state = PlaneState::default();
        consumer.read_state(|record| state.add(record, config))?;

        let (stop, stopping) = watch::channel(false);
        let (reporter, reports) = mpsc::unbounded_channel();
        let PlaneState { cameras, deleted_by } = state;
        let shared = Arc::new(ActorContext {
            host: Arc::clone(&host),
            bus,
            registry: Registry::default(),
            deleted_by,
            stop: stopping,
            reports: reporter,
        });
        let dispatcher = Dispatcher { shared: Arc::clone(&shared), actions };
        // Offsets of commands stand still until all cameras are as they were.
        let (sender, incoming) = mpsc::channel(MOST_COMMANDS);
        let started = start_cameras(&dispatcher, cameras).await;
        let listening = match started {
            Ok(()) => {
                let listening = consumer.listen(Arc::clone(&shared.bus.writer), sender);
                listening.map_err(ControlPlaneError::from)
            }
            Err(error) => Err(error),
        };
        let listener = match listening {
            Ok(listener) => Arc::new(listener),
            Err(error) => {
                stop_cameras(&dispatcher, &stop).await;
                return Err(error);
            }
        };
        sweep(&dispatcher).await;
        let serving = tokio::spawn(serve(dispatcher.clone(), Arc::clone(&listener), incoming));
        Ok(Self { dispatcher, listener, serving, stop, reports })
    }

    /// What there is to see of the cameras.
    #[must_use]
    pub fn cameras(&self) -> Vec<CameraView> {
        self.dispatcher.shared.registry.views()
    }

    /// Stops all cameras: each gives out what it has received. Commands under way are given up.
    pub async fn stop(mut self) -> Vec<CameraReport> {
        stop_cameras(&self.dispatcher, &self.stop).await;
        self.serving.abort();
        let _ = self.serving.await;
        let listener = self.listener;
        // Its thread ends, and commits.
        let _ = tokio::task::spawn_blocking(move || drop(listener)).await;
        let mut reports: Vec<CameraReport> =
            std::iter::from_fn(|| self.reports.try_recv().ok()).collect();
        reports.sort_by(|a, b| a.spec.id.cmp(&b.spec.id));
        reports
    }
}

/// Sees to it that the topics of control exist.
///
/// # Errors
/// When one can't be created, or has more than one partition.
pub async fn ensure_topics(config: &Config) -> Result<(), ControlPlaneError> {
    let clients = TopicClients::new(&config.control, config)?;
    reach(&clients.consumer, &config.control.bootstrap_servers)?;
    let topics = &config.topics;
    let compacted: &[(&str, &str)] = &[("cleanup.policy", "compact")];
    let mut wanted = vec![
        (topics.control.clone(), &[][..]),
        (topics.status.clone(), &[]),
        (topics.state.clone(), compacted),
    ];
    for tenant in &config.tenants {
        wanted.push((topics.control_of(&tenant.id), &[]));
        wanted.push((topics.status_of(&tenant.id), &[]));
    }
    for (topic, settings) in wanted {
        if ensure_topic(&clients.consumer, &clients.admin, &topic, settings).await? {
            tracing::debug!(topic, "topic created");
        }
    }
    Ok(())
}

impl PlaneState {
    /// Takes one more record into account.
    fn add(&mut self, record: StateRecord, config: &Config) {
        let Ok(key) = String::from_utf8(record.key) else { return };
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
async fn start_cameras(
    dispatcher: &Dispatcher,
    found: BTreeMap<String, StateFound>,
) -> Result<(), ControlPlaneError> {
    let shared = &dispatcher.shared;
    let mut wanted: BTreeMap<Id, (Desired, bool)> = BTreeMap::new();
    for camera in &shared.host.config.cameras {
        wanted.insert(camera.id.clone(), (Desired::new(camera.clone()), true));
    }
    for (key, found) in found {
        let record = match found {
            StateFound::Gone => None,
            StateFound::Right(record) => Some(record),
            StateFound::Wrong(before, refusal) => {
                let message = format!("✘ state {key}: {refusal}");
                shared.bus.event("state-refused", &key, &message).await;
                // Without one before it, it stays: what this version can't read another one may.
                if let Some(Record::Camera(desired, _)) = &before {
                    let (value, commands) = (desired.to_json(), &desired.commands);
                    shared.bus.put_state(&key, Some(&value), commands).await?;
                }
                before
            }
        };
        match record {
            None => {}
            Some(Record::Deleted) => wanted.retain(|id, _| id.as_str() != key),
            Some(Record::Camera(desired, _)) => {
                let id = desired.spec.id.clone();
                if wanted.insert(id, (*desired, false)).is_some() {
                    tracing::info!(
                        camera = key,
                        "the state topic overrules the configuration file"
                    );
                }
            }
        }
    }
    let mut starting = Vec::with_capacity(wanted.len());
    for (id, (desired, is_of_file)) in wanted {
        let is_of_own_cluster = shared.host.config.has_own_clusters(&desired.spec.tenant);
        let (assignment, answered) = Envelope::answered(CameraCommand::Resume(Box::new(desired)));
        dispatcher.tell(&id, assignment);
        // What a tenant's own cluster does must not keep the others' cameras from running.
        starting.push((id, is_of_file && !is_of_own_cluster, answered));
    }
    for (camera, must_start, answered) in starting {
        let Ok(CameraAnswer { result: Err(refusal), .. }) = answered.await else { continue };
        if must_start {
            return Err(ControlPlaneError::Camera { camera, refusal });
        }
        let message = format!("✘ {camera} could not be started: {refusal}");
        tracing::error!(camera = camera.as_str(), "{message}");
        shared.bus.event("camera-stopped", camera.as_str(), &message).await;
    }
    Ok(())
}

async fn stop_cameras(dispatcher: &Dispatcher, stop: &watch::Sender<bool>) {
    stop.send_replace(true);
    let answers = FuturesUnordered::new();
    dispatcher.shared.registry.tell_all(|| {
        let (assignment, answered) = Envelope::answered(CameraCommand::Stop);
        answers.push(answered);
        assignment
    });
    answers.for_each(|_| std::future::ready(())).await;
}

/// Takes what comes in, as much at a time as may be. Commands reach each camera in the order in
/// which they were given.
async fn serve(
    dispatcher: Dispatcher,
    listener: Arc<Listener>,
    mut incoming: mpsc::Receiver<Incoming>,
) {
    let mut under_way = FuturesUnordered::new();
    // By whose command: a tenant's are refused beyond its share, the operator's wait.
    let mut counts: HashMap<Option<Id>, usize> = HashMap::new();
    let mut sweeps = tokio::time::interval(SWEEP_INTERVAL);
    sweeps.tick().await;
    let stopping = dispatcher.shared.stop.clone();
    loop {
        let of_operator = counts.get(&None).copied().unwrap_or_default();
        let takes = of_operator < MOST_COMMANDS && !*stopping.borrow();
        tokio::select! {
            _ = sweeps.tick() => sweep(&dispatcher).await,
            received = incoming.recv(), if takes => match received {
                None => return,
                // It comes again after the restart.
                Some(_) if *stopping.borrow() => {}
                Some(Incoming::Command(record)) => {
                    let count = counts.entry(record.scope.clone()).or_default();
                    *count += 1;
                    let is_too_much = record.scope.is_some() && *count > MOST_OF_A_TENANT;
                    under_way.push(obey(&dispatcher, &listener, record, is_too_much));
                }
                Some(Incoming::State(record)) => declare(&dispatcher, record).await,
            },
            Some(scope) = under_way.next() => {
                if let Some(count) = counts.get_mut(&scope) {
                    *count -= 1;
                }
            }
        }
    }
}

/// Removes the kept components that no camera runs or could go back to.
async fn sweep(dispatcher: &Dispatcher) {
    let mut pinned: HashMap<String, HashSet<_>> = HashMap::new();
    for view in dispatcher.shared.registry.views() {
        pinned.entry(view.spec.tenant.to_string()).or_default().extend(view.pinned);
    }
    let loader = dispatcher.shared.host.loader.clone();
    let swept = tokio::task::spawn_blocking(move || loader.retain(&pinned)).await;
    if let Ok(Err(error)) = swept {
        tracing::warn!(%error, "components that are no longer used can't be removed");
    }
}

/// Answers a command. Whose it was.
async fn obey(
    dispatcher: &Dispatcher,
    listener: &Listener,
    record: ControlRecord,
    is_too_much: bool,
) -> Option<Id> {
    let (origin, scope) = (record.origin.clone(), record.scope.clone());
    let bus = &dispatcher.shared.bus;
    match Request::parse(record) {
        Ok(request) => {
            if is_too_much {
                let message = format!("{MOST_OF_A_TENANT} commands are under way; await answers");
                let refused = Err(ErrorCode::Failed.because(message));
                bus.answer(&request, result_fields(&request.action, &refused)).await;
            } else if dispatcher.is_meant(&request) {
                let fields = dispatcher.carry_out(&request).await;
                bus.answer(&request, fields).await;
            }
        }
        Err(refused) => {
            let (request, refusal) = *refused;
            if dispatcher.is_meant(&request) {
                let what = if request.action.is_empty() { "command" } else { &request.action };
                bus.answer(&request, result_fields(what, &Err(refusal))).await;
            }
        }
    }
    listener.finish(&origin);
    scope
}

/// A person wrote onto the state topic.
async fn declare(dispatcher: &Dispatcher, record: StateRecord) {
    let key = String::from_utf8_lossy(&record.key).into_owned();
    if let Some(writer) = &record.writer {
        // To put it back would only make the other one put back ours.
        let message = format!(
            "✘ state {key}: written by {writer}: another instance has this one's name; give each its \
             own, or another `state` topic"
        );
        tracing::error!(camera = key, writer, "another instance of the same name is running");
        dispatcher.shared.bus.event("state-refused", &key, &message).await;
        return;
    }
    match Id::new(&key) {
        Ok(id) => {
            dispatcher.tell(&id, Envelope::internal(CameraCommand::Declare(record.value)));
        }
        Err(error) => {
            let message = format!("✘ state: the key must be a camera's id: {error}");
            dispatcher.shared.bus.event("state-refused", &key, &message).await;
        }
    }
}
