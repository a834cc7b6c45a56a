//! What a plugin remembers, so that it survives a swap, a restart and a trap.

pub use crate::state_bindings::exports::comux::plugin::state::{Restored, Snapshot};
use crate::{Plugin, StateError, config};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most that the host takes of one snapshot's data.
const LARGEST_SNAPSHOT: usize = 1 << 20;

/// A [`Plugin`] whose memory is handed over: to its successor on a swap, and to itself after a
/// restart of the camera or a trap. Exported by `comux_sdk::export!(MyPlugin, state);`.
///
/// ```
/// use comux_sdk::prelude::*;
///
/// /// Counts frames, also over a swap to another version of itself.
/// struct Counter { frames: u64 }
///
/// impl Plugin for Counter {
///     type Config = NoConfig;
///     const HEADERS: &'static [&'static str] = &["counter.frames"];
///     fn new(_: NoConfig) -> Result<Self, ConfigError> { Ok(Counter { frames: 0 }) }
///     fn on_frame(&mut self, _: &Frame) -> Result<Headers, PluginError> {
///         self.frames += 1;
///         Ok(Headers::new().text("counter.frames", self.frames))
///     }
/// }
///
/// impl Stateful for Counter {
///     type State = u64;
///     fn save(&self) -> u64 { self.frames }
///     fn restore(&mut self, frames: u64) -> Result<Restored, StateError> {
///         self.frames = frames;
///         Ok(Restored::Full)
///     }
/// }
/// comux_sdk::export!(Counter, state);
/// ```
///
/// The successor may be another version with another configuration: compare what matters, keep
/// what still makes sense, and say what was left behind with [`Restored::Partial`]. So a state
/// holds what later results depend on; when that includes some of the configuration, that too.
/// Where results must not change by a hair, prefer whole numbers: JSON does not give each `f64`
/// back to its last bit.
pub trait Stateful: Plugin {
    /// All that later results depend on. It is handed over as JSON, at most 1 MiB of it.
    type State: Serialize + DeserializeOwned;

    /// The number of this layout of [`State`](Self::State). Raise it with each change that makes
    /// older snapshots unreadable; added fields with `#[serde(default)]` need none.
    const SCHEMA: u32 = 1;

    /// A snapshot between two frames. The plugin may go on afterwards.
    fn save(&self) -> Self::State;

    /// Takes over a snapshot of this [`SCHEMA`](Self::SCHEMA), after [`new`](Plugin::new) and
    /// before the first frame.
    ///
    /// # Errors
    /// Only for what must not be lost: the swap is refused, and the plugin before keeps running.
    /// After a restart or a trap there is none before, and the plugin begins afresh.
    fn restore(&mut self, state: Self::State) -> Result<Restored, StateError>;

    /// Takes over a snapshot of another schema. Without this method the plugin begins afresh. With
    /// it, what an older version has saved can be taken along:
    ///
    /// ```
    /// # use comux_sdk::prelude::*;
    /// # struct Counter { frames: u64 }
    /// # impl Plugin for Counter {
    /// #     type Config = NoConfig;
    /// #     const HEADERS: &'static [&'static str] = &[];
    /// #     fn new(_: NoConfig) -> Result<Self, ConfigError> { Ok(Counter { frames: 0 }) }
    /// #     fn on_frame(&mut self, _: &Frame) -> Result<Headers, PluginError> { Ok(Headers::new()) }
    /// # }
    /// #[derive(Serialize, Deserialize)]
    /// # #[serde(crate = "comux_sdk::serde")]
    /// struct State { frames: u64 }
    ///
    /// impl Stateful for Counter {
    ///     type State = State;
    ///     const SCHEMA: u32 = 2;
    /// #   fn save(&self) -> State { State { frames: self.frames } }
    /// #   fn restore(&mut self, state: State) -> Result<Restored, StateError> {
    /// #       self.frames = state.frames;
    /// #       Ok(Restored::Full)
    /// #   }
    ///     // …
    ///     fn restore_other(&mut self, saved: &Snapshot) -> Result<Restored, StateError> {
    ///         match saved.schema {
    ///             1 => self.restore(State { frames: saved.json::<u64>()? }),
    ///             _ => Ok(saved.fresh::<Self>()),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As for [`restore`](Self::restore).
    fn restore_other(&mut self, saved: &Snapshot) -> Result<Restored, StateError> {
        Ok(saved.fresh::<Self>())
    }
}

impl Snapshot {
    /// Reads the data as the JSON of a type of the author's.
    ///
    /// # Errors
    /// When it is none, with the field that is wrong.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, StateError> {
        let unreadable = |problem: String| {
            StateError::new(format!(
                "the snapshot of version {}, schema {}, can't be read: {problem}",
                self.plugin_version, self.schema
            ))
        };
        let text = str::from_utf8(&self.data).map_err(|error| unreadable(error.to_string()))?;
        config::parse(text).map_err(|error| unreadable(error.to_string()))
    }

    /// The answer to a snapshot that is of no use to `P`, because its schema is another.
    #[must_use]
    pub fn fresh<P: Stateful>(&self) -> Restored {
        Restored::fresh(format!(
            "the snapshot of version {} has schema {}, this version reads schema {}",
            self.plugin_version,
            self.schema,
            P::SCHEMA
        ))
    }
}

impl Restored {
    /// Some of the snapshot was taken over; `left` says what was left behind, and why.
    pub fn partial(left: impl Into<String>) -> Self {
        Self::Partial(left.into())
    }

    /// Nothing of the snapshot was taken over, and why.
    pub fn fresh(reason: impl Into<String>) -> Self {
        Self::Fresh(reason.into())
    }
}

/// What the host would keep of the plugin. `crate_version` is for plugins that set no version.
pub(crate) fn save<P: Stateful>(plugin: &P, crate_version: &str) -> Result<Snapshot, StateError> {
    let data = serde_json::to_vec(&plugin.save())
        .map_err(|error| StateError::new(format!("the state can't be said in JSON: {error}")))?;
    if data.len() > LARGEST_SNAPSHOT {
        return Err(StateError::new(format!(
            "the state has {} bytes as JSON, more than the {LARGEST_SNAPSHOT} of a snapshot",
            data.len()
        )));
    }
    let plugin_version = P::VERSION.unwrap_or(crate_version).to_owned();
    Ok(Snapshot { schema: P::SCHEMA, plugin_version, data })
}

/// Hands the plugin what the host has kept.
pub(crate) fn restore<P: Stateful>(
    plugin: &mut P,
    saved: &Snapshot,
) -> Result<Restored, StateError> {
    if saved.schema == P::SCHEMA {
        plugin.restore(saved.json()?)
    } else {
        plugin.restore_other(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hand_over;
    use crate::{ConfigError, Frame, Headers, NoConfig, PluginError};

    /// Remembers a word. Its `SCHEMA` tells its versions apart.
    #[derive(Default)]
    struct Word<const SCHEMA: u32>(String);

    impl<const SCHEMA: u32> Plugin for Word<SCHEMA> {
        type Config = NoConfig;
        const HEADERS: &'static [&'static str] = &[];
        const VERSION: Option<&'static str> = Some("1.2.3");

        fn new(_: NoConfig) -> Result<Self, ConfigError> {
            Ok(Self::default())
        }

        fn on_frame(&mut self, _: &Frame) -> Result<Headers, PluginError> {
            Ok(Headers::new())
        }
    }

    impl<const SCHEMA: u32> Stateful for Word<SCHEMA> {
        type State = String;
        const SCHEMA: u32 = SCHEMA;

        fn save(&self) -> String {
            self.0.clone()
        }

        fn restore(&mut self, word: String) -> Result<Restored, StateError> {
            self.0 = word;
            Ok(Restored::Full)
        }
    }

    fn snapshot(data: &str) -> Snapshot {
        Snapshot { schema: 1, plugin_version: "0.9.0".to_owned(), data: data.into() }
    }

    #[test]
    fn a_successor_takes_over_what_was_saved() {
        let mut successor = Word::<1>::default();
        let restored = hand_over(&Word::<1>("spam".to_owned()), &mut successor);
        assert_eq!(restored, Ok(Restored::Full));
        assert_eq!(successor.0, "spam");
    }

    #[test]
    fn a_snapshot_says_who_took_it() {
        let saved = save(&Word::<7>("spam".to_owned()), "0.0.1").unwrap();
        assert_eq!((saved.schema, saved.plugin_version.as_str()), (7, "1.2.3"));
        assert_eq!(saved.data, br#""spam""#);
    }

    #[test]
    fn a_snapshot_of_another_schema_leaves_the_plugin_fresh() {
        let mut successor = Word::<2>::default();
        let restored = hand_over(&Word::<1>("spam".to_owned()), &mut successor);
        let reason = "the snapshot of version 1.2.3 has schema 1, this version reads schema 2";
        assert_eq!(restored, Ok(Restored::fresh(reason)));
        assert_eq!(successor.0, "");
    }

    #[test]
    fn data_that_does_not_fit_its_schema_is_an_error() {
        let refusal = |data| restore(&mut Word::<1>::default(), &snapshot(data)).unwrap_err();
        assert_eq!(
            refusal("[1]").to_string(),
            "the snapshot of version 0.9.0, schema 1, can't be read: \
             invalid type: sequence, expected a string"
        );
    }

    #[test]
    fn a_state_above_a_mebibyte_is_refused() {
        let fits = "x".repeat(LARGEST_SNAPSHOT - 2);
        assert!(save(&Word::<1>(fits.clone()), "1.0.0").is_ok());
        let refusal = save(&Word::<1>(fits + "x"), "1.0.0").unwrap_err().to_string();
        assert_eq!(
            refusal,
            "the state has 1048577 bytes as JSON, more than the 1048576 of a snapshot"
        );
    }
}
