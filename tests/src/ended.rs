//! What is left of a process that has ended: its exit code, its log and its cameras' sums.

use std::collections::BTreeMap;

use serde_json::Value;

/// What is left of a process that has ended.
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its log.
    pub log: Vec<String>,
}

/// A camera's final sums.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sums {
    /// Records in.
    pub received: u64,
    /// Seen by every plugin.
    pub analysed: u64,
    /// Passed on by a camera without plugins.
    pub passthrough: u64,
    /// Not analysed on purpose, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Not analysed by accident, by reason.
    pub failed: BTreeMap<String, u64>,
}

impl Sums {
    /// Reads them from a line of the log or a summary.
    ///
    /// # Panics
    /// When a field is missing.
    #[must_use]
    pub fn of(fields: &Value) -> Self {
        let number = |key: &str| {
            fields[key].as_u64().unwrap_or_else(|| panic!("no number `{key}` in {fields}"))
        };
        let counts = |key: &str| {
            let counts = match &fields[key] {
                Value::String(text) => serde_json::from_str(text).expect("counts as JSON"),
                value => value.clone(),
            };
            serde_json::from_value(counts)
                .unwrap_or_else(|error| panic!("no counts `{key}` in {fields}: {error}"))
        };
        Self {
            received: number("received"),
            analysed: number("analysed"),
            passthrough: number("passthrough"),
            skipped: counts("skipped"),
            failed: counts("failed"),
        }
    }

    /// Whether every record received is accounted for.
    #[must_use]
    pub fn balance(&self) -> bool {
        let others: u64 = self.skipped.values().chain(self.failed.values()).sum();
        self.received == self.analysed + self.passthrough + others
    }
}

impl Ended {
    /// A camera's final sums.
    ///
    /// # Panics
    /// When the log does not have them.
    #[must_use]
    pub fn sums(&self, camera: &str) -> Sums {
        let fields = self
            .log
            .iter()
            .filter_map(|line| fields(line))
            .find(|fields| fields["message"] == "camera stopped" && fields["camera"] == camera);
        Sums::of(
            &fields.unwrap_or_else(|| panic!("no sums of `{camera}`:\n{}", self.log.join("\n"))),
        )
    }
}

/// The fields of a line of the log, when it is one.
pub(crate) fn fields(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}
