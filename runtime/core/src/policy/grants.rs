//! The interfaces that an operator may grant to a tenant's plugins, or withhold.

use std::fmt;

use serde::Deserialize;

/// An interface that a plugin gets when it asks for it, by importing it, and when the operator
/// allows it. What every plugin needs (`types` and `frames`) is no grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Lines in comux's log.
    Log,
    /// Metrics of its own.
    Metrics,
}

impl Grant {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Log, Self::Metrics];

    /// What the interface is called in `comux:plugin`, and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
