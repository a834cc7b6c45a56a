//! An outage of a cluster in the log: a line when it begins, and one when it ends, whatever the
//! clients of the cluster say meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

use super::properties::is_outage;

/// How often it is looked whether the cluster is there again.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether a cluster can be reached, as far as its consumer knows.
#[derive(Default)]
pub(super) struct Outage {
    /// A client has lost a broker, and nobody has looked since.
    is_suspected: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Since when it is away.
    since: Option<Instant>,
    looked: Option<Instant>,
}

impl Outage {
    /// A client has had this error. Whether it is one of an outage.
    pub fn note(&self, error: &KafkaError) -> bool {
        let is_one = is_outage(error.rdkafka_error_code());
        if is_one {
            self.suspect();
        }
        is_one
    }

    /// A connection was lost, or can't be made.
    pub fn suspect(&self) {
        self.is_suspected.store(true, Ordering::Relaxed);
    }

    /// Looks whether the cluster answers, when it may not. One broker of several that is away is no
    /// outage.
    pub fn look<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>, servers: &str) {
        if !self.is_suspected.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.looked.is_some_and(|looked| now.duration_since(looked) < INTERVAL) {
            return;
        }
        let answer = consumer.fetch_metadata(Some("comux-reach"), INTERVAL);
        state.looked = Some(Instant::now());
        match (answer, state.since) {
            (Err(error), None) => {
                state.since = Some(now);
                tracing::warn!(
                    "kafka: no broker of `{servers}` answers: {error}; records wait until one does"
                );
            }
            (Ok(_), Some(since)) => {
                let seconds = since.elapsed().as_secs();
                *state = State::default();
                self.is_suspected.store(false, Ordering::Relaxed);
                tracing::info!("kafka: `{servers}` answers again, after {seconds} s");
            }
            (Ok(_), None) => self.is_suspected.store(false, Ordering::Relaxed),
            (Err(_), Some(_)) => {}
        }
    }
}
