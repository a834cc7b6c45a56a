//! Live cameras: a clip in a loop, at the pace of a camera.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::media::Clip;
use crate::records::Writer;

/// Cameras that send the same clip to topics of their own until they are stopped.
pub struct Feed {
    stopping: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Starts to send `per_second` records a second to each topic: those of [`Clip::looped`].
    #[must_use]
    pub fn start<T: AsRef<str>>(topics: &[T], clip: &'static Clip, per_second: u32) -> Self {
        let topics: Vec<String> = topics.iter().map(|topic| topic.as_ref().to_owned()).collect();
        let stopping = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicUsize::new(0));
        let (stop, count) = (Arc::clone(&stopping), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let writer = Writer::new();
            let interval = Duration::from_secs(1) / per_second;
            let mut due = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                let record = clip.record(count.load(Ordering::Relaxed));
                for topic in &topics {
                    writer.send(topic, &record);
                }
                writer.poll();
                count.fetch_add(1, Ordering::Relaxed);
                // A thread that got no turn for a while makes up for it.
                due += interval;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            writer.flush();
        });
        Self { stopping, sent, thread: Some(thread) }
    }

    /// How many records were sent to each topic by now.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until that many more records are sent to each topic.
    ///
    /// # Panics
    /// When they are not.
    pub fn wait_for_more(&self, records: usize) {
        let (enough, deadline) = (self.sent() + records, Instant::now() + PATIENCE);
        while self.sent() < enough {
            assert!(Instant::now() < deadline, "the feed stands still at {}", self.sent());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops; returns how many records each topic has.
    ///
    /// # Panics
    /// When the feed failed.
    #[must_use]
    pub fn stop(mut self) -> usize {
        self.stopping.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().expect("the feed sends");
        self.sent()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
