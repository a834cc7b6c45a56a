//! How long records are on their way, seen from outside: from the moment they are sent until an
//! independent consumer has what comux made of them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::media::Clip;
use crate::records::{Reader, Writer, create_topic};
use crate::waits::{Waited, Waits};

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
#[derive(Debug, Clone)]
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

    /// As [`Probe::start`], but a single consumer has the samples of all cameras: as many consumers as
    /// cameras would take the cores from what is measured.
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

    /// Stops; returns how many records each camera was sent, and each consumer's samples. Waits until
    /// nothing more comes.
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

/// Latencies without and with a load, each sorted.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// Without.
    pub quiet: Vec<Duration>,
    /// With.
    pub loaded: Vec<Duration>,
}

/// A phase without a load, and the one with it that came next.
#[derive(Debug, Clone)]
struct Pair {
    load: usize,
    latencies: Latencies,
    /// Without and with.
    waited: [Waited; 2],
}

/// What cameras noticed of loads beside them.
#[derive(Debug, Clone)]
pub struct Comparison {
    pairs: Vec<Pair>,
    /// How many records each camera was sent.
    pub sent: usize,
    /// How many of each camera came back.
    pub came: Vec<usize>,
    /// What became of those that were not analysed.
    pub lost: Vec<Lost>,
}

impl Comparison {
    /// Measures `neighbours`, to which `clip` is sent in real time, in phases of this length: one without
    /// and one with each of `loads`, in this order. A load is there from `begin` until what that gave is
    /// dropped. `waits` tells what the threads in question waited by now.
    ///
    /// # Panics
    /// When the broker does not take part.
    #[must_use]
    pub fn measure<L>(
        neighbours: &[String],
        clip: &'static Clip,
        phase: Duration,
        loads: impl IntoIterator<Item = usize>,
        waits: impl Fn() -> Waits,
        mut begin: impl FnMut(usize) -> L,
    ) -> Self {
        // Of each phase, the first part is what the one before left behind.
        let settling = phase / 4;
        let probe = Probe::start(neighbours, clip, 25);
        std::thread::sleep(Duration::from_secs(2));
        let mut phases = Vec::new();
        for load in loads {
            let both = [false, true].map(|is_loaded| {
                let running = is_loaded.then(|| begin(load));
                let start = probe.now() + settling;
                std::thread::sleep(settling);
                let before = waits();
                std::thread::sleep(phase - settling);
                let waited = waits().since(&before);
                let end = probe.now();
                drop(running);
                (start..end, waited)
            });
            phases.push((load, both));
        }
        let (sent, samples) = probe.stop();
        let within = |when: &Range<Duration>| {
            let samples = samples.iter().flatten().filter(|sample| when.contains(&sample.sent));
            sorted(samples.map(|sample| sample.latency).collect())
        };
        let pairs =
            phases.into_iter().map(|(load, [(quiet, of_quiet), (loaded, of_loaded)])| Pair {
                load,
                latencies: Latencies { quiet: within(&quiet), loaded: within(&loaded) },
                waited: [of_quiet, of_loaded],
            });
        let pairs = pairs.collect();
        let came = samples.iter().map(Vec::len).collect();
        let lost = samples.iter().flatten().filter_map(|sample| sample.lost.clone()).collect();
        Self { pairs, sent, came, lost }
    }

    /// All of these loads.
    #[must_use]
    pub fn of(&self, is_one: impl Fn(usize) -> bool) -> Latencies {
        let all = |which: fn(&Latencies) -> &[Duration]| {
            sorted(
                self.pairs_of(&is_one).flat_map(|pair| which(&pair.latencies)).copied().collect(),
            )
        };
        Latencies { quiet: all(|of| &of.quiet), loaded: all(|of| &of.loaded) }
    }

    /// With against without these loads, so many of 1000: the median of what each two phases that came
    /// one after the other say. What the machine does otherwise for moments, and some of a thousand
    /// records are late, is in few of them.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn usual(&self, is_one: impl Fn(usize) -> bool, of: usize) -> f64 {
        let ratio = |Latencies { quiet, loaded }: &Latencies| {
            permille(loaded, of).as_secs_f64() / permille(quiet, of).as_secs_f64()
        };
        let pairs = self.pairs_of(&is_one).map(|pair| &pair.latencies);
        let mut ratios: Vec<f64> = pairs.map(ratio).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let (below, above) = (ratios[(ratios.len() - 1) / 2], ratios[ratios.len() / 2]);
        f64::midpoint(below, above)
    }

    /// What those threads waited for a core, without these loads and with them.
    #[must_use]
    pub fn waited(&self, is_one: impl Fn(usize) -> bool) -> [Waited; 2] {
        [0, 1].map(|which| self.pairs_of(&is_one).map(|pair| pair.waited[which]).sum())
    }

    fn pairs_of(&self, is_one: &impl Fn(usize) -> bool) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| is_one(pair.load))
    }
}

fn sorted(mut latencies: Vec<Duration>) -> Vec<Duration> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_does_not_see_a_moment_in_which_all_is_late() {
        let pair = |load, quiet, loaded| Pair {
            load,
            latencies: Latencies {
                quiet: vec![Duration::from_millis(quiet)],
                loaded: vec![Duration::from_millis(loaded)],
            },
            waited: <[Waited; 2]>::default(),
        };
        let pairs = vec![pair(0, 10, 20), pair(0, 10, 900), pair(0, 10, 10), pair(1, 10, 40)];
        let comparison = Comparison { pairs, sent: 0, came: vec![], lost: vec![] };
        let usual = |one| comparison.usual(|load| load == one, 990);
        assert_eq!((usual(0), usual(1)), (2.0, 4.0));
        assert_eq!(comparison.usual(|_| true, 990), 3.0, "between the two in the middle");
    }
}
