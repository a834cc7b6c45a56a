//! How a plugin fails, and how much that counts.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Trap;

use super::bindings::comux::plugin::types::PluginError;
use super::message::{innermost, one_line};
use crate::record::FailReason;
use crate::tenancy::QuotaExceeded;

/// The plugin would not take its configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// It says what is wrong.
    #[error("plugin {plugin} refuses its configuration: {reason}")]
    Refused {
        /// The plugin as `name@version`.
        plugin: Arc<str>,
        /// Its own words.
        reason: String,
    },
    /// It failed while it was configured.
    #[error("plugin {plugin} failed in `configure`: {reason}")]
    Failed {
        /// The plugin as `name@version`.
        plugin: Arc<str>,
        /// How.
        reason: String,
    },
    /// There is no room for one more.
    #[error(transparent)]
    QuotaExceeded(#[from] QuotaExceeded),
}

/// A frame got no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoResult {
    /// The plugin failed.
    Failed(CallFailure),
    /// It failed too often, and was not called.
    Quarantined,
}

/// A call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailure {
    /// What goes into `comux-reason`.
    pub reason: FailReason,
    /// For the log.
    pub message: String,
    /// The instance was lost, and another one takes over.
    pub restarted: bool,
    /// For how long the plugin is left out now.
    pub quarantine: Option<Duration>,
}

/// How a failure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// It is about this frame alone.
    FrameOnly,
    /// It may be about another camera's frame.
    Unattributed,
    /// Several of them are too many.
    Counted,
    /// One is.
    Fatal,
}

/// What wasmtime says, in an error without a type, when more comes out of a plugin than may.
const TOO_MUCH_OUTPUT: &str = "fuel allocated for hostcalls has been exhausted";

/// Why a call ended by an error of the plugin's own.
pub(crate) fn told(error: PluginError) -> (CallFailure, Blame) {
    let (message, blame) = match error {
        PluginError::InvalidInput(why) => {
            (format!("invalid input: {}", one_line(&why)), Blame::FrameOnly)
        }
        PluginError::Transient(why) => (format!("transient: {}", one_line(&why)), Blame::Counted),
        PluginError::Fatal(why) => (format!("fatal: {}", one_line(&why)), Blame::Fatal),
    };
    (failed(FailReason::PluginError, message), blame)
}

/// An entry that ended by a trap, or by another error of which the instance does not recover.
#[derive(Debug)]
pub(crate) struct Trapped {
    pub error: wasmtime::Error,
    /// Memory or tables were to grow beyond what the instance may have.
    pub was_memory_refused: bool,
    /// What the plugin logged last, as an error: of a panic, its message.
    pub last_error: Option<String>,
    /// Bytes that may come out of the plugin about one frame.
    pub output_bytes: usize,
}

impl Trapped {
    /// What the plugin says of it, and what wasmtime says.
    pub fn cause(&self) -> String {
        let error = innermost(&self.error);
        match &self.last_error {
            Some(last) => format!("{last} ({error})"),
            None => error,
        }
    }

    /// As a failure of the call.
    pub fn failure(&self) -> CallFailure {
        let (reason, message) = match self.error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => (FailReason::Deadline, "ran past its deadline".to_owned()),
            _ if self.was_memory_refused => {
                (FailReason::Memory, "wanted more memory than it may have".to_owned())
            }
            _ => match self.cause() {
                message if message.contains(TOO_MUCH_OUTPUT) => {
                    let most = self.output_bytes / 1024;
                    (FailReason::Output, format!("gave more than {most} KiB in one call"))
                }
                message => (FailReason::PluginTrap, message),
            },
        };
        CallFailure { restarted: true, ..failed(reason, message) }
    }
}

/// A failure of a call after which the instance goes on.
pub(crate) fn failed(reason: FailReason, message: String) -> CallFailure {
    CallFailure { reason, message, restarted: false, quarantine: None }
}
