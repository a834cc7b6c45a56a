//! Which of several processes that have one name runs the node's cameras: the one that came last,
//! once those before it have stopped.
//!
//! Each writes a record of its own onto the state topic before it starts anything, and takes it away
//! when it has stopped. The topic's one partition gives them an order in which all believe. Who
//! reads of a later one says that it stops, gives out what is inside, and ends; who comes waits for
//! that. One that was killed says nothing, and is not waited for for long: not at all by a process
//! with the same `state_dir`, which it could not have if the other one lived.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::error::KafkaError;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::restore::{ControlPlaneError, PlaneState};
use super::topics::{ControlConsumer, Publisher};
use crate::config::Config;

/// How long a process may take to say that it stops.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// How long it may take to stop, then: a little more than it gives its cameras.
const STOPPING: Duration = Duration::from_secs(70);
/// How often it is looked for news.
const INTERVAL: Duration = Duration::from_millis(50);

/// A process that runs the node, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeProcess {
    /// What tells its `state_dir` from others.
    pub state_dir: String,
    /// The machine that it runs on.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// It has read of a later one.
    #[serde(default)]
    pub stops: bool,
}

/// The processes that have this one's name, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Succession(Vec<(String, NodeProcess)>);

impl Succession {
    /// A process's record, by its key; `None`: it has stopped.
    pub fn note(&mut self, key: &str, value: Option<&[u8]>) {
        let process = value.and_then(|value| serde_json::from_slice(value).ok());
        let known = self.0.iter().position(|(known, _)| known == key);
        match (known, process) {
            (Some(place), Some(process)) => {
                if let Some(entry) = self.0.get_mut(place) {
                    entry.1 = process;
                }
            }
            (Some(place), None) => _ = self.0.remove(place),
            (None, Some(process)) => self.0.push((key.to_owned(), process)),
            (None, None) => {}
        }
    }

    /// Those that came before the process of this key, and the one that came last behind it. `None`:
    /// its own record was not read yet.
    fn around(&self, key: &str) -> Option<(&[(String, NodeProcess)], Option<&NodeProcess>)> {
        let own = self.0.iter().position(|(known, _)| known == key)?;
        let (before, rest) = self.0.split_at(own);
        Some((before, rest.iter().skip(1).next_back().map(|(_, process)| process)))
    }
}

impl NodeProcess {
    /// This one.
    ///
    /// # Errors
    /// When the directory can't be written to.
    pub fn this(state_dir: &Path) -> io::Result<Self> {
        let host = nix::unistd::gethostname().map_err(io::Error::from)?;
        let host = host.to_string_lossy().into_owned();
        let pid = std::process::id();
        let path = state_dir.join("id");
        let state_dir = match std::fs::read_to_string(&path) {
            Ok(id) if !id.is_empty() => id,
            _ => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let id = format!("{host}-{pid:x}-{:x}", now.as_nanos());
                std::fs::write(&path, &id)?;
                id
            }
        };
        Ok(Self { state_dir, host, pid, stops: false })
    }
}

impl std::fmt::Display for NodeProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

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
    let mut deadline = Instant::now() + SIGN_OF_LIFE;
    let (mut is_told, mut one_stops) = (false, false);
    loop {
        while let Some(record) = consumer.next_state()? {
            state.add(record, config);
        }
        let Some((before, later)) = state.succession.around(&own) else {
            // The broker has it.
            tokio::time::sleep(INTERVAL).await;
            continue;
        };
        if let Some(later) = later {
            let process = later.clone();
            publisher.put_process(&own, None).await?;
            return Err(ControlPlaneError::TakenOver { process });
        }
        let (dead, alive): (Vec<_>, Vec<_>) =
            before.iter().cloned().partition(|(_, process)| process.state_dir == this.state_dir);
        let is_overdue = Instant::now() > deadline;
        for (_, process) in alive.iter().filter(|_| is_overdue) {
            tracing::warn!(
                "{process} has this node's name, and gives no sign of life; this one takes over. \
                 If it lives, records come out twice"
            );
        }
        for (key, _) in dead.iter().chain(alive.iter().filter(|_| is_overdue)) {
            publisher.put_process(key, None).await?;
        }
        let Some((_, process)) = alive.first().filter(|_| !is_overdue) else { return Ok(()) };
        if !std::mem::replace(&mut is_told, true) {
            tracing::info!(
                "{process} has this node's name; this one takes over when it has stopped"
            );
        }
        if process.stops && !std::mem::replace(&mut one_stops, true) {
            deadline = Instant::now() + STOPPING;
        }
        tokio::time::sleep(INTERVAL).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_stand_in_the_order_in_which_they_came() {
        let process = |pid| NodeProcess {
            state_dir: "d".to_owned(),
            host: "h".to_owned(),
            pid,
            stops: false,
        };
        let json = |pid| serde_json::to_vec(&process(pid)).unwrap();
        let mut succession = Succession::default();
        for pid in 1..=4 {
            succession.note(&format!("p{pid}"), Some(&json(pid)));
        }
        succession.note("p1", Some(&json(1)));
        succession.note("p2", None);
        let (before, later) = succession.around("p3").unwrap();
        assert_eq!(before, [("p1".to_owned(), process(1))]);
        assert_eq!(later, Some(&process(4)));
        assert_eq!(succession.around("p4").unwrap().1, None);
        assert!(succession.around("p2").is_none());
    }
}
