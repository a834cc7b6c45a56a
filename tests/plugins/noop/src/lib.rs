//! A plugin for measurements that does nothing: it asks what the frame is, and writes one header.

use comux_sdk::prelude::*;

struct Noop;

impl Plugin for Noop {
    type Config = NoConfig;
    const HEADERS: &'static [&'static str] = &["noop.seen"];

    fn new(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        Ok(Headers::new().text("noop.seen", frame.info().sequence))
    }
}

comux_sdk::export!(Noop);
