//! The fields of commands, as they are written.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::Refusal;
use super::command::WantedPlugin;
use super::request::from_json;
use crate::config::{Id, PluginEntry};

/// Which cameras, as `deploy` and `rollback` say it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CameraSelection {
    #[serde(alias = "_id")]
    pub id: Option<Id>,
    pub cameras: Option<Vec<Id>>,
    pub tenant: Option<Id>,
    pub all: Option<bool>,
}

impl CameraSelection {
    /// Which cameras, and the other fields.
    pub fn split(value: &Map<String, Value>) -> Result<(Self, Value), Refusal> {
        let mut fields = value.clone();
        let mut which = Map::new();
        for key in ["id", "_id", "cameras", "tenant", "all"] {
            if let Some((key, value)) = fields.remove_entry(key) {
                which.insert(key, value);
            }
        }
        Ok((from_json(Value::Object(which))?, Value::Object(fields)))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneCamera {
    #[serde(alias = "_id")]
    pub id: Id,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerhapsOneCamera {
    #[serde(alias = "_id")]
    pub id: Option<Id>,
}

/// `deploy`, beside which cameras.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeployFields {
    pub plugin: Option<WantedPlugin>,
    pub plugins: Option<Vec<PluginEntry>>,
    pub replaces: Option<String>,
    pub canary: Option<Canary>,
    pub shadow: Option<u32>,
    pub probation: Option<u32>,
    #[serde(default)]
    pub fresh: bool,
}

/// The camera that goes first.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`canary` is true, false, or the id of a camera")]
pub(crate) enum Canary {
    Any(bool),
    This(Id),
}
