//! Everything that can fail at start, looked at without starting anything.

use std::collections::HashSet;
use std::sync::Arc;

use rdkafka::error::KafkaError;

use crate::camera;
use crate::camera::CameraError;
use crate::config::Config;
use crate::control;
use crate::control::camera::configure_alone;
use crate::control::wire::{Refusal, StepTimes};
use crate::kafka::ClientPool;
use crate::kafka::{CameraTopics, TopicError, TopicWarning, ensure_camera_topics, reach};
use crate::plugin::{Loader, LoaderSettings, OpenError};

/// Something that would keep the node from starting.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// Plugins can't be run here.
    #[error(transparent)]
    Plugins(#[from] OpenError),
    /// A Kafka client could not be created.
    #[error("kafka: {0}; see `[kafka] properties`")]
    Client(#[from] KafkaError),
    /// A cluster or topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The topics of control.
    #[error(transparent)]
    Control(#[from] control::ControlPlaneError),
    /// A camera's stream can't be decoded here.
    #[error("camera `{camera}`: {error}")]
    Stream {
        /// The camera.
        camera: String,
        /// What keeps it from running.
        error: CameraError,
    },
    /// A camera's plugins.
    #[error("camera `{camera}`: {refusal}")]
    Camera {
        /// The camera.
        camera: String,
        /// What keeps it from running.
        refusal: Refusal,
    },
}

/// What was found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A camera can run this plugin.
    Plugin {
        /// The camera.
        camera: String,
        /// The plugin's identity.
        identity: String,
    },
    /// A cluster answers.
    Cluster(String),
    /// The topics of control exist.
    Control,
    /// A camera's topics exist; those named here were created just now.
    Topics {
        /// The camera.
        camera: String,
        /// Topics that did not exist before.
        created: Vec<String>,
    },
    /// A camera can run, and something about its topics would break a promise.
    Warning {
        /// The camera.
        camera: String,
        /// What, and what to do.
        warning: TopicWarning,
    },
}

/// Checks plugins, clusters and topics of the configuration file, creating missing topics; tells
/// `found` of each as it goes.
///
/// # Errors
/// The first obstacle.
pub async fn preflight(config: &Config, mut found: impl FnMut(Finding)) -> Result<(), Obstacle> {
    let loader = Loader::open(LoaderSettings { state_dir: None, ..config.loader() })?;
    let (tenants, mut instances) = (config.open_tenants(), Vec::new());
    for spec in &config.cameras {
        let camera = spec.id.to_string();
        if let Err(error) = camera::check(spec) {
            return Err(Obstacle::Stream { camera, error });
        }
        let obstacle = |refusal| Obstacle::Camera { camera: camera.clone(), refusal };
        let mut steps = StepTimes::default();
        let Some(tenant) = tenants.get(spec.tenant.as_str()) else { continue };
        let chain = control::camera::load_all(
            &loader,
            (&tenant, config.terms_of(spec).limits),
            &spec.plugins,
            &mut steps,
        )
        .await;
        for placed in chain.map_err(obstacle)? {
            let (owner, terms) = ((Arc::clone(&tenant), &spec.id), config.terms_of(spec));
            let configured = configure_alone(&loader, owner, &placed, terms, &mut steps).await;
            // Kept until all are there: together they have to fit into the quotas.
            instances.push(configured.map_err(obstacle)?);
            let identity = placed.plugin.identity.clone();
            found(Finding::Plugin { camera: camera.clone(), identity });
        }
    }
    drop(instances);
    let clients = ClientPool::default();
    let mut reached = HashSet::new();
    let of_cameras = config.cameras.iter().flat_map(|camera| config.clusters_of(&camera.tenant));
    for cluster in [&config.consume, &config.produce].into_iter().chain(of_cameras) {
        if reached.insert(cluster) {
            let clients = clients.topics(cluster, config).await?;
            reach(&clients.consumer, &cluster.bootstrap_servers)?;
            found(Finding::Cluster(cluster.bootstrap_servers.clone()));
        }
    }
    control::ensure_topics(config).await?;
    found(Finding::Control);
    for camera in &config.cameras {
        let topics = ensure_camera_topics::<Obstacle>(&clients, config, camera).await?;
        let CameraTopics { created, warnings } = topics;
        let camera = camera.id.to_string();
        found(Finding::Topics { camera: camera.clone(), created });
        for warning in warnings {
            found(Finding::Warning { camera: camera.clone(), warning });
        }
    }
    Ok(())
}
