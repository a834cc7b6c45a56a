//! A plugin for tests that fails in the way, in the hook and as often as it is told. It remembers
//! how many frames it has seen and hands that over, so it can be successor and predecessor of
//! itself with another way to fail.

use comux_sdk::prelude::*;
use comux_sdk::serde::ser::{Error, Serializer};
use std::hint::black_box;

/// The ways to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "comux_sdk::serde", rename_all = "kebab-case")]
enum How {
    /// Doesn't.
    None,

    /// On a frame: executes `unreachable`.
    Trap,
    /// On a frame: never returns.
    Loop,
    /// On a frame: takes memory until the host refuses, then traps.
    Grow,
    /// On a frame: writes a header that it has not declared.
    Undeclared,
    /// On a frame: returns `invalid-input`.
    Error,
    /// On a frame: returns `fatal`.
    Fatal,

    /// Refuses its configuration.
    ConfigureError,
    /// Executes `unreachable` in `configure`.
    ConfigureTrap,
    /// Panics in `configure`.
    ConfigurePanic,
    /// Never returns from `configure`.
    ConfigureLoop,
    /// Takes memory in `configure` until the host refuses, then traps.
    ConfigureGrow,

    /// Can't save.
    SaveError,
    /// Executes `unreachable` in `save`.
    SaveTrap,
    /// Never returns from `save`.
    SaveLoop,
    /// Takes memory in `save` until the host refuses, then traps.
    SaveGrow,

    /// Refuses what it should take over.
    RestoreError,
    /// Executes `unreachable` in `restore`.
    RestoreTrap,
    /// Never returns from `restore`.
    RestoreLoop,
    /// Takes memory in `restore` until the host refuses, then traps.
    RestoreGrow,
    /// No failure: takes over all it should, and says that it was a part.
    RestorePartial,
    /// No failure: takes over nothing.
    RestoreFresh,
}

comux_sdk::config! {
    /// How to fail, and when.
    #[derive(Debug)]
    struct Config {
        /// In which way, and in which hook.
        how: How = How::None,
        /// For failures on a frame: on each frame of this many, counted from 1: with 3 on the
        /// third, the sixth, …. Each instance counts its own.
        every: u64 = 1,
    }
}

struct Misbehave {
    config: Config,
    /// Seen by this instance.
    frames: u64,
    /// Seen by this instance and those whose state it took over.
    remembered: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(crate = "comux_sdk::serde")]
struct State {
    remembered: u64,
    /// Makes it impossible to save.
    #[serde(default, skip_serializing_if = "is_false", serialize_with = "refuse")]
    unsayable: bool,
}

const MEGABYTE: usize = 1 << 20;

const REFUSAL: &str = "refused, as configured";

impl Misbehave {
    fn is_due(&self) -> bool {
        self.frames.is_multiple_of(self.config.every)
    }
}

impl Plugin for Misbehave {
    type Config = Config;
    const HEADERS: &'static [&'static str] = &["misbehave.frame", "misbehave.remembered"];

    fn new(config: Config) -> Result<Self, ConfigError> {
        if config.every == 0 {
            return Err(ConfigError::key("every", "must be at least 1"));
        }
        match config.how {
            How::ConfigureError => return Err(ConfigError::key("how", REFUSAL)),
            How::ConfigureTrap => trap(),
            How::ConfigurePanic => panic(),
            How::ConfigureLoop => never_return(),
            How::ConfigureGrow => grow(),
            _ => {}
        }
        Ok(Self { config, frames: 0, remembered: 0 })
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        self.frames += 1;
        self.remembered += 1;
        let headers = Headers::new()
            .text("misbehave.frame", frame.info().sequence)
            .text("misbehave.remembered", self.remembered);
        if !self.is_due() {
            return Ok(headers);
        }
        match self.config.how {
            How::Trap => trap(),
            How::Loop => never_return(),
            How::Grow => grow(),
            How::Undeclared => Ok(headers.text("misbehave.undeclared", "1")),
            How::Error => Err(PluginError::InvalidInput("as configured".to_owned())),
            How::Fatal => Err(PluginError::Fatal("as configured".to_owned())),
            _ => Ok(headers),
        }
    }
}

impl Stateful for Misbehave {
    type State = State;

    fn save(&self) -> State {
        match self.config.how {
            How::SaveTrap => trap(),
            How::SaveLoop => never_return(),
            How::SaveGrow => grow(),
            _ => {}
        }
        State { remembered: self.remembered, unsayable: self.config.how == How::SaveError }
    }

    fn restore(&mut self, state: State) -> Result<Restored, StateError> {
        match self.config.how {
            How::RestoreError => return Err(REFUSAL.into()),
            How::RestoreTrap => trap(),
            How::RestoreLoop => never_return(),
            How::RestoreGrow => grow(),
            How::RestoreFresh => return Ok(Restored::fresh("as configured")),
            _ => {}
        }
        self.remembered = state.remembered;
        if self.config.how == How::RestorePartial {
            return Ok(Restored::partial("as configured"));
        }
        Ok(Restored::Full)
    }
}

#[expect(clippy::panic, reason = "that is the failure")]
fn panic() -> ! {
    panic!("{REFUSAL}")
}

fn trap() -> ! {
    std::process::abort()
}

fn never_return() -> ! {
    loop {
        black_box(());
    }
}

fn grow() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(black_box(vec![1_u8; MEGABYTE]));
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn refuse<S: Serializer>(_: &bool, _: S) -> Result<S::Ok, S::Error> {
    Err(S::Error::custom(REFUSAL))
}

comux_sdk::export!(Misbehave, state);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::{TestFrame, hand_over};

    fn plugin(how: How, every: u64) -> Misbehave {
        Misbehave::new(Config { how, every }).unwrap()
    }

    fn call(plugin: &mut Misbehave) -> Result<Headers, PluginError> {
        plugin.on_frame(&TestFrame::gray(2, 2, |_, _| 0).frame())
    }

    #[test]
    fn it_fails_on_each_nth_frame() {
        let mut plugin = plugin(How::Error, 3);
        let failed: Vec<bool> = (0..6).map(|_| call(&mut plugin).is_err()).collect();
        assert_eq!(failed, [false, false, true, false, false, true]);
    }

    #[test]
    fn it_hands_over_how_many_frames_it_has_seen() {
        let mut before = plugin(How::None, 1);
        call(&mut before).unwrap();
        for (how, restored, remembered) in [
            (How::None, Restored::Full, "2"),
            (How::RestorePartial, Restored::partial("as configured"), "2"),
            (How::RestoreFresh, Restored::fresh("as configured"), "1"),
        ] {
            let mut successor = plugin(how, 1);
            assert_eq!(hand_over(&before, &mut successor), Ok(restored));
            let headers = call(&mut successor).unwrap();
            assert_eq!(headers.get("misbehave.remembered"), Some(remembered), "{how:?}");
        }
    }

    #[test]
    fn it_refuses_to_save_and_to_restore() {
        let refusal = |before, successor| {
            let restored = hand_over(&plugin(before, 1), &mut plugin(successor, 1));
            restored.unwrap_err().to_string()
        };
        assert_eq!(
            refusal(How::SaveError, How::None),
            "the state can't be said in JSON: refused, as configured"
        );
        assert_eq!(refusal(How::None, How::RestoreError), REFUSAL);
    }
}
