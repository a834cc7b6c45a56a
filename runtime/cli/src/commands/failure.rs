//! How commands end that do not end well, and the exit codes of that.

use comux::control::ControlPlaneError;
use comux::kafka::TopicError;
use comux::preflight::Obstacle;
use comux::runtime::StartError;

/// How a command ends when it does not end well.
pub enum Failure {
    /// Wrong usage or configuration: exit code 2. Trying again would not help.
    Usage(anyhow::Error),
    /// Anything else: exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    /// A node does not start. A broker that does not answer may do so later.
    pub fn of_start(error: StartError) -> Self {
        use ControlPlaneError::{TakenOver, Topic};
        match error {
            StartError::Topic(TopicError::Unreachable { .. })
            | StartError::Control(Topic(TopicError::Unreachable { .. }) | TakenOver { .. }) => {
                Self::failed(error)
            }
            _ => Self::usage(error),
        }
    }

    /// A node would not start.
    pub fn of_check(error: Obstacle) -> Self {
        use ControlPlaneError::Topic;
        match error {
            Obstacle::Topic(TopicError::Unreachable { .. })
            | Obstacle::Control(Topic(TopicError::Unreachable { .. })) => Self::failed(error),
            _ => Self::usage(error),
        }
    }

    pub fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(error.into())
    }
}
