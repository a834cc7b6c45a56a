//! A camera's thread: commands first, then the next record; a fresh pipeline for another input.
//!
//! One thread per camera lets the operating system share the cores fairly: whatever one camera's
//! decoder or plugin does, the others run. Nothing on this thread waits for another camera.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};

use super::analysis::Analysis;
use super::commands::{CameraInput, Command};
use super::error::CameraError;
use super::pipeline::{Carried, Pipeline};
use super::plugin_chain::PluginChain;
use crate::config::CameraSpec;
use crate::kafka::{CameraQueue, Checkpoint, Incarnation, PacketSink};
use crate::snapshots::SnapshotQueue;
use crate::stats::CameraStats;
use crate::tenancy::Tenant;

/// Everything that a camera is started with.
pub struct CameraParts {
    /// What it is.
    pub spec: Arc<CameraSpec>,
    /// Where its records come from.
    pub queue: CameraQueue,
    /// How far its output is acknowledged.
    pub checkpoint: Arc<Checkpoint>,
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// Its plugins.
    pub chain: PluginChain,
    /// Whether its records pass without being analysed.
    pub paused: bool,
    /// Where its records go to.
    pub sink: PacketSink,
    /// Where the state of its plugins is saved.
    pub snapshots: Arc<SnapshotQueue>,
    /// Called when one of its topics was made again.
    pub on_topic: OnTopic,
    /// Called when its thread ends, for whatever reason.
    pub on_end: Box<dyn FnOnce() + Send>,
}

/// One of a camera's topics is another one from now on.
#[derive(Debug)]
pub enum OtherTopic {
    /// It consumes this one.
    Input(Incarnation),
    /// Its output topic was made again.
    Output,
}

/// Is told so.
pub type OnTopic = Box<dyn Fn(OtherTopic) + Send>;

/// Why a pipeline ended without an error.
enum Exit {
    /// It was told to stop.
    Stopped,
    /// Its records come from somewhere else from now on.
    OtherInput(Box<(CameraInput, Carried)>),
}

/// Runs a camera until it is told to stop, or fails.
pub(crate) fn run(
    parts: CameraParts,
    stats: Arc<CameraStats>,
    commands: &mpsc::Receiver<Command>,
    stop: &AtomicBool,
) -> Result<(), CameraError> {
    let CameraParts { spec, queue, checkpoint, tenant, chain, paused, sink, snapshots, .. } = parts;
    let on_topic = parts.on_topic;
    let claim = tenant.claim();
    let mut input = (queue, checkpoint);
    let analysis = Analysis::new(
        (chain, paused),
        ((&*spec).into(), snapshots),
        Arc::clone(&tenant),
        Arc::clone(&claim),
        Arc::clone(&stats),
    );
    let mut carried = Carried { spec, tenant, claim, analysis, next_seq: 0, stats };
    loop {
        let (queue, checkpoint) = &mut input;
        let this = std::thread::current();
        queue.on_arrival(move || this.unpark());
        checkpoint.wake_this_thread();
        let spec = Arc::clone(&carried.spec);
        let run = Pipeline::new(carried, queue, &sink, Arc::clone(checkpoint), stop)
            .and_then(|pipeline| run_pipeline(pipeline, commands, &on_topic));
        match run {
            Ok(Exit::Stopped) => return Ok(()),
            Ok(Exit::OtherInput(next)) => (input, carried) = *next,
            Err(error) => {
                let (camera, tenant) = (spec.id.as_str(), spec.tenant.as_str());
                tracing::error!(camera, tenant, %error, "the camera has stopped");
                return Err(error);
            }
        }
    }
}

fn run_pipeline(
    mut pipeline: Pipeline<'_>,
    commands: &mpsc::Receiver<Command>,
    on_topic: &OnTopic,
) -> Result<Exit, CameraError> {
    while !pipeline.is_stopping() {
        while let Ok(command) = commands.try_recv() {
            // Whatever changes, what is settled belongs to the time before.
            pipeline.emit_settled()?;
            if let Some(input) = pipeline.apply(command)? {
                return Ok(Exit::OtherInput(Box::new((input, pipeline.carry()))));
            }
        }
        if let Some(other) = pipeline.begin_again_if_other()? {
            on_topic(OtherTopic::Input(other));
        }
        if pipeline.output.was_made_again() {
            on_topic(OtherTopic::Output);
        }
        pipeline.advance()?;
    }
    pipeline.finish()?;
    Ok(Exit::Stopped)
}
