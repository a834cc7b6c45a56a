//! From the camera's JSON configuration to a plugin's own type, with errors that name the key.

use crate::ConfigError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The configuration of a plugin that has none: refuses every key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Declares a plugin's configuration: a struct with a default for each key, which refuses unknown
/// keys. It implements `Default` and `Deserialize`; further derives may be added.
///
/// ```
/// comux_sdk::config! {
///     /// When a picture is too dark.
///     #[derive(Debug)]
///     pub struct Config {
///         /// Mean luma, 0 to 255.
///         pub dark_below: f64 = 50.0,
///     }
/// }
/// assert_eq!(Config::default().dark_below, 50.0);
/// ```
#[macro_export]
macro_rules! config {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty = $default:expr ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive($crate::serde::Deserialize)]
        #[serde(crate = "comux_sdk::serde", default, deny_unknown_fields)]
        $vis struct $name {
            $( $(#[$field_meta])* $field_vis $field: $type, )*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }
    };
}

pub(crate) fn parse<C: DeserializeOwned>(text: &str) -> Result<C, ConfigError> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let problem = without_position(error.inner());
        if path == "." || problem.contains(&format!("`{path}`")) {
            ConfigError::new(problem)
        } else {
            ConfigError::key(&path, problem)
        }
    })
}

/// The operator wrote TOML or another JSON text: positions in this one would only mislead.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&position) {
        Some(problem) => problem.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[allow(dead_code)]
        limits: Vec<u8>,
    }

    fn refusal(text: &str) -> String {
        parse::<Example>(text).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_key() {
        assert_eq!(
            refusal(r#"{"limits": [1, "x"]}"#),
            "limits[1]: invalid type: string \"x\", expected u8"
        );
    }

    #[test]
    fn unknown_and_missing_keys_are_refused_by_name() {
        assert_eq!(refusal(r#"{"limit": []}"#), "unknown field `limit`, expected `limits`");
        assert_eq!(refusal("{}"), "missing field `limits`");
    }

    #[test]
    fn no_config_refuses_any_key() {
        assert!(parse::<NoConfig>("{}").is_ok());
        assert!(parse::<NoConfig>(r#"{"a": 1}"#).is_err());
    }
}
