//! How long records are on their way, seen from outside: from the moment they are sent until an
//! independent consumer has what comux made of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::media::Clip;
use crate::records::{Reader, Writer};
use crate::topics::create_topic;

/// The header in which a record says when it was sent.
const SENT: &str = "sent-us";

/// One record's way.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When it was sent, since the probe's start.
    pub sent: Duration,
    /// How long it took.
    pub latency: Duration,
    /// Why it was not analysed, if it was not.
    pub lost: Option<Lost>,
}

/// A record that was not analysed.
#[derive(Debug, Clone, Serialize)]
pub struct Lost {
    /// When it was sent, since the probe's start.
    pub sent: Duration,
    /// Its status.
    pub status: String,
    /// Its reason, if it has one.
    pub reason: Option<String>,
}

/// Live cameras, sent to in real time, and consumers of what comes out.
pub struct Probe {
    begin: Instant,
    stopping: Arc<AtomicBool>,
    sender: JoinHandle<usize>,
    consumers: Vec<JoinHandle<Vec<Sample>>>,
}

impl Probe {
    /// Starts to send `clip` to the topic `raw_…` of each camera, in a loop, `per_second` records a
    /// second, and to consume `stream_…`.
    ///
    /// # Panics
    /// When the broker does not take part.
    #[must_use]
    pub fn start(cameras: &[String], clip: &'static Clip, per_second: u32) -> Self {
        Self::with_consumers_of(1, cameras, clip, per_second)
    }

    /// As [`Probe::start`], but a single consumer has the samples of all cameras: as many consumers
    /// as cameras would take the cores from what is measured.
    ///
    /// # Panics
    /// When the broker does not take part.
    #[must_use]
    pub fn start_together(cameras: &[String], clip: &'static Clip, per_second: u32) -> Self {
        Self::with_consumers_of(cameras.len(), cameras, clip, per_second)
    }

    fn with_consumers_of(
        cameras_each: usize,
        cameras: &[String],
        clip: &'static Clip,
        per_second: u32,
    ) -> Self {
        let begin = Instant::now();
        let stopping = Arc::new(AtomicBool::new(false));
        let consumers = cameras.chunks(cameras_each).map(|cameras| {
            let outputs: Vec<String> =
                cameras.iter().map(|camera| format!("stream_{camera}")).collect();
            let mut reader = Reader::of_all(&outputs);
            let stopping = Arc::clone(&stopping);
            std::thread::spawn(move || {
                let mut samples = Vec::new();
                loop {
                    match reader.next_within(Duration::from_secs(3)) {
                        Some(record) => {
                            let now = begin.elapsed();
                            let sent = Duration::from_micros(record.number(SENT) as u64);
                            let lost = match record.status() {
                                ("analysed", None) => None,
                                (status, reason) => Some(Lost {
                                    sent,
                                    status: status.to_owned(),
                                    reason: reason.map(str::to_owned),
                                }),
                            };
                            samples.push(Sample { sent, latency: now - sent, lost });
                        }
                        None if stopping.load(Ordering::Relaxed) => return samples,
                        None => {}
                    }
                }
            })
        });
        let consumers = consumers.collect();
        let topics: Vec<String> = cameras.iter().map(|camera| format!("raw_{camera}")).collect();
        let stop = Arc::clone(&stopping);
        let sender = std::thread::spawn(move || {
            let writer = Writer::new();
            let interval = Duration::from_secs(1) / per_second;
            // Cameras of a site do not send at the same moment.
            let apart = interval / u32::try_from(topics.len()).unwrap();
            let mut due = Instant::now();
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                for topic in &topics {
                    let sent = begin.elapsed().as_micros().to_string();
                    let record = clip.record(count).with_header(SENT, Some(sent.as_bytes()));
                    writer.send(topic, &record);
                    writer.poll();
                    due += apart;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                count += 1;
            }
            writer.flush();
            count
        });
        Self { begin, stopping, sender, consumers }
    }

    /// The time since the probe's start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Stops; returns how many records each camera was sent, and each consumer's samples. Waits
    /// until nothing more comes.
    ///
    /// # Panics
    /// When a thread failed.
    #[must_use]
    pub fn stop(self) -> (usize, Vec<Vec<Sample>>) {
        self.stopping.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the probe sends");
        let join = |consumer: JoinHandle<Vec<Sample>>| consumer.join().expect("it consumes");
        (sent, self.consumers.into_iter().map(join).collect())
    }
}

pub(crate) fn sorted(mut latencies: Vec<Duration>) -> Vec<Duration> {
    latencies.sort_unstable();
    latencies
}

/// The value below which so many of 1000 sorted ones are.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn permille(sorted: &[Duration], permille: usize) -> Duration {
    sorted[(sorted.len() * permille / 1000).min(sorted.len() - 1)]
}

/// The topics of these cameras, created.
///
/// # Panics
/// When the broker refuses.
pub fn create_topics(cameras: &[String]) {
    for camera in cameras {
        create_topic(&format!("raw_{camera}"), 1);
        create_topic(&format!("stream_{camera}"), 1);
    }
}
