//! A node: all cameras that should run, and the control plane that changes them.

use std::sync::Arc;

use crate::config::Config;
use crate::control;
use crate::control::camera::CameraReport;
use crate::control::{Actions, CameraView, ControlPlane, NodeProcess};
use crate::host::{Host, HostError};
use crate::kafka::TopicClients;
use crate::kafka::{TopicError, reach};
use crate::plugin::{Loader, OpenError};

/// The node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A cluster or topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// What all cameras share.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Control, or a camera of the configuration file.
    #[error(transparent)]
    Control(#[from] control::ControlPlaneError),
}

/// A running node. It lives on the tokio runtime on which it was started.
pub struct Runtime {
    host: Arc<Host>,
    control: ControlPlane,
    /// Looks at output topics.
    watch: tokio::task::JoinHandle<()>,
}

impl Runtime {
    /// Starts every camera of the desired state, and takes commands from then on: comux's own and
    /// `actions`.
    ///
    /// # Errors
    /// When something that all cameras need is missing, or a camera of the configuration file can't
    /// start; nothing runs then.
    pub async fn start(config: Config, actions: Actions) -> Result<Self, StartError> {
        let loader = Loader::open(config.loader()).map_err(HostError::from)?;
        for cluster in [&config.consume, &config.produce] {
            let clients = TopicClients::new(cluster, &config).map_err(HostError::from)?;
            reach(&clients.consumer, &cluster.bootstrap_servers)?;
        }
        control::ensure_topics(&config).await?;
        let host = Arc::new(Host::open(config, loader)?);
        let control = ControlPlane::start(Arc::clone(&host), actions).await?;
        let watched = Arc::clone(&host);
        let watch = tokio::spawn(async move { watched.watch_outputs().await });
        Ok(Self { host, control, watch })
    }

    /// The cameras, as they are now.
    #[must_use]
    pub fn cameras(&self) -> Vec<CameraView> {
        self.control.cameras()
    }

    /// Waits until another process of this node's name waits for this one to [stop](Self::stop).
    /// Both must not run: whoever embeds a runtime has to stop it then.
    pub async fn successor(&self) -> NodeProcess {
        self.control.successor().await
    }

    /// Stops all cameras: each gives out what it has received, what is acknowledged is committed,
    /// and what plugins remember is kept.
    pub async fn stop(self) -> Vec<CameraReport> {
        self.watch.abort();
        let (reports, tenure) = self.control.stop().await;
        let host = self.host;
        let finish = move || {
            host.commit();
            host.snapshots.finish();
        };
        let _ = tokio::task::spawn_blocking(finish).await;
        tenure.end().await;
        reports
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self::Host(error.into())
    }
}
