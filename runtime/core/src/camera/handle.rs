//! A camera as others hold it: started, told what to do, stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::commands::Command;
use super::error::{CameraError, Stopped};
use super::stages::intake::splitter;
use super::thread::{CameraParts, run};
use crate::config::CameraSpec;
use crate::stats::CameraStats;

/// A running camera.
pub struct Camera {
    /// Its counters.
    pub stats: Arc<CameraStats>,
    commands: mpsc::Sender<Command>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), CameraError>>,
}

/// Looks at what only libavcodec knows: whether a camera's stream can be decoded here.
///
/// # Errors
/// When there is no decoder, or no parser, for it.
pub fn check(spec: &CameraSpec) -> Result<(), CameraError> {
    splitter(spec)?;
    spec.decoder().open_if_needed()?;
    Ok(())
}

impl Camera {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(parts: CameraParts) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stats = Arc::new(CameraStats::new(parts.chain.meters()));
        let (commands, received) = mpsc::channel();
        let name = format!("cam {}", parts.spec.id);
        let thread = std::thread::Builder::new().name(name).spawn({
            let (stop, stats) = (stop.clone(), stats.clone());
            move || {
                let mut parts = parts;
                // Dropped, and so called, when the thread panics, too.
                let _end = OnEnd(Some(std::mem::replace(&mut parts.on_end, Box::new(|| {}))));
                run(parts, stats, &received, &stop)
            }
        })?;
        Ok(Self { stats, commands, stop, thread })
    }

    /// Gives a command, which overtakes the records that wait.
    ///
    /// # Errors
    /// When the camera has stopped.
    pub fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).map_err(|_| Stopped)?;
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
