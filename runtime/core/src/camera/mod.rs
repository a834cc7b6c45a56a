//! A camera: a thread of its own that takes records from its queue to the sink.
//!
//! One thread per camera lets the operating system share the cores fairly: whatever one camera's
//! decoder or plugin does, the others run. Nothing on this thread waits for another camera.

mod commands;
#[doc(hidden)]
pub mod fuzzing;
mod input_record;
mod pipeline;
mod plugin_chain;
mod rollout;
pub mod stages;

pub use commands::{Change, Command, Link, Shadowed, Swap, SwapEvent};
pub use input_record::{keyframe_header, pts_us};
pub use plugin_chain::PluginChain;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::CameraSpec;
use crate::kafka::CameraQueue;
use crate::kafka::{Checkpoint, PacketSink};
use crate::snapshots::SnapshotQueue;
use crate::stats::CameraStats;
use crate::tenancy::Tenant;
use pipeline::{Carried, Exit, Pipeline};

/// A camera's longest sleep: a safety net, since arrivals, acknowledgements, orders and stops wake
/// it.
const NAP: Duration = Duration::from_millis(100);

/// Everything that a camera is started with.
pub struct CameraParts {
    /// What it is.
    pub spec: Arc<CameraSpec>,
    /// Where its records come from.
    pub queue: CameraQueue,
    /// How far its output is acknowledged.
    pub progress: Arc<Checkpoint>,
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// Its plugins.
    pub analysis: PluginChain,
    /// Whether its records pass without being analysed.
    pub paused: bool,
    /// Where its records go to.
    pub sink: PacketSink,
    /// Where the state of its plugins is kept.
    pub memories: Arc<SnapshotQueue>,
    /// Called when its thread ends, for whatever reason.
    pub on_end: Box<dyn FnOnce() + Send>,
}

/// A running camera.
pub struct Camera {
    /// Its counters.
    pub stats: Arc<CameraStats>,
    orders: mpsc::Sender<Command>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), CameraError>>,
}

/// A camera stopped although it was not told to, or can't be as it is told.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// Its decoder can't run.
    #[error(transparent)]
    Decoder(#[from] crate::video::decode::DecoderError),
    /// libavcodec can't cut its stream.
    #[error("libavcodec has no parser for this codec; use framing = \"packet\"")]
    NoParser,
    /// The broker refused a record for good.
    #[error(
        "the output topic refused a record: {0}; if it is too large, raise the topic's \
         max.message.bytes above that of the input topic, and resume or restart: no record is lost"
    )]
    Output(rdkafka::error::KafkaError),
    /// The input can't be read.
    #[error("the input topic can't be read: {0}")]
    Input(rdkafka::error::KafkaError),
    /// A defect of comux.
    #[error("the camera's thread panicked; this is a defect of comux, please report it")]
    Panicked,
}

/// The camera's thread has ended, and takes no more orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the camera has stopped")]
pub struct Stopped;

/// Looks at what only libavcodec knows: whether a camera's stream can be decoded here.
///
/// # Errors
/// When there is no decoder, or no parser, for it.
pub fn check(spec: &CameraSpec) -> Result<(), CameraError> {
    pipeline::splitter(spec)?;
    spec.decoder().open_if_needed()?;
    Ok(())
}

impl Camera {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(equipment: CameraParts) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stats = Arc::new(CameraStats::new(equipment.analysis.meters()));
        let (orders, received) = mpsc::channel();
        let name = format!("cam {}", equipment.spec.id);
        let thread = std::thread::Builder::new().name(name).spawn({
            let (stop, stats) = (stop.clone(), stats.clone());
            move || {
                let mut equipment = equipment;
                // Dropped, and so called, when the thread panics, too.
                let _end = OnEnd(Some(std::mem::replace(&mut equipment.on_end, Box::new(|| {}))));
                run(equipment, stats, &received, &stop)
            }
        })?;
        Ok(Self { stats, orders, stop, thread })
    }

    /// Gives an order, which overtakes the records that wait.
    ///
    /// # Errors
    /// When the camera has stopped.
    pub fn send(&self, order: Command) -> Result<(), Stopped> {
        self.orders.send(order).map_err(|_| Stopped)?;
        self.thread.thread().unpark();
        Ok(())
    }

    /// Tells the camera to finish what it has received, and to stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }

    /// Waits for the thread's end.
    ///
    /// # Errors
    /// Why it ended, when it was not told to.
    pub fn join(self) -> Result<(), CameraError> {
        self.thread.join().unwrap_or(Err(CameraError::Panicked))
    }
}

struct OnEnd(Option<Box<dyn FnOnce() + Send>>);

impl Drop for OnEnd {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell();
        }
    }
}

fn run(
    equipment: CameraParts,
    stats: Arc<CameraStats>,
    orders: &mpsc::Receiver<Command>,
    stop: &AtomicBool,
) -> Result<(), CameraError> {
    let CameraParts { spec, queue, progress, tenant, analysis, paused, sink, memories, on_end: _ } =
        equipment;
    let seat = tenant.seat();
    let mut input = (queue, progress);
    let mut carried =
        Carried { spec, tenant, seat, analysis, paused, next_seq: 0, stats, memories };
    loop {
        let (queue, progress) = &mut input;
        let this = std::thread::current();
        queue.on_arrival(move || this.unpark());
        progress.wake_this_thread();
        let spec = Arc::clone(&carried.spec);
        let run = Pipeline::new(carried, queue, &sink, Arc::clone(progress), stop)
            .and_then(|pipeline| pipeline.run(orders));
        match run {
            Ok(Exit::Stopped) => return Ok(()),
            Ok(Exit::OtherInput(next, rest)) => (input, carried) = (next, *rest),
            Err(error) => {
                let (camera, tenant) = (spec.id.as_str(), spec.tenant.as_str());
                tracing::error!(camera, tenant, "the camera has stopped: {error}");
                return Err(error);
            }
        }
    }
}
