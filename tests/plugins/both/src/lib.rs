//! A plugin that takes frames of several cameras in one instance, and yet has a state to hand over.

use comux_sdk::prelude::*;

struct Both;

impl Plugin for Both {
    type Config = NoConfig;
    const HEADERS: &'static [&'static str] = &[];

    fn new(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn on_frame(&mut self, _: &Frame) -> Result<Headers, PluginError> {
        Ok(Headers::new())
    }
}

impl Batched for Both {
    fn on_batch(&mut self, frames: &[Frame]) -> Vec<Result<Headers, PluginError>> {
        frames.iter().map(|_| Ok(Headers::new())).collect()
    }
}

impl Stateful for Both {
    type State = ();

    fn save(&self) {}

    fn restore(&mut self, (): ()) -> Result<Restored, StateError> {
        Ok(Restored::Full)
    }
}

// `export!` offers one or the other.
const _: () = {
    comux_sdk::export_plugin!(Both);
    comux_sdk::export_its_batches!(Both);
    comux_sdk::export_its_state!(Both);
};
