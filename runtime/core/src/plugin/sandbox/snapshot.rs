//! What a plugin remembers, outside of the plugin.

use super::bindings::exports::comux::plugin::state;
use super::message::one_line;

/// A plugin's memory, as its export `state` gives and takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The layout of `data`, numbered by the plugin's author.
    pub schema: u32,
    /// The version that saved it.
    pub plugin_version: String,
    /// The plugin's own encoding.
    pub data: Vec<u8>,
}

/// What a plugin made of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// It took over everything.
    Full,
    /// It took over a part; which.
    Partial(String),
    /// It took over nothing; why.
    Fresh(String),
}

impl From<state::Snapshot> for Snapshot {
    fn from(snapshot: state::Snapshot) -> Self {
        let state::Snapshot { schema, plugin_version, data } = snapshot;
        Self { schema, plugin_version, data }
    }
}

impl From<&Snapshot> for state::Snapshot {
    fn from(snapshot: &Snapshot) -> Self {
        let Snapshot { schema, plugin_version, data } = snapshot.clone();
        Self { schema, plugin_version, data }
    }
}

impl From<state::Restored> for Restored {
    fn from(restored: state::Restored) -> Self {
        match restored {
            state::Restored::Full => Self::Full,
            state::Restored::Partial(what) => Self::Partial(one_line(&what)),
            state::Restored::Fresh(why) => Self::Fresh(one_line(&why)),
        }
    }
}
