//! The desired state of one camera: a record on the compacted state topic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::{ErrorCode, Refusal};
use super::request::{CommandPositions, from_json};
use crate::config::{CameraSpec, CameraTable, Config, PluginEntry};
use crate::policy::Digest;

/// What a camera should be: what was accepted last, or what the configuration file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The camera, its plugins pinned by digest once they have run.
    pub spec: CameraSpec,
    /// Counts accepted changes; 0 as long as the camera is what the file says.
    pub generation: u64,
    /// Its records pass without being analysed.
    pub paused: bool,
    /// By the name of a plugin that runs: what ran in its place before, the latest last.
    pub previous: BTreeMap<String, Vec<PluginEntry>>,
    /// The commands that were accepted last: a header of the record.
    pub commands: CommandPositions,
}

/// A record's value as it is written. A person needs to write `camera` only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DesiredRecord {
    camera: CameraTable,
    #[serde(default)]
    generation: Option<u64>,
    #[serde(default)]
    paused: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    previous: BTreeMap<String, Vec<PluginEntry>>,
}

/// What stands on the topic for a camera.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The camera shall be this. Without a generation a person wrote it.
    Camera(Box<Desired>, Option<u64>),
    /// The camera, although the configuration file names it, shall not be.
    Deleted,
}

/// The mark of a camera of the configuration file that was deleted. A tombstone would be forgotten
/// by and by, and the camera would be back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeletedMark {
    deleted: bool,
}

impl Desired {
    /// A camera as the configuration file, or a first command, says.
    #[must_use]
    pub fn new(spec: CameraSpec) -> Self {
        let (previous, commands) = (BTreeMap::new(), CommandPositions::default());
        Self { spec, generation: 0, paused: false, previous, commands }
    }

    /// The components that it names.
    pub fn components(&self) -> impl Iterator<Item = Digest> {
        self.spec
            .plugins
            .iter()
            .chain(self.previous.values().flatten())
            .filter_map(|entry| entry.sha256)
    }

    /// The record's value.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let written = DesiredRecord {
            camera: self.spec.table(),
            generation: Some(self.generation),
            paused: self.paused,
            previous: self.previous.clone(),
        };
        serde_json::to_vec(&written).unwrap_or_default()
    }
}

/// The value that says that a camera of the configuration file is deleted.
#[must_use]
pub fn deleted_mark() -> Vec<u8> {
    serde_json::to_vec(&DeletedMark { deleted: true }).unwrap_or_default()
}

impl Record {
    /// Reads a record; what the camera does not say is taken from the defaults.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(
        key: &str,
        value: &[u8],
        commands: CommandPositions,
        config: &Config,
    ) -> Result<Self, Refusal> {
        use ErrorCode::Invalid;
        let value: Value = serde_json::from_slice(value)
            .map_err(|error| Invalid.because(format!("the value is no JSON: {error}")))?;
        if !value.is_object() {
            return Err(Invalid.because("the value must be a JSON object"));
        }
        if value.get("deleted").is_some() {
            let mark: DeletedMark = from_json(value)?;
            return match mark.deleted {
                true => Ok(Self::Deleted),
                false => Err(Invalid.because("`deleted` is true, or absent")),
            };
        }
        let written: DesiredRecord = from_json(value)?;
        let mut table = written.camera;
        match &table.id {
            Some(id) if id.as_str() != key => {
                return Err(Invalid.because(format!("the key is `{key}`, and the camera `{id}`")));
            }
            Some(_) => {}
            None => {
                let id = crate::config::Id::new(key);
                table.id = Some(id.map_err(|error| Invalid.because(error.to_string()))?);
            }
        }
        let spec = config.complete(table).map_err(|error| Invalid.because(error.to_string()))?;
        let (paused, previous) = (written.paused, written.previous);
        let generation = written.generation.unwrap_or_default();
        let desired = Desired { spec, generation, paused, previous, commands };
        Ok(Self::Camera(Box::new(desired), written.generation))
    }
}

/// What a camera becomes when `patch` is merged into it (RFC 7396).
///
/// # Errors
/// With the key that is wrong.
pub fn patched(
    spec: &CameraSpec,
    patch: Map<String, Value>,
    config: &Config,
) -> Result<CameraSpec, Refusal> {
    let table = serde_json::to_value(spec.table());
    let mut document = table.map_err(|error| ErrorCode::Failed.because(error.to_string()))?;
    if let Value::Object(camera) = &mut document {
        // The patch has it, perhaps as `_id`.
        camera.remove("id");
    }
    json_patch::merge(&mut document, &Value::Object(patch));
    let spec = config.complete(from_json(document)?);
    spec.map_err(|error| ErrorCode::Invalid.because(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config() -> Config {
        let text = "[kafka]\nbootstrap_servers = 'localhost:9092'\n[camera_defaults]\nrate = 5";
        Config::parse(text, Path::new("comux.toml"), Path::new("")).expect("valid")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let config = config();
        let table = serde_json::json!({
            "id": "gate-7", "rate": "keyframes",
            "plugins": [{ "source": "motion@1.0.0", "config": { "threshold": 12 } }]
        });
        let table: CameraTable = serde_json::from_value(table).expect("a camera");
        let spec = config.complete(table).expect("complete");
        let previous = [("motion".to_owned(), vec![spec.plugins[0].clone()])].into();
        let commands = CommandPositions::parse("comux.control/0/7");
        let desired = Desired { spec, generation: 3, paused: true, previous, commands };
        let read = Record::parse("gate-7", &desired.to_json(), desired.commands.clone(), &config);
        assert_eq!(read, Ok(Record::Camera(Box::new(desired), Some(3))));
        let read = Record::parse("gate-7", &deleted_mark(), CommandPositions::default(), &config);
        assert_eq!(read, Ok(Record::Deleted));
    }

    #[test]
    fn people_write_a_camera_and_the_rest_is_taken_from_the_defaults() {
        let read = Record::parse(
            "gate-7",
            br#"{"camera": {"mode": "every-frame"}}"#,
            CommandPositions::default(),
            &config(),
        );
        let Ok(Record::Camera(desired, None)) = read else { panic!("{read:?}") };
        assert_eq!(desired.spec.id.as_str(), "gate-7");
        assert_eq!(desired.spec.rate, crate::config::Rate::PerSecond(5.0));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_key() {
        for (value, words) in [
            (&b"{"[..], "no JSON"),
            (b"[]", "must be a JSON object"),
            (br#"{"camera": {"id": "gate-8"}}"#, "gate-8"),
            (br#"{"camera": {"rate": -1}}"#, "camera.rate"),
            (br#"{"camera": {}, "pause": true}"#, "pause"),
            (br#"{"deleted": false}"#, "deleted"),
        ] {
            let refusal = Record::parse("gate-7", value, CommandPositions::default(), &config())
                .expect_err("refused");
            assert!(refusal.message.contains(words), "{words}: {refusal}");
        }
    }
}
