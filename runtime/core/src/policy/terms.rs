//! The terms on which a plugin runs on a camera.

use super::breaker::BreakerSettings;
use super::limits::Limits;

/// What an instance may do, and when it is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// How much it may use.
    pub limits: Limits,
    /// When it is left out because it fails.
    pub breaker: BreakerSettings,
}
