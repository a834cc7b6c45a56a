//! What a camera's `source` says: which plugin, in words. `plugin::supply::Resolver` finds it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a plugin comes from; its text is what was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum PluginRef {
    /// `NAME@VERSION`: a plugin of the store, which has to bear that name and version itself.
    Stored {
        /// The plugin's name.
        name: String,
        /// Its version.
        version: String,
    },
    /// Any other text: a file.
    File(String),
}

/// A text can't be a source, or a name or version can't be in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPluginRef {
    /// There is nothing.
    #[error("`source` is empty; write NAME@VERSION or the path of a .wasm file")]
    Empty,
    /// It has a character that no path should have and no log should print.
    #[error("`source` has a control character; write NAME@VERSION or the path of a .wasm file")]
    ControlCharacter,
    /// No file system takes such a path.
    #[error("`source` has {0} bytes, and a path has at most {MAX_BYTES}")]
    TooLong(usize),
    /// The name or version would not be found again under `NAME@VERSION`.
    #[error(
        "the plugin calls itself `{name}`, version `{version}`; the store takes names and versions \
         of letters, digits, `.`, `_`, `-` and `+` only, and none that end with `.wasm`"
    )]
    NotStorable {
        /// The plugin's name.
        name: String,
        /// Its version.
        version: String,
    },
}

/// Linux' `PATH_MAX`.
const MAX_BYTES: usize = 4096;

/// The ending of a component's file.
pub(crate) const ENDING: &str = ".wasm";

impl PluginRef {
    /// The source of a plugin with this name and version in a store.
    ///
    /// # Errors
    /// When `NAME@VERSION` would not be read as just that.
    pub fn stored(name: &str, version: &str) -> Result<Self, NoPluginRef> {
        match format!("{name}@{version}").parse() {
            Ok(stored @ Self::Stored { .. }) => Ok(stored),
            _ => {
                let (name, version) = (name.escape_debug(), version.escape_debug());
                let (name, version) = (name.to_string(), version.to_string());
                Err(NoPluginRef::NotStorable { name, version })
            }
        }
    }
}

impl FromStr for PluginRef {
    type Err = NoPluginRef;

    fn from_str(text: &str) -> Result<Self, NoPluginRef> {
        if text.trim().is_empty() {
            return Err(NoPluginRef::Empty);
        }
        if text.contains(char::is_control) {
            return Err(NoPluginRef::ControlCharacter);
        }
        if text.len() > MAX_BYTES {
            return Err(NoPluginRef::TooLong(text.len()));
        }
        let plain = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
            !part.is_empty() && part.bytes().all(allowed)
        };
        // `motion@1.2.0.wasm` is the file of that name, as one finds it when one looks there.
        Ok(match text.split_once('@') {
            Some((name, version))
                if plain(name) && plain(version) && !version.ends_with(ENDING) =>
            {
                Self::Stored { name: name.to_owned(), version: version.to_owned() }
            }
            _ => Self::File(text.to_owned()),
        })
    }
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored { name, version } => write!(f, "{name}@{version}"),
            Self::File(text) => f.write_str(text),
        }
    }
}

impl TryFrom<String> for PluginRef {
    type Error = NoPluginRef;

    fn try_from(text: String) -> Result<Self, NoPluginRef> {
        text.parse()
    }
}

impl From<PluginRef> for String {
    fn from(source: PluginRef) -> Self {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_version_are_told_from_a_file() {
        let stored = |text: &str| matches!(text.parse(), Ok(PluginRef::Stored { .. }));
        for text in ["motion@1.2.0", "a_b-c@0.1.0-rc.1+build.5", "motion@latest"] {
            assert!(stored(text), "{text}");
        }
        let files = ["motion.wasm", "a/motion@1.2.0", "motion@1.2.0.wasm", "../motion@1", "a@b@c"];
        for text in files.into_iter().chain(["@1", "motion@", "mötion@1", "motion@1/2", "a b@1"]) {
            assert_eq!(text.parse(), Ok(PluginRef::File(text.to_owned())));
        }
    }

    #[test]
    fn a_source_is_written_as_it_was_read() {
        for text in ["motion@1.2.0", "plugins/motion.wasm"] {
            let source: PluginRef = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
            let json = serde_json::to_string(&source).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<PluginRef>(&json).unwrap(), source);
        }
    }

    #[test]
    fn what_no_path_can_be_is_refused() {
        assert_eq!("".parse::<PluginRef>(), Err(NoPluginRef::Empty));
        assert_eq!("  ".parse::<PluginRef>(), Err(NoPluginRef::Empty));
        assert_eq!("a\0.wasm".parse::<PluginRef>(), Err(NoPluginRef::ControlCharacter));
        assert_eq!("a\n.wasm".parse::<PluginRef>(), Err(NoPluginRef::ControlCharacter));
        assert_eq!("a".repeat(5000).parse::<PluginRef>(), Err(NoPluginRef::TooLong(5000)));
    }

    #[test]
    fn only_names_that_are_found_again_can_be_stored() {
        let motion = PluginRef::Stored { name: "motion".into(), version: "1.2.0".into() };
        assert_eq!(PluginRef::stored("motion", "1.2.0"), Ok(motion));
        for (name, version) in [("a@b", "1"), ("a/b", "1"), ("", "1"), ("a", ""), ("a", "1.wasm")] {
            assert!(PluginRef::stored(name, version).is_err(), "{name} {version}");
        }
    }
}
