//! The steps of bringing a plugin to a camera, as answers and errors name them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One step, in the order in which they come; not every change has every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The component is found and read, its digest compared, its signature verified; what runs is
    /// kept by its digest.
    Fetch,
    /// Its machine code comes from the cache of compiled plugins, or is in memory already.
    Load,
    /// Its machine code is made.
    Compile,
    /// Its imports and what it declares are looked at, before it is compiled; its exports, headers,
    /// name and version, after.
    Check,
    /// It is instantiated for the camera and configured.
    Configure,
    /// It sees frames beside the running version, and its results are only compared.
    Shadow,
    /// The camera comes to a point between two frames where versions can change.
    Cut,
    /// The running version's state goes over to it.
    HandOver,
    /// It takes the running version's place.
    Switch,
    /// It runs while the version before is kept, ready to take over.
    Probation,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fetch => "fetch",
            Self::Load => "load",
            Self::Compile => "compile",
            Self::Check => "check",
            Self::Configure => "configure",
            Self::Shadow => "shadow",
            Self::Cut => "cut",
            Self::HandOver => "hand-over",
            Self::Switch => "switch",
            Self::Probation => "probation",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_and_answers_name_a_step_alike() {
        for step in [Step::Fetch, Step::HandOver, Step::Probation] {
            assert_eq!(serde_json::to_value(step).unwrap(), step.to_string());
        }
    }
}
