//! A running `comux demo`.

use serde_json::Value;

use crate::json_lines::JsonLines;

/// A running demo. It is killed when this is dropped.
pub struct Demo(JsonLines);

impl Demo {
    /// Starts it, for longer than any test takes.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start() -> Self {
        Self(JsonLines::start(&["demo", "--json", "--seconds", "600"]))
    }

    /// The next line for which `is_it` holds.
    ///
    /// # Panics
    /// When none comes.
    pub fn wait_until(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.0.wait_until(what, is_it)
    }

    /// Ends it as Ctrl-C does, and returns its summary.
    ///
    /// # Panics
    /// When it does not end well.
    #[must_use]
    pub fn end(self) -> Value {
        self.0.interrupt();
        let summary = self.wait_until("it sums up", |line| line["event"] == "summary");
        assert!(self.0.wait().success(), "{summary}");
        summary
    }
}
