//! Which of several processes that have one name runs the node's cameras: the one that came last,
//! once those before it have stopped.
//!
//! Each writes a record of its own onto the state topic before it starts anything, and takes it
//! away when it has stopped. The topic's one partition gives them an order in which all believe.
//! Who reads of a later one says that it stops, gives out what is inside, and ends; who comes waits
//! for that. One that was killed says nothing, and is not waited for for long: not at all by a
//! process with the same `state_dir`, which it could not have if the other one lived.

use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::time::Instant;

use super::restore::{ControlPlaneError, PlaneState};
use super::topics::{ControlConsumer, Publisher};
use super::wire::NodeProcess;
use crate::config::Config;

/// How long a process may take to say that it stops.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// How long it may take to stop, then: a little more than it gives its cameras.
const STOPPING: Duration = Duration::from_secs(70);
/// How often it is looked for news.
const INTERVAL: Duration = Duration::from_millis(50);

/// Has this process be the one that runs the node: waits until those before it have stopped. What
/// is written onto the state topic meanwhile is added to `state`.
pub(crate) async fn take_over(
    this: &NodeProcess,
    consumer: &mut ControlConsumer,
    publisher: &Publisher,
    (state, config): (&mut PlaneState, &Config),
) -> Result<(), ControlPlaneError> {
    let own = publisher.process_key();
    publisher.put_process(&own, Some(this)).await?;
    consumer.follow_state()?;
    let (begin, mut is_told) = (Instant::now(), false);
    loop {
        while let Some(record) = consumer.next_state()? {
            state.add(record, config);
        }
        // Until its own record is read: the broker has it.
        if let Some((before, later)) = state.succession.around(&own) {
            if let Some(later) = later {
                let process = later.clone();
                publisher.put_process(&own, None).await?;
                return Err(ControlPlaneError::TakenOver { process });
            }
            let mut waits_for = None;
            for (key, process) in before {
                if process.state_dir == this.state_dir {
                    publisher.put_process(key, None).await?;
                } else if begin.elapsed() < process.patience() {
                    waits_for = Some(process);
                } else {
                    tracing::warn!(
                        "{process} has this node's name, and gives no sign of life; this one takes \
                         over. If it lives, records come out twice"
                    );
                    publisher.put_process(key, None).await?;
                }
            }
            let Some(process) = waits_for else { return Ok(()) };
            if !std::mem::replace(&mut is_told, true) {
                tracing::info!(
                    "{process} has this node's name; this one takes over when it has stopped"
                );
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl NodeProcess {
    /// How long its end is waited for.
    fn patience(&self) -> Duration {
        if self.stops { STOPPING } else { SIGN_OF_LIFE }
    }
}

/// This process's record, while it runs.
pub(crate) struct Tenure {
    this: NodeProcess,
    publisher: Publisher,
}

impl Tenure {
    pub fn new(this: NodeProcess, publisher: Publisher) -> Self {
        Self { this, publisher }
    }

    /// Says that it stops, since another one has come.
    pub async fn stops(&self) -> Result<(), KafkaError> {
        let stops = NodeProcess { stops: true, ..self.this.clone() };
        self.publisher.put_process(&self.publisher.process_key(), Some(&stops)).await
    }

    /// It has stopped: another one may begin.
    pub async fn end(&self) {
        if let Err(error) = self.publisher.put_process(&self.publisher.process_key(), None).await {
            tracing::warn!(%error, "the state topic was not told that this process has stopped");
        }
    }
}
