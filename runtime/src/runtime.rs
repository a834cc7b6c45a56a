//! All cameras of an instance: started together, stopped together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rdkafka::error::KafkaError;

use crate::camera::{Analysis, Camera};
use crate::config::{CameraSpec, Config, PluginEntry};
use crate::plugin::{ConfigureError, Engine, Instance, LoadError, LoadedPlugin};
use crate::sink::{Progress, Sink};
use crate::source::Source;
use crate::stats::{CameraCounts, CameraStats};

/// The instance could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// wasmtime does not run here.
    #[error("the plugin engine can't run on this machine: {0}")]
    Engine(wasmtime::Error),
    /// A plugin can't be loaded.
    #[error(transparent)]
    Plugin(#[from] LoadError),
    /// A plugin can't be configured for a camera.
    #[error("camera `{camera}`: {cause}")]
    Configure {
        /// The camera.
        camera: String,
        /// What the plugin says.
        cause: ConfigureError,
    },
    /// Two plugins of a camera would write the same header.
    #[error(
        "camera `{camera}`: plugins {first} and {second} both write the header `{header}`; \
         use one of them"
    )]
    SharedHeader {
        /// The camera.
        camera: String,
        /// The plugin that comes first.
        first: String,
        /// The one after it.
        second: String,
        /// The header.
        header: String,
    },
    /// A Kafka client could not be created.
    #[error("kafka: {0}; see `[kafka] properties`")]
    Client(KafkaError),
    /// A camera's topic can't be consumed.
    #[error("camera `{camera}`: topic `{topic}`: {cause}")]
    Open {
        /// The camera.
        camera: String,
        /// The topic.
        topic: String,
        /// What librdkafka says.
        cause: KafkaError,
    },
    /// The operating system gives no more threads.
    #[error("camera `{camera}`: no thread: {cause}")]
    Thread {
        /// The camera.
        camera: String,
        /// What the operating system says.
        cause: std::io::Error,
    },
}

/// Every plugin of a configuration, loaded once however many cameras run it.
pub struct Plugins {
    engine: Engine,
    loaded: HashMap<PathBuf, Arc<LoadedPlugin>>,
}

impl Plugins {
    /// Loads the plugins of all cameras, and starts each once with each camera's configuration, so
    /// that what a plugin would refuse is known before the first frame.
    ///
    /// # Errors
    /// When a plugin can't be loaded or configured.
    pub fn load(config: &Config) -> Result<Self, StartError> {
        let engine = Engine::new().map_err(StartError::Engine)?;
        let mut loaded = HashMap::new();
        for PluginEntry { path, .. } in config.cameras.iter().flat_map(|camera| &camera.plugins) {
            if !loaded.contains_key(path) {
                loaded.insert(path.clone(), Arc::new(engine.load(path)?));
            }
        }
        let plugins = Self { engine, loaded };
        for camera in &config.cameras {
            plugins.check_headers(camera)?;
            plugins.start(camera, config)?;
        }
        Ok(plugins)
    }

    /// The plugins by the file that they come from.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &LoadedPlugin)> {
        self.loaded.iter().map(|(path, plugin)| (path.as_path(), &**plugin))
    }

    fn check_headers(&self, camera: &CameraSpec) -> Result<(), StartError> {
        let mut writers: HashMap<&str, &LoadedPlugin> = HashMap::new();
        for plugin in camera.plugins.iter().filter_map(|entry| self.loaded.get(&entry.path)) {
            for header in &plugin.headers {
                if let Some(first) = writers.insert(header, plugin) {
                    return Err(StartError::SharedHeader {
                        camera: camera.id.to_string(),
                        first: first.identity.clone(),
                        second: plugin.identity.clone(),
                        header: header.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn start(&self, camera: &CameraSpec, config: &Config) -> Result<Analysis, StartError> {
        let owner = (camera.tenant.as_str().into(), camera.id.as_str().into());
        let mut chain = Vec::with_capacity(camera.plugins.len());
        for entry in &camera.plugins {
            let Some(loaded) = self.loaded.get(&entry.path) else { continue };
            let (loaded, owner) = (Arc::clone(loaded), Clone::clone(&owner));
            let settings = entry.config.clone();
            let instance = Instance::start(&self.engine, loaded, owner, settings, config.limits)
                .map_err(|cause| {
                    let camera = camera.id.to_string();
                    StartError::Configure { camera, cause }
                })?;
            chain.push(instance);
        }
        Ok(Analysis::new(chain, camera.rate))
    }
}

/// A running instance.
pub struct Runtime {
    cameras: Vec<Camera>,
    source: Source,
    _sink: Sink,
}

/// What a camera counted, and how it ended.
pub struct CameraReport {
    /// The camera.
    pub spec: Arc<CameraSpec>,
    /// Its counters.
    pub counts: CameraCounts,
    /// Why it stopped by itself, if it did.
    pub error: Option<String>,
}

impl Runtime {
    /// Starts every camera. Topics must exist; see [`crate::preflight`].
    ///
    /// # Errors
    /// When a client, a plugin or a camera can't be started; nothing runs then.
    pub fn start(config: &Config, plugins: &Plugins) -> Result<Self, StartError> {
        let source = Source::new(&config.consume, &config.name).map_err(StartError::Client)?;
        let sink = Sink::new(&config.produce, &config.name).map_err(StartError::Client)?;
        let mut runtime =
            Self { cameras: Vec::with_capacity(config.cameras.len()), source, _sink: sink.clone() };
        match runtime.start_cameras(config, plugins, &sink) {
            Ok(()) => Ok(runtime),
            Err(error) => {
                drop(runtime.stop());
                Err(error)
            }
        }
    }

    fn start_cameras(
        &mut self,
        config: &Config,
        plugins: &Plugins,
        sink: &Sink,
    ) -> Result<(), StartError> {
        for spec in &config.cameras {
            let analysis = plugins.start(spec, config)?;
            let progress = Arc::<Progress>::default();
            let queue = self.source.open(spec, Arc::clone(&progress)).map_err(|cause| {
                let (camera, topic) = (spec.id.to_string(), spec.consume_topic.clone());
                StartError::Open { camera, topic, cause }
            })?;
            let stats = Arc::<CameraStats>::default();
            let spec = Arc::new(spec.clone());
            let camera =
                Camera::start(spec.clone(), queue, analysis, sink.clone(), (stats, progress))
                    .map_err(|cause| StartError::Thread { camera: spec.id.to_string(), cause })?;
            self.cameras.push(camera);
        }
        Ok(())
    }

    /// The cameras, for their counters.
    #[must_use]
    pub fn cameras(&self) -> &[Camera] {
        &self.cameras
    }

    /// Stops all cameras: each gives out what it has received, and what is acknowledged is
    /// committed.
    #[must_use]
    pub fn stop(self) -> Vec<CameraReport> {
        for camera in &self.cameras {
            camera.stop();
        }
        let report = |camera: Camera| {
            let (spec, stats) = (camera.spec.clone(), camera.stats.clone());
            let error = camera.join().err().map(|error| error.to_string());
            CameraReport { spec, counts: stats.counts(), error }
        };
        let reports = self.cameras.into_iter().map(report).collect();
        self.source.commit_now();
        reports
    }
}
