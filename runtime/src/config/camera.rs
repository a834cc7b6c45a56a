//! A camera: as it is written, and complete with its defaults.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::values::{Framing, Id, Mode, Rate, Start, TopicTemplate};
use super::{ConfigError, DEFAULT_TENANT};
use crate::packet::Codec;

/// A camera as it is written in `[[cameras]]` or, without an id, in `[camera_defaults]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraTable {
    #[serde(alias = "_id")]
    id: Option<Id>,
    tenant: Option<Id>,
    consume: Option<TopicTemplate>,
    produce: Option<TopicTemplate>,
    codec: Option<Codec>,
    framing: Option<Framing>,
    mode: Option<Mode>,
    start: Option<Start>,
    max_offset_diff: Option<u32>,
    rate: Option<Rate>,
    decode_threads: Option<DecodeThreads>,
    drain_after_ms: Option<NonZeroU32>,
    plugins: Option<Vec<PluginTable>>,
}

/// One plugin of a camera, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginTable {
    source: PathBuf,
    #[serde(default)]
    config: serde_json::Map<String, serde_json::Value>,
}

/// How many pictures of a camera are decoded at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
struct DecodeThreads(usize);

impl TryFrom<u32> for DecodeThreads {
    type Error = &'static str;

    fn try_from(threads: u32) -> Result<Self, Self::Error> {
        match threads {
            1..=16 => Ok(Self(threads as usize)),
            _ => Err("`decode_threads` is 1 to 16"),
        }
    }
}

/// One plugin of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginEntry {
    /// The component's file.
    pub path: PathBuf,
    /// Its configuration, a JSON object.
    pub config: String,
}

/// A camera, complete.
#[derive(Debug, Clone)]
pub struct CameraSpec {
    /// Its id, unique in this instance.
    pub id: Id,
    /// Whose it is.
    pub tenant: Id,
    /// The topic its packets come from.
    pub consume_topic: String,
    /// The topic they go to.
    pub produce_topic: String,
    /// What its packets are decoded with.
    pub codec: Codec,
    /// How its records relate to pictures.
    pub framing: Framing,
    /// What it does when it can't keep up.
    pub mode: Mode,
    /// Where it begins to read.
    pub start: Start,
    /// In `live` mode: this many records behind the end, analysis skips.
    pub max_offset_diff: u32,
    /// How many frames are analysed; absent: all.
    pub rate: Option<Rate>,
    /// Pictures decoded at once; each one above 1 delays results by a picture.
    pub decode_threads: usize,
    /// When no record came for this long, pictures that the decoder still holds are given out.
    pub drain_after: Duration,
    /// Its plugins, in the order in which they run.
    pub plugins: Vec<PluginEntry>,
}

impl CameraTable {
    /// Whether it names a camera, as defaults may not.
    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// Completes a camera with `defaults`; `directory` is where relative plugin paths begin.
    ///
    /// # Errors
    /// When it has no id.
    pub fn complete(
        self,
        defaults: &CameraTable,
        (consume, produce): (&TopicTemplate, &TopicTemplate),
        directory: &Path,
    ) -> Result<CameraSpec, ConfigError> {
        let refuse = |camera: &str, message: &str| {
            let (camera, message) = (camera.to_owned(), message.to_owned());
            ConfigError::Camera { camera, message }
        };
        let Some(id) = self.id else {
            return Err(refuse("?", "a [[cameras]] entry needs an `id`"));
        };
        let tenant = self.tenant.or(defaults.tenant.clone());
        let tenant = tenant.unwrap_or(Id::literal(DEFAULT_TENANT));
        let consume = self.consume.as_ref().or(defaults.consume.as_ref()).unwrap_or(consume);
        let produce = self.produce.as_ref().or(defaults.produce.as_ref()).unwrap_or(produce);
        let codec = match self.codec.or(defaults.codec) {
            Some(codec) => codec,
            None => {
                Codec::from_name("h264").map_err(|error| refuse(id.as_str(), &error.to_string()))?
            }
        };
        let plugins = self.plugins.or(defaults.plugins.clone()).unwrap_or_default();
        let entry = |plugin: PluginTable| PluginEntry {
            path: directory.join(plugin.source),
            config: serde_json::Value::Object(plugin.config).to_string(),
        };
        let threads = self.decode_threads.or(defaults.decode_threads);
        Ok(CameraSpec {
            consume_topic: consume.topic(&tenant, &id),
            produce_topic: produce.topic(&tenant, &id),
            codec,
            framing: self.framing.or(defaults.framing).unwrap_or(Framing::Packet),
            mode: self.mode.or(defaults.mode).unwrap_or(Mode::Live),
            start: self.start.or(defaults.start).unwrap_or(Start::End),
            max_offset_diff: self.max_offset_diff.or(defaults.max_offset_diff).unwrap_or(20),
            rate: self.rate.or(defaults.rate),
            decode_threads: threads.map_or(1, |DecodeThreads(count)| count),
            drain_after: Duration::from_millis(u64::from(
                self.drain_after_ms.or(defaults.drain_after_ms).map_or(1000, NonZeroU32::get),
            )),
            plugins: plugins.into_iter().map(entry).collect(),
            id,
            tenant,
        })
    }
}
