//! `comux.toml`, parsed into values that can only be right.
//!
//! Each value checks itself where it is parsed, so that the error names the key and the line. What
//! concerns several values (a camera's tenant, topics used twice) is checked in [`Config::load`].

mod camera;
mod fit;
mod kafka;
mod security;
mod tenant;
mod topics;
mod values;

pub(crate) use camera::OPERATORS_KEYS;
pub use camera::{CameraSpec, CameraTable, IncompleteCamera, PluginEntry};
pub use kafka::{Cluster, KafkaTable, Role};
pub use security::{Security, SecurityTable};
pub use tenant::{Clusters, TenantSpec};
pub use topics::Topics;
pub use values::{
    DEFAULT_TENANT, DecodeThreads, Framing, Id, MAX_DECODE_THREADS, Mode, OnRefused, Rate, Start,
    TopicTemplate,
};

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::plugin::compile::Compiler;
use crate::plugin::{LoaderSettings, TenantPlugins};
use crate::policy::Quota;
use crate::policy::{BreakerSettings, Terms};
use crate::policy::{Limits, LimitsTable, LoadLimits};
use crate::tenancy::Tenants;
use tenant::TenantTable;

/// What is wrong with a configuration, with the file and, where there is one, the line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("configuration `{path}`: {cause}; name another file with --config")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The file is no TOML, or a key or value is wrong. The message shows the line.
    #[error("configuration `{path}`: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// Two parts of the configuration don't fit together.
    #[error("configuration: camera `{camera}`: {message}")]
    Camera {
        /// The camera.
        camera: String,
        /// What does not fit, and what to do.
        message: String,
    },
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's name, in logs and answers, and in the consumer group's name.
    pub name: Id,
    /// What this node keeps on disk: compiled plugins, components by digest, snapshots.
    pub state_dir: PathBuf,
    /// The plugin store.
    pub plugin_dir: PathBuf,
    /// Where paths that the file names begin.
    pub directory: PathBuf,
    /// Where packets come from.
    pub consume: Cluster,
    /// Where packets go to.
    pub produce: Cluster,
    /// Where commands come from, and answers go to.
    pub control: Cluster,
    /// The names of topics.
    pub topics: Topics,
    /// Limits of plugins.
    pub limits: Limits,
    /// What all tenants together may use.
    pub quota: Quota,
    /// The tenants; the default one only if the file says something of it.
    pub tenants: Vec<TenantSpec>,
    /// What is demanded of plugins, and where tenants have their own.
    pub security: Security,
    /// Where plugins are compiled: for the program that embeds this to say, not for the file.
    pub compiler: Compiler,
    /// What cameras take that they do not say themselves.
    pub camera_defaults: CameraTable,
    /// The file's cameras, complete with their defaults.
    pub cameras: Vec<CameraSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    runtime: RuntimeTable,
    kafka: KafkaTable,
    #[serde(default)]
    topics: topics::TopicsTable,
    #[serde(default)]
    limits: LimitsTable,
    #[serde(default)]
    quota: Quota,
    #[serde(default)]
    security: SecurityTable,
    #[serde(default)]
    camera_defaults: CameraTable,
    #[serde(default)]
    tenants: Vec<TenantTable>,
    #[serde(default)]
    cameras: Vec<CameraTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RuntimeTable {
    name: Id,
    state_dir: PathBuf,
    plugin_dir: PathBuf,
}

impl Default for RuntimeTable {
    fn default() -> Self {
        Self {
            name: Id::literal("comux"),
            state_dir: "comux-state".into(),
            plugin_dir: "plugins".into(),
        }
    }
}

impl Config {
    /// Reads and checks a configuration file. Paths in it are relative to it.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { path: path.to_path_buf(), cause })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, path, directory)
    }

    /// As [`Config::load`], of a text; `path` is for messages.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(text: &str, path: &Path, directory: &Path) -> Result<Self, ConfigError> {
        let invalid = |message| ConfigError::Invalid { path: path.to_path_buf(), message };
        let file: File = toml::from_str(text)
            .map_err(|error| invalid(error.to_string().trim_end().to_owned()))?;
        if file.camera_defaults.id.is_some() {
            let message = "[camera_defaults] can't have an `id`; give one to each of [[cameras]]";
            return Err(invalid(message.into()));
        }
        let tables = file.cameras.iter().chain([&file.camera_defaults]);
        if let Some(source) = tables.filter_map(CameraTable::plugin_with_null).next() {
            let message = "a plugin's `config` takes no `nan` and no `inf`: JSON has neither";
            return Err(invalid(format!("plugin `{source}`: {message}")));
        }
        let topics = file.topics.complete(&file.runtime.name);
        if let Some(topic) = topics.named_twice() {
            let message = format!("[topics]: control, status and state can't share `{topic}`");
            return Err(invalid(message));
        }
        let plugin_dir = directory.join(file.runtime.plugin_dir);
        let demands = file.tenants.iter().map(|tenant| {
            let own = tenant.plugin_dir.as_ref().map(|own| directory.join(own));
            (tenant.id.clone(), own, tenant.security.clone())
        });
        let security = Security::new(file.security, demands, &plugin_dir).map_err(invalid)?;
        let limits = file.limits.within(Limits::default());
        // A tenant's limits count more than those of cameras that say nothing.
        let limits = file.camera_defaults.limits().within(limits);
        let tenants = file.tenants.into_iter().map(|table| table.complete(limits, &file.kafka));
        let tenants: Vec<TenantSpec> = tenants.collect();
        for (number, tenant) in tenants.iter().enumerate() {
            if tenants.iter().take(number).any(|other| other.id == tenant.id) {
                return Err(invalid(format!(
                    "[[tenants]]: there are two with the id `{}`",
                    tenant.id
                )));
            }
        }
        let mut config = Self {
            name: file.runtime.name,
            state_dir: directory.join(file.runtime.state_dir),
            plugin_dir,
            directory: directory.to_path_buf(),
            consume: file.kafka.cluster(Role::Consume),
            produce: file.kafka.cluster(Role::Produce),
            control: file.kafka.cluster(Role::Control),
            topics,
            limits,
            quota: file.quota.or_of_the_host(),
            tenants,
            security,
            compiler: Compiler::default(),
            camera_defaults: file.camera_defaults,
            cameras: Vec::with_capacity(file.cameras.len()),
        };
        for table in file.cameras {
            let camera =
                config.complete(table).map_err(|error| invalid(format!("[[cameras]]: {error}")))?;
            let objection = config.objection(&camera, &config.cameras);
            let objection = objection.or_else(|| config.excess(&camera, &config.cameras));
            if let Some(message) = objection {
                return Err(ConfigError::Camera { camera: camera.id.to_string(), message });
            }
            config.cameras.push(camera);
        }
        Ok(config)
    }

    /// Completes a camera with this configuration's defaults.
    ///
    /// # Errors
    /// When something is missing that has no default.
    pub fn complete(&self, table: CameraTable) -> Result<CameraSpec, IncompleteCamera> {
        table.complete(&self.camera_defaults, &self.topics)
    }

    /// Whether there is such a tenant.
    #[must_use]
    pub fn knows(&self, tenant: &Id) -> bool {
        tenant.as_str() == DEFAULT_TENANT || self.tenants.iter().any(|known| known.id == *tenant)
    }

    /// All tenants, the default one included.
    #[must_use]
    pub fn tenant_ids(&self) -> BTreeSet<Id> {
        let default = Id::literal(DEFAULT_TENANT);
        self.tenants.iter().map(|tenant| tenant.id.clone()).chain([default]).collect()
    }

    /// The tenants at run time, with nothing used yet.
    #[must_use]
    pub fn open_tenants(&self) -> Tenants {
        let terms = self.tenant_ids().into_iter().map(|id| {
            let TenantSpec { weight, quota, .. } = self.tenant(&id);
            (id.as_str().into(), weight, quota)
        });
        Tenants::new(terms.collect(), self.quota)
    }

    /// What is said of a tenant.
    #[must_use]
    pub fn tenant(&self, id: &Id) -> TenantSpec {
        let known = self.tenants.iter().find(|known| known.id == *id).cloned();
        known.unwrap_or_else(|| TenantSpec::plain(id.clone(), self.limits))
    }

    /// What a camera's plugins may do.
    #[must_use]
    pub fn terms_of(&self, camera: &CameraSpec) -> Terms {
        Terms {
            limits: camera.limits.within(self.tenant(&camera.tenant).limits),
            breaker: camera.breaker.within(BreakerSettings::default()),
        }
    }

    /// Where a tenant's packets come from and go to.
    #[must_use]
    pub fn clusters_of(&self, tenant: &Id) -> [&Cluster; 2] {
        let known = self.tenants.iter().find(|known| known.id == *tenant);
        match known.and_then(|tenant| tenant.clusters.as_ref()) {
            Some(own) => [&own.consume, &own.produce],
            None => [&self.consume, &self.produce],
        }
    }

    /// Whether a tenant's packets are on clusters, or under credentials, that are not the host's:
    /// what is wrong with those concerns its cameras only.
    #[must_use]
    pub fn has_own_clusters(&self, tenant: &Id) -> bool {
        self.clusters_of(tenant) != [&self.consume, &self.produce]
    }

    /// Where plugins come from. Sources that the file names may be anywhere, for their tenant.
    #[must_use]
    pub fn loader(&self) -> LoaderSettings {
        let of_tenant =
            |(id, plugins): (&Id, &TenantPlugins)| (id.as_str().to_owned(), plugins.clone());
        let mut tenants: HashMap<_, _> = self.security.tenants.iter().map(of_tenant).collect();
        let trust = &self.security.trust;
        for camera in &self.cameras {
            let plugins = tenants.entry(camera.tenant.as_str().to_owned());
            let plugins = plugins.or_insert_with(|| TenantPlugins {
                trust: trust.clone(),
                ..TenantPlugins::default()
            });
            plugins.named_sources.extend(camera.plugins.iter().map(|entry| entry.source.clone()));
        }
        LoaderSettings {
            counts_fuel: false,
            state_dir: Some(self.state_dir.clone()),
            plugin_dir: self.plugin_dir.clone(),
            base: self.directory.clone(),
            trust: trust.clone(),
            tenants,
            compiler: self.compiler.clone(),
            limits: LoadLimits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("comux.toml"), Path::new("/plugins"))
            .map_err(|error| error.to_string())
    }

    const KAFKA: &str = "[kafka]\nbootstrap_servers = 'localhost:9092'\n";

    #[test]
    fn a_camera_takes_what_it_does_not_say_from_the_defaults() {
        let text = format!(
            "{KAFKA}[camera_defaults]\nrate = 5\nmode = 'every-frame'\n\
             [[cameras]]\nid = 'a'\ndecode_threads = 'auto'\nmax_age_ms = 700\n\
             [[cameras]]\nid = 'b'\nrate = 'keyframes'\ndecode_threads = 3\n\
             plugins = [{{ source = 'x.wasm', config = {{ threshold = 12 }} }}]"
        );
        let config = parse(&text).expect("valid");
        let [a, b] = &config.cameras[..] else { panic!("two cameras") };
        assert_eq!((a.rate, a.mode), (Rate::PerSecond(5.0), Mode::EveryFrame));
        assert_eq!((b.rate, b.mode), (Rate::Keyframes, Mode::EveryFrame));
        assert_eq!((&*a.consume_topic, &*a.produce_topic), ("raw_a", "stream_a"));
        assert_eq!(b.plugins[0].source.to_string(), "x.wasm");
        assert_eq!(b.plugins[0].config["threshold"], 12);
        assert_eq!(
            (a.decode_threads, b.decode_threads),
            (DecodeThreads::Auto, DecodeThreads::Fixed(3))
        );
        assert_eq!((a.max_age, b.max_age), (Some(Duration::from_millis(700)), None));
        for camera in [a, b] {
            let written = serde_json::to_value(camera.table()).expect("JSON");
            let read: CameraTable = serde_json::from_value(written).expect("a camera");
            assert_eq!(&config.complete(read).expect("complete"), camera, "nothing is lost");
        }
    }

    #[test]
    fn a_plugins_configuration_is_the_same_in_json() {
        let text = format!(
            "{KAFKA}[[cameras]]\nid = 'a'\n[[cameras.plugins]]\nsource = 'x.wasm'\n\
             config = {{ since = 1979-05-27T07:32:00Z, days = [{{ at = 07:32:00 }}], \
             float = 14444444444444444444444444.0 }}"
        );
        let config = parse(&text).expect("valid");
        let written = serde_json::to_string(&config.cameras[0].table()).expect("JSON");
        let read: CameraTable = serde_json::from_str(&written).expect("a camera");
        let read = config.complete(read).expect("complete");
        assert_eq!(read, config.cameras[0]);
        let expected = serde_json::json!({
            "since": "1979-05-27T07:32:00Z", "days": [{ "at": "07:32:00" }],
            "float": 14_444_444_444_444_444_444_444_444.0,
        });
        assert_eq!(serde_json::Value::Object(read.plugins[0].config.clone()), expected);
    }

    #[test]
    fn errors_name_the_key_and_the_line() {
        for (text, words) in [
            ("[[cameras]]\nid = 'a'\nratee = 1", &["line 5", "ratee"][..]),
            ("[[cameras]]\nid = 'a'\nrate = -1", &["line 5", "rate", "above 0"]),
            ("[[cameras]]\nid = 'a'\nrate = 'often'", &["line 5", "keyframes"]),
            ("[[cameras]]\nid = 'a'\ncodec = 'h266'", &["line 5", "h266", "h264"]),
            ("[[cameras]]\nid = 'a'\nmode = 'fast'", &["line 5", "every-frame"]),
            ("[[cameras]]\nid = 'a b'", &["line 4", "a b"]),
            ("[[cameras]]\nrate = 1", &["id"]),
            ("[camera_defaults]\nid = 'a'", &["id", "camera_defaults"]),
            ("[[cameras]]\nid = 'a'\n[[cameras]]\nid = 'a'", &["`a`", "unique"]),
            ("[topics]\nconsume = 'x'\n[[cameras]]\nid='a'\n[[cameras]]\nid='b'", &[":cam_id"]),
            ("[topics]\nconsume = 'x y'", &["line 4", "x y"]),
            ("[[cameras]]\nid = 'a'\ntenant = 'acme'", &["acme", "[[tenants]]"]),
            ("[camera_defaults]\ndrain_after_ms = 0", &["line 4", "drain_after_ms"]),
            ("[limits]\ndeadline_ms = 0", &["line 4", "deadline_ms"]),
            ("[camera_defaults]\ndecode_threads = 17", &["line 4", "auto", "1 to 16"]),
            (
                "[camera_defaults]\nplugins = [{ source = 'x', config = 07:32:00 }]",
                &["line 4", "07:32:00"],
            ),
            ("[camera_defaults]\ndecode_threads = 'many'", &["line 4", "auto", "1 to 16"]),
        ] {
            let error = parse(&format!("{KAFKA}{text}")).expect_err(text);
            for word in words {
                assert!(error.contains(word), "{text}\nshould say {word:?}:\n{error}");
            }
        }
    }
}
