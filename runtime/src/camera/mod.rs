//! A camera: a thread of its own that takes records from its queue to the sink.
//!
//! One thread per camera lets the operating system share the cores fairly: whatever one camera's
//! decoder or plugin does, the others run. Nothing on this thread waits for another camera.

mod analysis;
mod output;
mod pipeline;
mod received;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub use analysis::Analysis;

use crate::config::CameraSpec;
use crate::sink::{Progress, Sink};
use crate::source::CameraQueue;
use crate::stats::CameraStats;
use pipeline::Pipeline;

/// A camera's longest sleep: a safety net, since arrivals, acknowledgements and stops wake it.
const NAP: Duration = Duration::from_millis(100);

/// A running camera.
pub struct Camera {
    /// What it runs.
    pub spec: Arc<CameraSpec>,
    /// Its counters.
    pub stats: Arc<CameraStats>,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), CameraError>>,
}

/// A camera stopped although it was not told to.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// Its decoder can't run.
    #[error(transparent)]
    Decoder(#[from] crate::decode::DecoderError),
    /// libavcodec can't cut its stream.
    #[error("libavcodec has no parser for this codec; use framing = \"packet\"")]
    NoParser,
    /// The broker refused a record for good.
    #[error(
        "the output topic refused a record: {0}; if it is too large, raise the topic's \
         max.message.bytes above that of the input topic, and restart: no record is lost"
    )]
    Output(rdkafka::error::KafkaError),
    /// The input can't be read.
    #[error("the input topic can't be read: {0}")]
    Input(rdkafka::error::KafkaError),
    /// A defect of comux.
    #[error("the camera's thread panicked; this is a defect of comux, please report it")]
    Panicked,
}

impl Camera {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        spec: Arc<CameraSpec>,
        queue: CameraQueue,
        analysis: Analysis,
        sink: Sink,
        (stats, progress): (Arc<CameraStats>, Arc<Progress>),
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name(format!("cam {}", spec.id)).spawn({
            let (spec, stats, progress) = (spec.clone(), stats.clone(), progress.clone());
            let stop = stop.clone();
            move || run(&spec, queue, analysis, &sink, (stats, progress), &stop)
        })?;
        Ok(Self { spec, stats, progress, stop, thread })
    }

    /// Tells the camera to finish what it has received, and to stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }

    /// Whether its thread has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Output records that wait for the broker's acknowledgement.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.progress.unacknowledged()
    }

    /// Waits for the thread's end.
    ///
    /// # Errors
    /// Why it ended, when it was not told to.
    pub fn join(self) -> Result<(), CameraError> {
        self.thread.join().unwrap_or(Err(CameraError::Panicked))
    }
}

fn run(
    spec: &CameraSpec,
    mut queue: CameraQueue,
    analysis: Analysis,
    sink: &Sink,
    (stats, progress): (Arc<CameraStats>, Arc<Progress>),
    stop: &AtomicBool,
) -> Result<(), CameraError> {
    let this = std::thread::current();
    queue.on_arrival(move || this.unpark());
    progress.wake_this_thread();
    let mut pipeline = Pipeline::new(spec, &queue, analysis, sink, stats, progress)?;
    let result = pipeline.run(stop);
    if let Err(error) = &result {
        let (camera, tenant) = (spec.id.as_str(), spec.tenant.as_str());
        tracing::error!(camera, tenant, "the camera has stopped: {error}");
    }
    result
}
