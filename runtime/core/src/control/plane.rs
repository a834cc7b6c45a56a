//! The control plane as a whole: its start from the desired state, its loop, its end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::actions::Actions;
use super::dispatch::Dispatcher;
use super::registry::{CameraView, Registry};
use super::restore::{ControlPlaneError, PlaneState, start_cameras};
use super::succession::{Tenure, take_over};
use crate::config::{Config, Id};
use crate::control::camera::{CameraReport, ControlContext};
use crate::control::topics::{Change, ControlConsumer, Incoming, Listener, Publisher, StateRecord};
use crate::control::wire::{
    CameraCommand, ControlRecord, Envelope, ErrorCode, NodeProcess, Request, result_fields,
};
use crate::host::Host;
use crate::kafka::{Compaction, TopicClients, ensure_compacted, ensure_topic, reach};

/// Commands of the operator that are executed at the same time, with what people write onto the
/// state topic; further ones wait in Kafka.
const MOST_COMMANDS: usize = 64;
/// Commands of one tenant that are executed at the same time; further ones are refused, so that
/// nobody waits for them.
const MOST_OF_A_TENANT: usize = 16;
/// Refusals beyond a tenant's share that wait for their acknowledgement; then nothing is taken
/// until the broker has caught up.
const MOST_REFUSALS: usize = 64;

/// How often components that are no longer used are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// How often counters are looked at, so that `status` can tell what is recent.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);

/// A running control plane.
pub struct ControlPlane {
    dispatcher: Dispatcher,
    listener: Arc<Listener>,
    serving: JoinHandle<()>,
    stop: watch::Sender<bool>,
    reports: mpsc::UnboundedReceiver<CameraReport>,
    tenure: Arc<Tenure>,
    successor: watch::Receiver<Option<NodeProcess>>,
}

impl ControlPlane {
    /// Starts all cameras that should run, and begins to listen. The topics of control exist; see
    /// [`ensure_topics`].
    ///
    /// # Errors
    /// When a topic of control can't be used, or a camera of the configuration file not start.
    pub async fn start(host: Arc<Host>, actions: Actions) -> Result<Self, ControlPlaneError> {
        let config = &host.config;
        let publisher = Publisher::new(config)?;
        let mut consumer = ControlConsumer::new(config)?;
        let mut state = PlaneState::default();
        consumer.read_state(|record| state.add(record, config))?;
        let this = NodeProcess::this(&config.state_dir)?;
        take_over(&this, &mut consumer, &publisher, (&mut state, config)).await?;
        let tenure = Arc::new(Tenure::new(this, publisher.clone()));
        let started = Self::start_as_only_one(host, actions, (publisher, consumer), state, &tenure);
        let started = started.await;
        if started.is_err() {
            tenure.end().await;
        }
        started
    }

    async fn start_as_only_one(
        host: Arc<Host>,
        actions: Actions,
        (publisher, consumer): (Publisher, ControlConsumer),
        state: PlaneState,
        tenure: &Arc<Tenure>,
    ) -> Result<Self, ControlPlaneError> {
        let config = &host.config;
        let (stop, stopping) = watch::channel(false);
        let (reporter, reports) = mpsc::unbounded_channel();
        let PlaneState { cameras, deleted_by, inputs, .. } = state;
        let context = Arc::new(ControlContext {
            host: Arc::clone(&host),
            publisher,
            registry: Registry::default(),
            deleted_by,
            inputs,
            // Beside commands: the first, to run, and the last, to stop.
            mailbox: most_executed(config) + 2,
            stop: stopping,
            reports: reporter,
        });
        let dispatcher = Dispatcher { context: Arc::clone(&context), actions };
        // Offsets of commands stand still until all cameras are as they were.
        let (sender, incoming) = mpsc::channel(MOST_COMMANDS);
        let started = start_cameras(&dispatcher, cameras).await;
        let listening = match started {
            Ok(()) => {
                let listening = consumer.listen(Arc::clone(&context.publisher.writer), sender);
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
        let (tell, successor) = watch::channel(None);
        let served = (Arc::clone(&listener), incoming);
        let serving = tokio::spawn(serve(dispatcher.clone(), served, Arc::clone(tenure), tell));
        let tenure = Arc::clone(tenure);
        Ok(Self { dispatcher, listener, serving, stop, reports, tenure, successor })
    }

    /// What there is to see of the cameras.
    #[must_use]
    pub fn cameras(&self) -> Vec<CameraView> {
        self.dispatcher.context.registry.views()
    }

    /// Waits until another process of this node's name waits for this one's end.
    pub async fn successor(&self) -> NodeProcess {
        let mut successor = self.successor.clone();
        match successor.wait_for(Option::is_some).await.map(|found| found.clone()) {
            Ok(Some(successor)) => successor,
            _ => std::future::pending().await,
        }
    }

    /// Stops all cameras: each gives out what it has received. Commands under way are given up.
    /// Once what is acknowledged is committed, the tenure is to be ended.
    pub(crate) async fn stop(mut self) -> (Vec<CameraReport>, Arc<Tenure>) {
        stop_cameras(&self.dispatcher, &self.stop).await;
        self.serving.abort();
        let _ = self.serving.await;
        let listener = self.listener;
        // Its thread ends, and commits.
        let _ = tokio::task::spawn_blocking(move || drop(listener)).await;
        let mut reports: Vec<CameraReport> =
            std::iter::from_fn(|| self.reports.try_recv().ok()).collect();
        reports.sort_by(|a, b| a.spec.id.cmp(&b.spec.id));
        (reports, self.tenure)
    }
}

/// Sees to it that the topics of control exist.
///
/// # Errors
/// When one can't be created, or has more than one partition, or the state topic is not compacted
/// and can't be made so.
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
    // It may have been there before, made by somebody who did not know what it is for.
    let topic = topics.state.clone();
    match ensure_compacted(&clients, &topic).await {
        Compaction::InPlace => Ok(()),
        Compaction::Mended { policy } => {
            tracing::warn!(topic, policy, "the state topic was not compacted, and is now");
            Ok(())
        }
        Compaction::Refused { policy } => Err(ControlPlaneError::NotCompacted { topic, policy }),
    }
}

async fn stop_cameras(dispatcher: &Dispatcher, stop: &watch::Sender<bool>) {
    stop.send_replace(true);
    let answers = FuturesUnordered::new();
    dispatcher.context.registry.tell_all(|| {
        let (envelope, answered) = Envelope::internal(CameraCommand::Stop);
        answers.push(answered);
        envelope
    });
    answers.for_each(|_| std::future::ready(())).await;
}

/// Takes what comes in, as much at a time as may be. Commands reach each camera in the order in
/// which they were given.
async fn serve(
    dispatcher: Dispatcher,
    (listener, mut incoming): (Arc<Listener>, mpsc::Receiver<Incoming>),
    tenure: Arc<Tenure>,
    successor: watch::Sender<Option<NodeProcess>>,
) {
    let most_under_way = most_executed(&dispatcher.context.host.config) + MOST_REFUSALS;
    let mut under_way = FuturesUnordered::new();
    // By whose command: a tenant's are refused beyond its share, the operator's wait.
    let mut counts: HashMap<Option<Id>, usize> = HashMap::new();
    let mut sweeps = tokio::time::interval(SWEEP_INTERVAL);
    sweeps.tick().await;
    let mut samples = tokio::time::interval(SAMPLE_INTERVAL);
    let context = &dispatcher.context;
    loop {
        let of_operator = counts.get(&None).copied().unwrap_or_default();
        let has_room = of_operator < MOST_COMMANDS && under_way.len() < most_under_way;
        let takes = has_room && !context.is_stopping();
        tokio::select! {
            _ = sweeps.tick() => sweep(&dispatcher).await,
            _ = samples.tick() => {
                let now = Instant::now();
                context.registry.views().iter().for_each(|view| view.stats.sample(now));
            }
            received = incoming.recv(), if takes => match received {
                None => return,
                // It comes again after the restart.
                Some(_) if context.is_stopping() => {}
                Some(Incoming::Process(record)) => {
                    yield_to(&tenure, &record, &successor).await;
                }
                Some(Incoming::Change(change)) => {
                    let scope = change.scope().cloned();
                    let count = counts.entry(scope.clone()).or_default();
                    *count += 1;
                    let is_too_much = scope.is_some() && *count > MOST_OF_A_TENANT;
                    // What is pushed first is polled first, and so sent to its camera first.
                    under_way.push(handle(&dispatcher, &listener, change, is_too_much));
                }
            },
            Some(scope) = under_way.next() => {
                if let Some(count) = counts.get_mut(&scope) {
                    *count -= 1;
                }
            }
        }
    }
}

/// How many commands may be executed at the same time.
fn most_executed(config: &Config) -> usize {
    MOST_COMMANDS + MOST_OF_A_TENANT * config.tenants.len()
}

/// Removes the kept components that no camera runs or could go back to.
async fn sweep(dispatcher: &Dispatcher) {
    let mut pinned: HashMap<String, HashSet<_>> = HashMap::new();
    for view in dispatcher.context.registry.views() {
        pinned.entry(view.spec.tenant.to_string()).or_default().extend(view.pinned);
    }
    let loader = dispatcher.context.host.loader.clone();
    let swept = tokio::task::spawn_blocking(move || loader.retain(&pinned)).await;
    if let Ok(Err(error)) = swept {
        tracing::warn!(%error, "components that are no longer used can't be removed");
    }
}

/// Another process's record: if it waits for this one to stop, tells it that it will.
async fn yield_to(
    tenure: &Tenure,
    record: &StateRecord,
    successor: &watch::Sender<Option<NodeProcess>>,
) {
    let value = record.value.as_deref();
    let process = value.and_then(|value| serde_json::from_slice::<NodeProcess>(value).ok());
    let Some(process) = process.filter(|process| !process.stops) else { return };
    if let Err(error) = tenure.stops().await {
        tracing::warn!(%error, "another process was not told that this one stops");
    }
    successor.send_replace(Some(process));
}

/// Does what is asked for. Gives who asked.
async fn handle(
    dispatcher: &Dispatcher,
    listener: &Listener,
    change: Change,
    is_too_much: bool,
) -> Option<Id> {
    let scope = change.scope().cloned();
    match change {
        Change::Command(record) => answer(dispatcher, listener, record, is_too_much).await,
        Change::State(record) => declare(dispatcher, record).await,
    }
    scope
}

/// Answers a command.
async fn answer(
    dispatcher: &Dispatcher,
    listener: &Listener,
    record: ControlRecord,
    is_too_much: bool,
) {
    let origin = record.origin.clone();
    let publisher = &dispatcher.context.publisher;
    match Request::parse(record) {
        Ok(request) => {
            if is_too_much {
                let message = format!("{MOST_OF_A_TENANT} commands are under way; await answers");
                let refused = Err(ErrorCode::Failed.because(message));
                publisher.answer(&request, result_fields(&request.action, &refused)).await;
            } else if dispatcher.is_meant(&request) {
                let fields = dispatcher.execute(&request).await;
                publisher.answer(&request, fields).await;
            }
        }
        Err(refused) => {
            let (request, refusal) = *refused;
            if dispatcher.is_meant(&request) {
                let what = if request.action.is_empty() { "command" } else { &request.action };
                publisher.answer(&request, result_fields(what, &Err(refusal))).await;
            }
        }
    }
    listener.finish(&origin);
}

/// A person wrote onto the state topic.
async fn declare(dispatcher: &Dispatcher, record: StateRecord) {
    let key = String::from_utf8_lossy(&record.key).into_owned();
    if let Some(writer) = &record.writer {
        // To put it back would only make the other one put back ours.
        let message = format!(
            "✘ state {key}: written by {writer}: another node has this one's name; give each \
             its own, or another `state` topic"
        );
        tracing::error!(camera = key, writer, "another node of the same name is running");
        dispatcher.context.publisher.event("state-refused", &key, &message).await;
        return;
    }
    match Id::new(&key) {
        Ok(id) => {
            let command = CameraCommand::Declare(record.value);
            let (envelope, answered) = Envelope::internal(command);
            dispatcher.tell(&id, envelope);
            // It counts as under way until then; what it says to people, the camera has told them.
            let _ = answered.await;
        }
        Err(error) => {
            let message = format!("✘ state: the key must be a camera's id: {error}");
            dispatcher.context.publisher.event("state-refused", &key, &message).await;
        }
    }
}
