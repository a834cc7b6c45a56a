//! What all cameras of an instance share, and what it takes to start and stop one.

use std::sync::Arc;

use rdkafka::admin::AdminClient;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use tokio::sync::Mutex;

use crate::camera::{Analysis, Camera, Equipment};
use crate::config::{CameraSpec, Cluster, Config};
use crate::kafka::{Quiet, TopicError, consumer_config, ensure_topic, producer_config};
use crate::memories::Memories;
use crate::plugin::{Instance, Loader, OpenError};
use crate::sink::{Progress, Sink};
use crate::source::{CameraQueue, Source};
use crate::tenant::{Tenant, Tenants};

/// The instance could not be started.
#[derive(Debug, thiserror::Error)]
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
pub enum StartError {
    /// A topic can't be used.
    #[error(transparent)]
    Topic(#[from] TopicError),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Its records pass without being analysed.
    pub paused: bool,
    /// It begins where its output was acknowledged last, whatever its `start` says.
    pub goes_on: bool,
    /// Its plugins get back what they remembered.
    pub remembers: bool,
}

/// What all cameras of an instance share.
pub struct Host {
    /// How the instance is configured.
    pub config: Config,
    /// Where plugins come from.
    pub loader: Loader,
    /// What plugins remember.
    pub memories: Memories,
    /// Whose the cameras are, and what they may use.
    pub tenants: Tenants,
    source: Source,
    sink: Sink,
    topics: Topics,
}

/// Clients to ask for topics with. One question at a time: they are rare, and none is on the way of
/// a frame.
struct Topics {
    consume: Mutex<TopicClients>,
    produce: Mutex<TopicClients>,
}

/// Clients to ask one cluster with.
pub struct TopicClients {
    /// For metadata.
    pub consumer: BaseConsumer<Quiet>,
    /// For creation and settings.
    pub admin: AdminClient<Quiet>,
}

impl TopicClients {
    /// Clients for a cluster.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn new(cluster: &Cluster, config: &Config) -> Result<Self, KafkaError> {
        let consumer = consumer_config(cluster, &config.name);
        let admin = producer_config(cluster, &config.name);
        Ok(Self {
            consumer: consumer.create_with_context(Quiet)?,
            admin: admin.create_with_context(Quiet)?,
        })
    }
}

impl Host {
    /// Opens the clients and directories that cameras need. `loader`: where plugins come from.
    ///
    /// # Errors
    /// When a client can't be created or a directory not be used.
    pub fn open(config: Config, loader: Loader) -> Result<Self, HostError> {
        let topics = Topics {
            consume: Mutex::new(TopicClients::new(&config.consume, &config)?),
            produce: Mutex::new(TopicClients::new(&config.produce, &config)?),
        };
        let source = Source::new(&config.consume, &config.name)?;
        let sink = Sink::new(&config.produce, &config.name)?;
        let memories = Memories::open(&config.state_dir).map_err(HostError::Memories)?;
        let tenants = Tenants::new(&config);
        Ok(Self { config, loader, memories, tenants, source, sink, topics })
    }

    /// Sees to it that a camera's topics exist.
    ///
    /// # Errors
    /// When one can't be created, or has more than one partition.
    pub async fn ensure_topics(&self, spec: &CameraSpec) -> Result<(), TopicError> {
        let wanted = [
            (&self.topics.consume, &spec.consume_topic),
            (&self.topics.produce, &spec.produce_topic),
        ];
        for (clients, topic) in wanted {
            let clients = clients.lock().await;
            if ensure_topic(&clients.consumer, &clients.admin, topic, &[]).await? {
                tracing::debug!(camera = spec.id.as_str(), topic, "topic created");
            }
        }
        Ok(())
    }

    /// Begins to consume a camera's topic; `goes_on` as in [`Start`]. Waits for the broker.
    ///
    /// # Errors
    /// When the broker can't say where to begin.
    pub fn open_input(
        &self,
        spec: &CameraSpec,
        goes_on: bool,
    ) -> Result<(CameraQueue, Arc<Progress>), StartError> {
        let progress = Arc::<Progress>::default();
        match self.source.open(spec, goes_on, Arc::clone(&progress)) {
            Ok(queue) => Ok((queue, progress)),
            Err(cause) => Err(StartError::Open { topic: spec.consume_topic.clone(), cause }),
        }
    }

    /// Commits what is acknowledged of a topic, and consumes it no longer. Waits for the broker.
    pub fn close_input(&self, topic: &str) {
        self.source.close(topic);
    }

    /// Starts a camera whose topics exist. Waits for the broker.
    ///
    /// # Errors
    /// When its topic can't be consumed, or there is no thread for it.
    pub fn start_camera(
        &self,
        spec: &Arc<CameraSpec>,
        tenant: Arc<Tenant>,
        chain: Vec<Instance>,
        how: Start,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Result<Camera, StartError> {
        let (queue, progress) = self.open_input(spec, how.goes_on)?;
        let camera = Camera::start(Equipment {
            spec: Arc::clone(spec),
            queue,
            progress,
            tenant,
            analysis: Analysis::new(chain, spec.rate),
            paused: how.paused,
            sink: self.sink.clone(),
            memories: self.memories.desk(),
            on_end: Box::new(on_end),
        });
        camera.map_err(|cause| {
            self.close_input(&spec.consume_topic);
            StartError::Thread(cause)
        })
    }

    /// Commits what is acknowledged of all cameras. Waits for the broker.
    pub fn commit(&self) {
        self.source.commit_now();
    }
}
