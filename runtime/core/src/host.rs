//! What all cameras of a node share, and what it takes to start and stop one.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;

use crate::camera::{Camera, CameraParts, OnTopic, OtherTopic, PluginChain};
use crate::config::{CameraSpec, Config};
use crate::kafka::CameraQueue;
use crate::kafka::Checkpoint;
use crate::kafka::{CameraTopics, TopicError, ensure_camera_topics};
use crate::kafka::{ClientPool, Incarnation};
use crate::plugin::instance::CameraPlugin;
use crate::plugin::{Loader, OpenError};
use crate::snapshots::SnapshotStore;
use crate::tenancy::{Tenant, Tenants};

/// How often the settings of output topics are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// The node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Plugins can't be run, or their directories not be used.
    #[error(transparent)]
    Plugins(#[from] OpenError),
    /// A Kafka client could not be created.
    #[error("kafka: {0}; see `[kafka] properties`")]
    Client(#[from] KafkaError),
    /// What plugins remember can't be kept.
    #[error("state_dir: {0}; choose another `state_dir`")]
    Memories(std::io::Error),
}

/// A camera could not be started.
#[derive(Debug, thiserror::Error)]
pub enum CameraStartError {
    /// A topic can't be used.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A Kafka client could not be created.
    #[error("kafka: {0}; see `[tenants.kafka] properties`")]
    Client(#[from] KafkaError),
    /// A topic can't be consumed.
    #[error("topic `{topic}`: {cause}")]
    Open {
        /// The topic.
        topic: String,
        /// What librdkafka says.
        cause: KafkaError,
    },
    /// The operating system gives no more threads.
    #[error("no thread: {0}; raise the limit of threads")]
    Thread(std::io::Error),
}

/// How a camera is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CameraStart {
    /// Its records pass without being analysed.
    pub paused: bool,
    /// It begins where its output was acknowledged last, whatever its `start` says.
    pub goes_on: bool,
    /// Its plugins get back what they remembered.
    pub remembers: bool,
    /// Its records pass also while its plugins can't be had.
    pub may_lack_plugins: bool,
}

/// What all cameras of a node share.
pub struct Host {
    /// How the node is configured.
    pub config: Config,
    /// Where plugins come from.
    pub loader: Loader,
    /// What plugins remember.
    pub snapshots: SnapshotStore,
    /// Whose the cameras are, and what they may use.
    pub tenants: Tenants,
    clients: ClientPool,
}

impl Host {
    /// Opens the clients and directories that cameras need. `loader`: where plugins come from.
    ///
    /// # Errors
    /// When a client can't be created or a directory not be used.
    pub fn open(config: Config, loader: Loader) -> Result<Self, HostError> {
        let clients = ClientPool::default();
        // Wrong properties of the host's own clusters keep it from starting; a tenant's, its
        // cameras.
        clients.source(&config.consume, &config)?;
        clients.sink(&config.produce, &config)?;
        let memories = SnapshotStore::open(&config.state_dir).map_err(HostError::Memories)?;
        let tenants = config.open_tenants();
        Ok(Self { config, loader, snapshots: memories, tenants, clients })
    }

    /// Sees to it that a camera's topics exist.
    ///
    /// # Errors
    /// When one can't be created, or has more than one partition.
    pub async fn ensure_topics(&self, spec: &CameraSpec) -> Result<(), CameraStartError> {
        let found = ensure_camera_topics::<CameraStartError>(&self.clients, &self.config, spec);
        let CameraTopics { created, warnings } = found.await?;
        let (camera, tenant) = (spec.id.as_str(), spec.tenant.as_str());
        for topic in created {
            tracing::debug!(camera, tenant, topic, "topic created");
        }
        for warning in warnings {
            tracing::warn!(camera, tenant, "{warning}");
        }
        Ok(())
    }

    /// Looks again and again at what the topics that are written to take: somebody may set them
    /// otherwise.
    pub async fn watch_outputs(&self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            self.clients.look_at_outputs().await;
        }
    }

    /// Begins to consume a camera's topic; `goes_on` as in [`CameraStart`], `before`: the topic
    /// that it consumed last. Waits for the broker.
    ///
    /// # Errors
    /// When the broker can't say where to begin.
    pub fn open_input(
        &self,
        spec: &CameraSpec,
        goes_on: bool,
        before: Option<&Incarnation>,
    ) -> Result<(CameraQueue, Arc<Checkpoint>), CameraStartError> {
        let progress = Arc::<Checkpoint>::default();
        let [cluster, _] = self.config.clusters_of(&spec.tenant);
        let source = self.clients.source(cluster, &self.config)?;
        match source.open(spec, goes_on, before, Arc::clone(&progress)) {
            Ok(queue) => Ok((queue, progress)),
            Err(cause) => Err(CameraStartError::Open { topic: spec.consume_topic.clone(), cause }),
        }
    }

    /// Commits what is acknowledged of a camera's topic, and consumes it no longer. Waits for the
    /// broker.
    pub fn close_input(&self, spec: &CameraSpec) {
        let [cluster, _] = self.config.clusters_of(&spec.tenant);
        // There is one: it was consumed.
        if let Ok(source) = self.clients.source(cluster, &self.config) {
            source.close(&spec.consume_topic);
        }
    }

    /// Starts a camera whose topics exist; `chain`: its plugins, unless they can't be had;
    /// `before`: the topic that it consumed last. Waits for the broker.
    ///
    /// # Errors
    /// When its topic can't be consumed, or there is no thread for it.
    pub fn start_camera(
        &self,
        spec: &Arc<CameraSpec>,
        tenant: Arc<Tenant>,
        chain: Option<Vec<CameraPlugin>>,
        (how, before): (CameraStart, Option<&Incarnation>),
        (on_end, on_topic): (Box<dyn FnOnce() + Send>, OnTopic),
    ) -> Result<Camera, CameraStartError> {
        let [_, cluster] = self.config.clusters_of(&spec.tenant);
        let sink = self.clients.sink(cluster, &self.config)?;
        let (queue, checkpoint) = self.open_input(spec, how.goes_on, before)?;
        on_topic(OtherTopic::Input(queue.incarnation()));
        let camera = Camera::start(CameraParts {
            spec: Arc::clone(spec),
            queue,
            checkpoint,
            tenant,
            chain: match chain {
                Some(chain) => PluginChain::new(chain, spec.rate),
                None => PluginChain::lacking(spec.rate),
            },
            paused: how.paused,
            sink,
            snapshots: self.snapshots.queue(),
            on_end,
            on_topic,
        });
        camera.map_err(|cause| {
            self.close_input(spec);
            CameraStartError::Thread(cause)
        })
    }

    /// Commits what is acknowledged of all cameras. Waits for the broker.
    pub fn commit(&self) {
        self.clients.commit();
    }
}
