//! What can go wrong, in words for the operator.

use crate::{PluginError, ReadError};

/// Why a configuration is refused. Its text is shown to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// A refusal in the plugin's own words: say which key, and what is allowed.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    /// A refusal of one key's value, for example `key("rate", "must be above 0")`.
    pub fn key(key: &str, problem: impl AsRef<str>) -> Self {
        Self(format!("{key}: {}", problem.as_ref()))
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl From<String> for ConfigError {
    fn from(problem: String) -> Self {
        Self(problem)
    }
}

impl From<&str> for ConfigError {
    fn from(problem: &str) -> Self {
        Self(problem.to_owned())
    }
}

/// Why a snapshot can't be saved or taken over. Its text is shown to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateError(String);

impl StateError {
    /// A refusal in the plugin's own words.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StateError {}

impl From<String> for StateError {
    fn from(problem: String) -> Self {
        Self(problem)
    }
}

impl From<&str> for StateError {
    fn from(problem: &str) -> Self {
        Self(problem.to_owned())
    }
}

/// A view that fails on this frame may fit one of another size.
impl From<ReadError> for PluginError {
    fn from(error: ReadError) -> Self {
        PluginError::InvalidInput(match error {
            ReadError::Unsupported(problem) => format!("can't read this view: {problem}"),
            ReadError::TooLarge(bytes) => {
                format!("the view has {bytes} bytes, more than a plugin may read of one frame")
            }
        })
    }
}
