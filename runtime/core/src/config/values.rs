//! Single values of the configuration, each of which refuses what it can't be.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The tenant of cameras that name none.
pub const DEFAULT_TENANT: &str = "default";

/// The name of a camera, a tenant or a node: 1 to 128 of `A-Z a-z 0-9 . _ -`, what Kafka
/// allows in the name of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Id(String);

/// A text is no id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no id; an id has 1 to 128 letters, digits, `.`, `_` and `-`")]
pub struct InvalidId(String);

impl Id {
    /// Checks a text.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        let allowed = !text.is_empty() && text.len() <= 128 && text.chars().all(in_topic_name);
        if allowed { Ok(Self(text.to_owned())) } else { Err(InvalidId(text.to_owned())) }
    }

    /// An id that is known to be one when the program is written.
    pub(crate) fn literal(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn in_topic_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

/// The name of a camera's topic, with `:cam_id` and `:tenant` to be filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TopicTemplate(String);

impl TopicTemplate {
    pub(crate) fn literal(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn names_tenant(&self) -> bool {
        self.0.contains(":tenant")
    }

    /// The template of one camera alone.
    pub(crate) fn exactly(topic: &str) -> Self {
        Self(topic.to_owned())
    }

    /// Whether it is the topic of any camera of this tenant.
    pub(crate) fn could_be(&self, topic: &str, tenant: &Id) -> bool {
        let filled = self.0.replace(":tenant", tenant.as_str());
        let Some((before, after)) = filled.split_once(":cam_id") else { return filled == topic };
        let camera = topic.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        camera.is_some_and(|id| Id::new(id).is_ok())
    }

    /// The camera's topic.
    #[must_use]
    pub fn topic(&self, tenant: &Id, camera: &Id) -> String {
        self.0.replace(":cam_id", camera.as_str()).replace(":tenant", tenant.as_str())
    }
}

impl<'de> Deserialize<'de> for TopicTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        topic_text(deserializer, &[":cam_id", ":tenant"]).map(Self)
    }
}

/// The name of a topic of the whole node, with `:runtime` for its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceTopic(String);

impl InstanceTopic {
    pub(crate) fn literal(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn topic(&self, node: &Id) -> String {
        self.0.replace(":runtime", node.as_str())
    }
}

impl<'de> Deserialize<'de> for InstanceTopic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        topic_text(deserializer, &[":runtime"]).map(Self)
    }
}

/// A topic's name in which `places` may stand for what is filled in.
fn topic_text<'de, D: Deserializer<'de>>(
    deserializer: D,
    places: &[&str],
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let filled = places.iter().fold(text.clone(), |filled, place| filled.replace(place, "x"));
    if filled.is_empty() || filled.len() > 200 || !filled.chars().all(in_topic_name) {
        return Err(de::Error::custom(format!(
            "`{text}` is no topic; a topic has letters, digits, `.`, `_` and `-`, and {} where \
             that is to be filled in",
            places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(" and ")
        )));
    }
    Ok(text)
}

/// How many frames are analysed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Every frame.
    All,
    /// At most this many per second of the records' own time.
    PerSecond(f64),
    /// Key frames only; nothing else is decoded.
    Keyframes,
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RateVisitor;

        impl de::Visitor<'_> for RateVisitor {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a `rate`: frames per second above 0 and up to 1000, \"keyframes\" or \"all\"",
                )
            }

            fn visit_f64<E: de::Error>(self, rate: f64) -> Result<Rate, E> {
                if rate > 0.0 && rate <= 1000.0 {
                    Ok(Rate::PerSecond(rate))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(rate), &self))
                }
            }

            fn visit_i64<E: de::Error>(self, rate: i64) -> Result<Rate, E> {
                self.visit_f64(rate as f64)
            }

            // JSON's whole numbers come as these.
            fn visit_u64<E: de::Error>(self, rate: u64) -> Result<Rate, E> {
                self.visit_f64(rate as f64)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
                match text {
                    "all" => Ok(Rate::All),
                    "keyframes" => Ok(Rate::Keyframes),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(RateVisitor)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::PerSecond(rate) => serializer.serialize_f64(*rate),
            Self::Keyframes => serializer.serialize_str("keyframes"),
            Self::All => serializer.serialize_str("all"),
        }
    }
}

/// How many frames of a camera are decoded at once, each by a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeThreads {
    /// One while the camera keeps up, more when it does not and there are cores for them.
    Auto,
    /// So many, always.
    Fixed(u8),
}

/// The most frames that are decoded at once: as many as the deepest picture buffer of H.264 and
/// H.265 holds.
pub const MAX_DECODE_THREADS: u8 = 16;

impl DecodeThreads {
    /// How many there are to begin with.
    #[must_use]
    pub fn at_first(self) -> usize {
        match self {
            Self::Auto => 1,
            Self::Fixed(threads) => threads.into(),
        }
    }
}

impl<'de> Deserialize<'de> for DecodeThreads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ThreadsVisitor;

        impl de::Visitor<'_> for ThreadsVisitor {
            type Value = DecodeThreads;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`decode_threads`: \"auto\", or 1 to {MAX_DECODE_THREADS}")
            }

            fn visit_i64<E: de::Error>(self, threads: i64) -> Result<DecodeThreads, E> {
                match u8::try_from(threads) {
                    Ok(threads @ 1..=MAX_DECODE_THREADS) => Ok(DecodeThreads::Fixed(threads)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(threads), &self)),
                }
            }

            // JSON's whole numbers come as these.
            fn visit_u64<E: de::Error>(self, threads: u64) -> Result<DecodeThreads, E> {
                self.visit_i64(i64::try_from(threads).unwrap_or(i64::MAX))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DecodeThreads, E> {
                match text {
                    "auto" => Ok(DecodeThreads::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(ThreadsVisitor)
    }
}

impl Serialize for DecodeThreads {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Fixed(threads) => serializer.serialize_u8(*threads),
        }
    }
}

/// What a camera does when it can't keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Analysis skips to the newest key frame; the records still pass.
    Live,
    /// Nothing is skipped; the broker keeps what is not read yet.
    EveryFrame,
}

/// How a record relates to pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// Each record is one access unit.
    Packet,
    /// Records are arbitrary pieces of one stream.
    Bytestream,
}

/// What a camera does with a record that its output topic refuses for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRefused {
    /// It stops before it, so that no record is missing.
    Stop,
    /// It leaves the record out.
    Skip,
    /// It puts the record onto the topic of dead letters.
    DeadLetter,
}

/// Where a camera begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With records that arrive from now on.
    End,
    /// With the oldest record that the broker has.
    Beginning,
    /// Where it left off: with the first record whose output was not acknowledged. A camera that is
    /// new begins with records that arrive from now on.
    Committed,
}
