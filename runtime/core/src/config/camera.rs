//! A camera: as people write it, and complete with its defaults.
//!
//! The same shape stands in `comux.toml`, in control records and in the desired state:
//! [`CameraTable`] is what is written, [`CameraSpec`] what runs, and each can be had from the
//! other.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::topics::Topics;
use super::values::{
    DEFAULT_TENANT, DecodeThreads, Framing, Id, Mode, OnRefused, Rate, Start, TopicTemplate,
};
use crate::policy::BreakerTable;
use crate::policy::{Digest, LimitsTable, PluginRef};
use crate::video::decode::{Decoder, Fidelity};
use crate::video::packet::{Codec, UnknownCodec};

/// What tenants may not set on their own cameras. Whoever names a topic reads or writes it with the
/// operator's credentials; and decoding threads do not wait for a core behind those of other
/// tenants.
pub(crate) const OPERATORS_KEYS: [&str; 5] =
    ["consume", "produce", "dead_letters", "on_refused", "decode_threads"];

/// A camera as it is written in `[[cameras]]` or, without an id, in `[camera_defaults]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraTable {
    /// Its id.
    #[serde(alias = "_id", skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consume: Option<TopicTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    produce: Option<TopicTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codec: Option<Codec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    framing: Option<Framing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Start>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_refused: Option<OnRefused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letters: Option<TopicTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_offset_diff: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_ms: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decode: Option<Fidelity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decode_threads: Option<DecodeThreads>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_after_ms: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "LimitsTable::is_empty")]
    limits: LimitsTable,
    #[serde(skip_serializing_if = "BreakerTable::is_empty")]
    breaker: BreakerTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins: Option<Vec<PluginEntry>>,
}

/// One plugin of a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginEntry {
    /// Where its component comes from.
    pub source: PluginRef,
    /// Which component it must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Its configuration, as JSON has it: a date of a file is the text that it was written as.
    #[serde(default, deserialize_with = "as_json")]
    pub config: Map<String, Value>,
}

fn as_json<'de, D: Deserializer<'de>>(written: D) -> Result<Map<String, Value>, D::Error> {
    /// How the crate `toml` hands out a date: as a table with this one key.
    const DATE: &str = "$__toml_private_datetime";
    fn dates_to_texts(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(dates_to_texts);
                if let (1, Some(Value::String(date))) = (fields.len(), fields.get_mut(DATE)) {
                    *value = Value::String(std::mem::take(date));
                }
            }
            Value::Array(values) => values.iter_mut().for_each(dates_to_texts),
            _ => {}
        }
    }
    let mut config = Value::deserialize(written)?;
    dates_to_texts(&mut config);
    serde_json::from_value(config).map_err(D::Error::custom)
}

/// A camera, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraSpec {
    /// Its id, unique in this node.
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
    /// What it does with a record that its output topic refuses.
    pub on_refused: OnRefused,
    /// The topic for those, where they go to one.
    pub dead_letter_topic: String,
    /// In `live` mode: this many records behind the end, analysis skips.
    pub max_offset_diff: u32,
    /// In `live` mode: of records that are older than this when they arrive, analysis skips.
    pub max_age: Option<Duration>,
    /// How many frames are analysed.
    pub rate: Rate,
    /// How closely its frames are decoded.
    pub decode: Fidelity,
    /// Frames decoded at once; each one above 1 delays results by a frame.
    pub decode_threads: DecodeThreads,
    /// When no record came for this long, frames that the decoder still holds are given out.
    pub drain_after: Duration,
    /// The limits of its plugins, where they are others than its tenant's.
    pub limits: LimitsTable,
    /// When a plugin that keeps failing is left out.
    pub breaker: BreakerTable,
    /// Its plugins, in the order in which they run.
    pub plugins: Vec<PluginEntry>,
}

/// A camera that can't be completed.
#[derive(Debug, thiserror::Error)]
pub enum IncompleteCamera {
    /// It has no id.
    #[error("a camera needs an `id`")]
    NoId,
    /// It names no codec, and this libavcodec does not have the default one.
    #[error(transparent)]
    NoCodec(#[from] UnknownCodec),
}

impl CameraTable {
    /// Whether it sets one of [`OPERATORS_KEYS`].
    #[must_use]
    pub fn names_what_is_the_operators(&self) -> bool {
        // What is not set is not written.
        let written = serde_json::to_value(self).unwrap_or_default();
        OPERATORS_KEYS.iter().any(|key| written.get(key).is_some())
    }

    /// The limits that it sets for its plugins.
    #[must_use]
    pub fn limits(&self) -> LimitsTable {
        self.limits
    }

    /// The first of its plugins whose configuration has a null somewhere. A file has no other than
    /// what JSON makes of numbers that are none.
    pub(crate) fn plugin_with_null(&self) -> Option<&PluginRef> {
        fn has_null(value: &Value) -> bool {
            match value {
                Value::Null => true,
                Value::Array(values) => values.iter().any(has_null),
                Value::Object(values) => values.values().any(has_null),
                _ => false,
            }
        }
        let mut plugins = self.plugins.iter().flatten();
        let found = plugins.find(|plugin| plugin.config.values().any(has_null));
        found.map(|plugin| &plugin.source)
    }

    /// Completes a camera with `defaults`, and its topics by the templates of `topics`.
    ///
    /// # Errors
    /// When something is missing that has no default.
    pub fn complete(
        self,
        defaults: &CameraTable,
        topics: &Topics,
    ) -> Result<CameraSpec, IncompleteCamera> {
        let id = self.id.ok_or(IncompleteCamera::NoId)?;
        let tenant = self.tenant.or_else(|| defaults.tenant.clone());
        let tenant = tenant.unwrap_or(Id::literal(DEFAULT_TENANT));
        let consume = self.consume.as_ref().or(defaults.consume.as_ref());
        let produce = self.produce.as_ref().or(defaults.produce.as_ref());
        let dead_letters = self.dead_letters.as_ref().or(defaults.dead_letters.as_ref());
        let threads = self.decode_threads.or(defaults.decode_threads);
        let drain_after_ms = self.drain_after_ms.or(defaults.drain_after_ms);
        let max_age_ms = self.max_age_ms.or(defaults.max_age_ms);
        Ok(CameraSpec {
            consume_topic: consume.unwrap_or(&topics.consume).topic(&tenant, &id),
            produce_topic: produce.unwrap_or(&topics.produce).topic(&tenant, &id),
            codec: self.codec.or(defaults.codec).map_or_else(|| Codec::from_name("h264"), Ok)?,
            framing: self.framing.or(defaults.framing).unwrap_or(Framing::Packet),
            mode: self.mode.or(defaults.mode).unwrap_or(Mode::Live),
            start: self.start.or(defaults.start).unwrap_or(Start::Committed),
            on_refused: self.on_refused.or(defaults.on_refused).unwrap_or(OnRefused::Stop),
            dead_letter_topic: dead_letters.unwrap_or(&topics.dead_letters).topic(&tenant, &id),
            max_offset_diff: self.max_offset_diff.or(defaults.max_offset_diff).unwrap_or(20),
            max_age: max_age_ms.map(|ms| Duration::from_millis(ms.get().into())),
            rate: self.rate.or(defaults.rate).unwrap_or(Rate::All),
            decode: self.decode.or(defaults.decode).unwrap_or(Fidelity::Exact),
            decode_threads: threads.unwrap_or(DecodeThreads::Auto),
            drain_after: Duration::from_millis(drain_after_ms.map_or(1000, |ms| ms.get().into())),
            limits: self.limits,
            breaker: self.breaker.or(defaults.breaker),
            plugins: self.plugins.or_else(|| defaults.plugins.clone()).unwrap_or_default(),
            id,
            tenant,
        })
    }
}

impl CameraSpec {
    /// The topics that it writes to.
    pub fn output_topics(&self) -> impl Iterator<Item = &str> {
        let dead_letters = self.on_refused == OnRefused::DeadLetter;
        let dead_letters = dead_letters.then_some(self.dead_letter_topic.as_str());
        [self.produce_topic.as_str()].into_iter().chain(dead_letters)
    }

    /// A decoder for it, still to be opened.
    #[must_use]
    pub fn decoder(&self) -> Decoder {
        Decoder::new(self.codec, self.decode_threads.at_first(), self.decode)
    }

    /// Whether [`Self::decoder`] gives one that does the same as `other`'s.
    #[must_use]
    pub fn decodes_as(&self, other: &Self) -> bool {
        let settings = |of: &Self| (of.codec, of.decode_threads, of.decode);
        settings(self) == settings(other)
    }

    /// The camera as one would write it without any defaults.
    #[must_use]
    pub fn table(&self) -> CameraTable {
        let millis =
            |time: Duration| NonZeroU32::new(u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        CameraTable {
            id: Some(self.id.clone()),
            tenant: Some(self.tenant.clone()),
            consume: Some(TopicTemplate::exactly(&self.consume_topic)),
            produce: Some(TopicTemplate::exactly(&self.produce_topic)),
            codec: Some(self.codec),
            framing: Some(self.framing),
            mode: Some(self.mode),
            start: Some(self.start),
            on_refused: Some(self.on_refused),
            dead_letters: Some(TopicTemplate::exactly(&self.dead_letter_topic)),
            max_offset_diff: Some(self.max_offset_diff),
            max_age_ms: self.max_age.and_then(millis),
            rate: Some(self.rate),
            decode: Some(self.decode),
            decode_threads: Some(self.decode_threads),
            drain_after_ms: millis(self.drain_after),
            limits: self.limits,
            breaker: self.breaker,
            plugins: Some(self.plugins.clone()),
        }
    }

    /// Whether `other` asks for the same: a component that `other` does not pin may be any.
    #[must_use]
    pub fn satisfies(&self, other: &Self) -> bool {
        let mut asked = other.clone();
        for (own, asked) in self.plugins.iter().zip(&mut asked.plugins) {
            asked.sha256 = asked.sha256.or(own.sha256);
        }
        *self == asked
    }
}
