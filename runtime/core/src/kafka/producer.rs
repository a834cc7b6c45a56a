//! A producer with a thread of its own that takes the broker's reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::Client;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::bootstrap::bootstrap_if_lost;

/// How long the thread may outlive the producer's last user. rdkafka's own threaded producer waits
/// a tenth of a second at a time, and spins for the last millisecond of each: a hundredth of a core
/// for nothing.
const POLL: Duration = Duration::from_secs(1);

/// A record to be produced, and what is known of it when its delivery is reported.
pub type Outgoing<'a, C> = BaseRecord<'a, [u8], [u8], <C as ProducerContext>::DeliveryOpaque>;

/// See the module.
pub struct PolledProducer<C: ProducerContext + 'static> {
    producer: Arc<BaseProducer<C>>,
    /// Ends the thread.
    closed: Arc<AtomicBool>,
}

impl<C: ProducerContext + 'static> PolledProducer<C> {
    /// Creates the producer, which connects by itself, and its thread of this name.
    ///
    /// # Errors
    /// When a property is wrong, or there is no thread.
    pub fn new(config: &ClientConfig, context: C, name: &str) -> Result<Self, KafkaError> {
        let producer: BaseProducer<C> = config.create_with_context(context)?;
        let (producer, closed) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        let (polled, is_closed) = (Arc::clone(&producer), Arc::clone(&closed));
        let poll = move || {
            while !is_closed.load(Ordering::Relaxed) {
                bootstrap_if_lost(polled.client());
                polled.poll(POLL);
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(poll);
        thread.map_err(|error| KafkaError::ClientCreation(format!("no thread: {error}")))?;
        Ok(Self { producer, closed })
    }

    /// The client itself.
    pub fn client(&self) -> &Client<C> {
        self.producer.client()
    }

    /// Hands a record over to librdkafka.
    ///
    /// # Errors
    /// When it does not take it; its delivery is not reported then.
    pub fn send(&self, record: Outgoing<'_, C>) -> Result<(), KafkaError> {
        self.producer.send(record).map_err(|(error, _)| error)
    }
}

impl<C: ProducerContext + 'static> Drop for PolledProducer<C> {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}
