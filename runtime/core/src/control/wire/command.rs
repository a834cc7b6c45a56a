//! What a camera is asked for, from whom, and where to answer.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::answer::{CameraAnswer, ErrorCode, Refusal};
use super::desired::Desired;
use super::request::Origin;
use crate::config::{CameraTable, Id, PluginEntry};
use crate::policy::{Digest, PluginRef};

/// Frames that a new plugin is on probation for, when the command does not say: two seconds of
/// video at 25 frames per second.
const PROBATION: u32 = 50;
/// The most frames that may be asked for: ten minutes at 25 frames per second. Until then the
/// camera takes no other command.
const MOST_FRAMES: u32 = 15_000;

/// What a camera is asked for.
#[derive(Debug, Clone)]
pub(crate) enum CameraCommand {
    /// Be as it was when the node ended, or as the configuration file says.
    Resume(Box<Desired>),
    Create(Box<CameraTable>),
    /// A merge patch over the camera.
    Update(Map<String, Value>),
    Delete,
    /// Be what the configuration file says.
    Reset,
    Pause(bool),
    Deploy(Arc<Deploy>),
    /// Go back to what a plugin took the place of.
    Rollback(Rollback),
    /// Be as a person wrote onto the state topic. `None`: not at all.
    Declare(Option<Vec<u8>>),
    /// The node ends.
    Stop,
}

/// A command, from whom, and where to answer.
pub(crate) struct Envelope {
    pub command: CameraCommand,
    /// The tenant whose own control topic it came on: what is the operator's is not for it.
    pub scope: Option<Id>,
    /// The tenant whose cameras it may reach; absent: all.
    pub reach: Option<Id>,
    pub origin: Option<Origin>,
    pub reply: Option<oneshot::Sender<CameraAnswer>>,
}

impl Envelope {
    /// A command of the node itself, and where its answer comes.
    pub fn internal(command: CameraCommand) -> (Self, oneshot::Receiver<CameraAnswer>) {
        let (reply, answered) = oneshot::channel();
        let envelope = Self { command, scope: None, reach: None, origin: None, reply: Some(reply) };
        (envelope, answered)
    }
}

/// What a command gave.
pub(crate) type Done = Result<String, Refusal>;

/// The plugins of a `deploy`, and how to go about it.
#[derive(Debug, Clone)]
pub(crate) struct Deploy {
    pub wanted: Wanted,
    pub options: RolloutOptions,
}

impl Deploy {
    /// The plugins, without the configuration that a camera may add.
    pub fn entries(&self) -> impl Iterator<Item = PluginEntry> {
        let one = match &self.wanted {
            Wanted::One { plugin: WantedPlugin { source, sha256, .. }, .. } => {
                Some(PluginEntry { source: source.clone(), sha256: *sha256, config: Map::new() })
            }
            Wanted::List(_) => None,
        };
        let list = match &self.wanted {
            Wanted::List(entries) => entries.as_slice(),
            Wanted::One { .. } => &[],
        };
        one.into_iter().chain(list.to_vec())
    }
}

/// What is to run.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// One plugin, in the place of the one that `replaces` names.
    One { plugin: WantedPlugin, replaces: Option<String> },
    /// These and no others.
    List(Vec<PluginEntry>),
}

/// A plugin as a command names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedPlugin {
    pub source: PluginRef,
    pub sha256: Option<Digest>,
    /// Absent: that of the plugin of the same name in whose place it comes.
    pub config: Option<Map<String, Value>>,
}

/// How a swap is to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RolloutOptions {
    /// Frames.
    pub shadow: u32,
    /// Frames.
    pub probation: u32,
    /// Without the state of the plugins before.
    pub fresh: bool,
}

impl Default for RolloutOptions {
    fn default() -> Self {
        Self { shadow: 0, probation: PROBATION, fresh: false }
    }
}

impl RolloutOptions {
    /// What a command asks for.
    pub fn new(shadow: Option<u32>, probation: Option<u32>, fresh: bool) -> Result<Self, Refusal> {
        let asked = [("shadow", shadow), ("probation", probation)];
        if let Some((key, _)) = asked.iter().find(|(_, frames)| frames.unwrap_or(0) > MOST_FRAMES) {
            return Err(
                ErrorCode::Invalid.because(format!("`{key}` is at most {MOST_FRAMES} frames"))
            );
        }
        let default = Self::default();
        Ok(Self {
            shadow: shadow.unwrap_or(default.shadow),
            probation: probation.unwrap_or(default.probation),
            fresh,
        })
    }
}

/// Which plugin goes back to what it took the place of; `rollback`, beside which cameras.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// Its name; absent: the only one that can.
    pub plugin: Option<String>,
    /// Without the state of the plugin before.
    #[serde(default)]
    pub fresh: bool,
}
