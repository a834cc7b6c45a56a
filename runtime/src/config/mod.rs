//! `comux.toml`, parsed into values that can only be right.
//!
//! Each value checks itself where it is parsed, so that the error names the key and the line. What
//! concerns several values (a camera's tenant, topics used twice) is checked in [`Config::load`].

mod camera;
mod kafka;
mod values;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use camera::{CameraSpec, CameraTable, PluginEntry};
pub use kafka::{Cluster, KafkaTable, Role};
pub use values::{Framing, Id, Mode, Rate, Start, TopicTemplate};

use crate::plugin::Limits;

/// The tenant of cameras that name none.
pub const DEFAULT_TENANT: &str = "default";

/// What is wrong with a configuration, with the file and, where there is one, the line.
#[derive(Debug, thiserror::Error)]
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
    /// This instance's name, in logs and answers, and in the consumer group's name.
    pub name: Id,
    /// Where packets come from.
    pub consume: Cluster,
    /// Where packets go to.
    pub produce: Cluster,
    /// Limits of plugins.
    pub limits: Limits,
    /// The cameras, complete with their defaults.
    pub cameras: Vec<CameraSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    runtime: RuntimeTable,
    kafka: KafkaTable,
    #[serde(default)]
    topics: TopicsTable,
    #[serde(default)]
    limits: Limits,
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
}

impl Default for RuntimeTable {
    fn default() -> Self {
        Self { name: Id::literal("comux") }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TopicsTable {
    consume: TopicTemplate,
    produce: TopicTemplate,
}

impl Default for TopicsTable {
    fn default() -> Self {
        Self {
            consume: TopicTemplate::literal("raw_:cam_id"),
            produce: TopicTemplate::literal("stream_:cam_id"),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantTable {
    id: Id,
}

impl Config {
    /// Reads and checks a configuration file. Paths of plugins are relative to it.
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
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Invalid {
            path: path.to_path_buf(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        if file.camera_defaults.has_id() {
            return Err(ConfigError::Invalid {
                path: path.to_path_buf(),
                message: "[camera_defaults] can't have an `id`; give one to each of [[cameras]]"
                    .into(),
            });
        }
        let mut cameras = Vec::with_capacity(file.cameras.len());
        for camera in file.cameras {
            cameras.push(camera.complete(
                &file.camera_defaults,
                (&file.topics.consume, &file.topics.produce),
                directory,
            )?);
        }
        let config = Self {
            name: file.runtime.name,
            consume: file.kafka.cluster(Role::Consume),
            produce: file.kafka.cluster(Role::Produce),
            limits: file.limits,
            cameras,
        };
        config.check_tenants(&file.tenants)?;
        config.check_topics()?;
        Ok(config)
    }

    fn check_tenants(&self, tenants: &[TenantTable]) -> Result<(), ConfigError> {
        for camera in &self.cameras {
            let tenant = camera.tenant.as_str();
            let known = tenant == DEFAULT_TENANT || tenants.iter().any(|t| t.id == camera.tenant);
            if !known {
                let message = format!("unknown tenant `{tenant}`; add [[tenants]] with that id");
                return Err(ConfigError::Camera { camera: camera.id.to_string(), message });
            }
        }
        Ok(())
    }

    fn check_topics(&self) -> Result<(), ConfigError> {
        let mut users: HashMap<(&Cluster, &str), &str> = HashMap::new();
        let mut ids: HashMap<&str, ()> = HashMap::new();
        for camera in &self.cameras {
            let refuse =
                |message| Err(ConfigError::Camera { camera: camera.id.to_string(), message });
            if ids.insert(camera.id.as_str(), ()).is_some() {
                return refuse("there is another camera with this id; ids are unique".into());
            }
            let topics =
                [(&self.consume, &camera.consume_topic), (&self.produce, &camera.produce_topic)];
            for (cluster, topic) in topics {
                if let Some(other) = users.insert((cluster, topic), camera.id.as_str()) {
                    return refuse(format!(
                        "the topic `{topic}` is used already, by camera `{other}`; each camera \
                         needs topics of its own, so put `:cam_id` into [topics]"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
             [[cameras]]\nid = 'a'\n[[cameras]]\nid = 'b'\nrate = 'keyframes'\n\
             plugins = [{{ source = 'x.wasm', config = {{ threshold = 12 }} }}]"
        );
        let config = parse(&text).expect("valid");
        let [a, b] = &config.cameras[..] else { panic!("two cameras") };
        assert_eq!((a.rate, a.mode), (Some(Rate::PerSecond(5.0)), Mode::EveryFrame));
        assert_eq!((b.rate, b.mode), (Some(Rate::Keyframes), Mode::EveryFrame));
        assert_eq!((&*a.consume_topic, &*a.produce_topic), ("raw_a", "stream_a"));
        assert_eq!(b.plugins[0].path, Path::new("/plugins/x.wasm"));
        assert_eq!(b.plugins[0].config, r#"{"threshold":12}"#);
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
        ] {
            let error = parse(&format!("{KAFKA}{text}")).expect_err(text);
            for word in words {
                assert!(error.contains(word), "{text}\nshould say {word:?}:\n{error}");
            }
        }
    }
}
