//! A frame's results.

use crate::{Header, PluginError};
use serde::Serialize;

/// The headers to add to the frame's record, in the order they were added.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// No headers yet. A frame may have none.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text: anything that can be displayed.
    #[must_use]
    pub fn text(self, name: &str, value: impl ToString) -> Self {
        self.bytes(name, value.to_string().into_bytes())
    }

    /// Adds a number as decimal text with `digits` digits after the point. What is not a number
    /// reads `NaN`, `inf` or `-inf`.
    #[must_use]
    pub fn number(self, name: &str, value: f64, digits: usize) -> Self {
        self.bytes(name, format!("{value:.digits$}").into_bytes())
    }

    /// Adds a value as JSON text.
    ///
    /// # Errors
    /// [`PluginError::Fatal`] when JSON can't say it, as maps whose keys aren't text.
    pub fn json(self, name: &str, value: &impl Serialize) -> Result<Self, PluginError> {
        let text = serde_json::to_vec(value)
            .map_err(|error| PluginError::Fatal(format!("header {name}: {error}")))?;
        Ok(self.bytes(name, text))
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn bytes(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.0.push(Header { name: name.to_owned(), value: value.into() });
        self
    }

    /// The text of the newest header with this name, if there is one and it is UTF-8. For tests.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let header = self.0.iter().rev().find(|header| header.name == name)?;
        header.as_text()
    }

    /// The names, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|header| header.name.as_str())
    }

    pub(crate) fn into_inner(self) -> Vec<Header> {
        self.0
    }
}

impl Header {
    /// The value, if it is UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_text() {
        let headers =
            Headers::new().text("t", 7).number("n", 1.0 / 3.0, 3).json("j", &[1, 2]).unwrap();
        assert_eq!(headers.get("t"), Some("7"));
        assert_eq!(headers.get("n"), Some("0.333"));
        assert_eq!(headers.get("j"), Some("[1,2]"));
        assert_eq!(headers.get("x"), None);
    }
}
