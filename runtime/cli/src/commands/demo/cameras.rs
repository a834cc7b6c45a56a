//! The demo's cameras: threads that publish the video at real-time pace, over and over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::anyhow;
use comux::config::CameraSpec;
use comux::video::MediaReader;

use crate::commands::publish::{Pace, Publisher};

/// Real cameras don't send in step.
const STAGGER: Duration = Duration::from_millis(37);

pub struct Cameras {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Cameras {
    pub fn start(servers: &str, video: &str, cameras: &[CameraSpec]) -> anyhow::Result<Self> {
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut threads = Vec::with_capacity(cameras.len());
        for (number, camera) in (0_u32..).zip(cameras) {
            let publisher = Publisher::new(servers, camera.consume_topic.clone())?;
            let (stop, sent, video) = (Arc::clone(&stop), Arc::clone(&sent), video.to_owned());
            let name = format!("sender {number}");
            threads.push(std::thread::Builder::new().name(name).spawn(move || {
                std::thread::sleep(STAGGER * number);
                while !stop.load(Ordering::Relaxed) {
                    let mut reader = MediaReader::open(&video)?;
                    publisher.send_all(&mut reader, Pace::Realtime, || {
                        let goes_on = !stop.load(Ordering::Relaxed);
                        sent.fetch_add(u64::from(goes_on), Ordering::Relaxed);
                        goes_on
                    })?;
                }
                publisher.finish()
            })?);
        }
        Ok(Self { stop, sent, threads })
    }

    /// Stops sending; the number of records sent and acknowledged.
    pub fn stop(self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a camera's thread panicked"))??;
        }
        Ok(self.sent.load(Ordering::Relaxed))
    }
}
