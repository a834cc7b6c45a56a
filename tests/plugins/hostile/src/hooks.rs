//! The hooks, and which attack goes where.

use std::cell::RefCell;

use serde::Deserialize;

use crate::bindings::comux::plugin::frames::Frame;
use crate::bindings::comux::plugin::types::{Header, PluginError};
use crate::bindings::exports::comux::hostile::things;
use crate::bindings::exports::comux::plugin::frame_hook;
use crate::bindings::exports::comux::plugin::lifecycle::{self, Descriptor};
use crate::bindings::exports::comux::plugin::state::{self, Restored, Snapshot};
use crate::ways::{grow_by_pages, loop_forever, recurse, trap};
use crate::{bindings, frames};

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The attack: one of those in `frames`, or of the hooks below; `none` is none.
    #[serde(default = "none")]
    pub how: String,
    /// On a frame: on each of this many, counted from 1 by each instance.
    #[serde(default = "one")]
    pub every: u64,
    /// How much of it, whatever that is for the attack.
    #[serde(default)]
    pub size: u64,
}

fn none() -> String {
    "none".to_owned()
}

fn one() -> u64 {
    1
}

struct Hostile {
    config: Config,
    frames: u64,
}

thread_local! {
    static PLUGIN: RefCell<Option<Hostile>> = const { RefCell::new(None) };
}

/// What the hooks other than `on-frame` do: `configure-loop`, `save-recursion` and so on.
fn attack(hook: &str, how: &str) {
    match how.strip_prefix(hook) {
        Some("-loop") => loop_forever(),
        Some("-recursion") => drop(recurse(0)),
        Some("-grow") => grow_by_pages(),
        Some("-trap") => trap(),
        Some("-drop") => drop(things::Thing::new(Thing { loops_when_dropped: true })),
        _ => {}
    }
}

/// A text of this many bytes.
pub fn text(bytes: u64) -> String {
    "x".repeat(bytes as usize)
}

/// What would be a line of its own in a log, clear the screen, and turn text around.
pub const FORGED: &str = "one\n2026-01-01T00:00:00Z ERROR forged\r\n{\"message\":\"forged\"}\n\
     \u{1b}[2J\u{9b}31m\0\u{8}\u{7f}\u{85}\u{2028}\u{202e}four";

struct Component;

impl lifecycle::Guest for Component {
    fn describe() -> Descriptor {
        let names = ["hostile.frame", "hostile.seen", "hostile.big"];
        Descriptor {
            name: "hostile".to_owned(),
            version: "0.1.0".to_owned(),
            header_names: names.map(str::to_owned).to_vec(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        let config: Config = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        attack("configure", &config.how);
        if config.how == "configure-error" {
            return Err(text(config.size));
        }
        if config.how == "configure-forged" {
            return Err(FORGED.to_owned());
        }
        PLUGIN.set(Some(Hostile { config, frames: 0 }));
        Ok(())
    }
}

impl frame_hook::Guest for Component {
    fn on_frame(frame: &Frame) -> Result<Vec<Header>, PluginError> {
        let due = PLUGIN.with_borrow_mut(|plugin| {
            let plugin = plugin.as_mut().expect("configured");
            plugin.frames += 1;
            plugin.frames.is_multiple_of(plugin.config.every).then(|| plugin.config.clone())
        });
        let own = Header {
            name: "hostile.frame".to_owned(),
            value: frame.info().sequence.to_string().into_bytes(),
        };
        let more = due.map_or_else(|| Ok(Vec::new()), |config| frames::attack(&config, frame))?;
        Ok(std::iter::once(own).chain(more).collect())
    }
}

impl state::Guest for Component {
    fn save() -> Result<Snapshot, String> {
        let (config, frames) = PLUGIN.with_borrow(|plugin| {
            let plugin = plugin.as_ref().expect("configured");
            (plugin.config.clone(), plugin.frames)
        });
        attack("save", &config.how);
        if config.how == "save-error" {
            return Err(text(config.size));
        }
        if config.how == "configure-forged" {
            return Err(FORGED.to_owned());
        }
        let mut data = frames.to_string().into_bytes();
        if config.how == "save-large" {
            data.resize(config.size as usize, b' ');
        }
        Ok(Snapshot { schema: 1, plugin_version: "0.1.0".to_owned(), data })
    }

    fn restore(_: Snapshot) -> Result<Restored, String> {
        let how = PLUGIN.with_borrow(|plugin| plugin.as_ref().map(|it| it.config.how.clone()));
        attack("restore", &how.unwrap_or_default());
        Ok(Restored::Full)
    }
}

/// A resource of the plugin's own, whose destructor may be an attack.
pub struct Thing {
    pub loops_when_dropped: bool,
}

impl Drop for Thing {
    fn drop(&mut self) {
        if self.loops_when_dropped {
            loop_forever();
        }
    }
}

impl things::Guest for Component {
    type Thing = Thing;
}

impl things::GuestThing for Thing {
    fn new(loops_when_dropped: bool) -> Self {
        Self { loops_when_dropped }
    }
}

bindings::export!(Component with_types_in bindings);
