//! What a camera's thread is told, as values: commands overtake the records that wait in its queue.
//! They are prepared so far that the thread has only to put things in place.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::error::CameraError;
use crate::config::CameraSpec;
use crate::kafka::{CameraQueue, Checkpoint};
use crate::plugin::instance::CameraPlugin;
use crate::policy::Step;
use crate::record::Seq;

/// A command to a camera's thread.
pub enum Command {
    /// Run another chain of plugins.
    Swap(Swap),
    /// Go on as this says; its plugins do not count here.
    Change(Change),
    /// Let records pass without analysing them, or analyse again.
    Pause(bool, oneshot::Sender<()>),
}

/// Other plugins for a running camera. They are instantiated and configured already, so that the
/// camera's thread has nothing to do but to put them in place.
pub struct Swap {
    /// The chain from now on.
    pub chain: Vec<Link>,
    /// For this many frames the new plugins run beside the old, and only count.
    pub shadow: u32,
    /// For this many frames after the switch, any failure of a new plugin brings the old chain
    /// back.
    pub probation: u32,
    /// New plugins take over nothing of the state of those before them.
    pub fresh: bool,
    /// Where to tell how it goes: five events at most, so that nobody has to hold up the camera's
    /// thread. The last event is [`SwapEvent::Passed`] or [`SwapEvent::Failed`]; an end without
    /// either means that the camera has stopped.
    pub events: mpsc::UnboundedSender<SwapEvent>,
}

/// One place in a chain of plugins.
pub enum Link {
    /// The plugin that runs at this place of the present chain.
    Keep(usize),
    /// Another one.
    New {
        /// Configured, and so far without a frame.
        instance: Box<CameraPlugin>,
        /// The place in the present chain of the plugin whose state it takes over.
        succeeds: Option<usize>,
    },
}

/// How a swap goes.
#[derive(Debug)]
pub enum SwapEvent {
    /// The new plugins ran beside the old ones.
    Shadowed(Shadowed),
    /// The new chain analyses from here on.
    Switched {
        /// How long a place to cut was waited for.
        waited: Duration,
        /// How long state was handed over.
        hand_over: Duration,
        /// How long it took to put the new chain in place.
        switch: Duration,
        /// What plugins said of the state that they were given.
        notes: Vec<String>,
    },
    /// The first record of the new chain, in input order.
    Cut {
        /// Its number.
        seq: Seq,
        /// Where it was read, as in `comux-source`.
        source: String,
    },
    /// Probation is over, after so many frames.
    Passed {
        /// Frames that the new chain analysed.
        frames: u32,
        /// How long that took.
        took: Duration,
    },
    /// The old chain runs, as before or again.
    Failed {
        /// What failed.
        step: Step,
        /// Why.
        reason: String,
    },
}

/// What came of running a new chain beside the old one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Shadowed {
    /// Frames that both saw.
    pub frames: u32,
    /// Frames with the same headers from both.
    pub same: u32,
    /// Frames with other headers.
    pub different: u32,
}

/// Where a camera's records come from, and how far its output of them is acknowledged.
pub type CameraInput = (CameraQueue, Arc<Checkpoint>);

/// Another specification for a running camera.
pub struct Change {
    /// What the camera is from now on.
    pub spec: Arc<CameraSpec>,
    /// When the input topic is another one: its queue.
    pub input: Option<CameraInput>,
    /// Told when it is so, or why it can't be.
    pub done: oneshot::Sender<Result<(), CameraError>>,
}
