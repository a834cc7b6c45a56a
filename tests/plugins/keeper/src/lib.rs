//! A plugin that keeps the frames of its first batch, and asks one of them in each later call: what
//! it gets to know by that would be of a picture that it is not called with.

use comux_sdk::bindings::comux::plugin::frames::Frame as HostFrame;
use comux_sdk::prelude::*;
use std::cell::RefCell;

struct Keeper;

impl Plugin for Keeper {
    type Config = NoConfig;
    const HEADERS: &'static [&'static str] = &["keeper.learnt"];

    fn new(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn on_frame(&mut self, _: &Frame) -> Result<Headers, PluginError> {
        Ok(Headers::new().text("keeper.learnt", "nothing"))
    }
}

thread_local! {
    static KEPT: RefCell<Vec<HostFrame>> = const { RefCell::new(Vec::new()) };
}

fn header(learnt: String) -> Result<Vec<comux_sdk::Header>, PluginError> {
    Ok(vec![comux_sdk::Header { name: "keeper.learnt".to_owned(), value: learnt.into_bytes() }])
}

// As `export!` would, but for what becomes of the frames.
const _: () = {
    comux_sdk::export_plugin!(Keeper);

    impl comux_sdk::batch_bindings::exports::comux::plugin::batch_hook::Guest for Component {
        fn on_batch(frames: Vec<HostFrame>) -> Vec<Result<Vec<comux_sdk::Header>, PluginError>> {
            let count = frames.len();
            KEPT.with_borrow_mut(|kept| {
                let learnt = match kept.first() {
                    Some(old) => format!("{} of {}", old.info().sequence, old.camera()),
                    None => "nothing".to_owned(),
                };
                kept.extend(frames);
                (0..count).map(|_| header(learnt.clone())).collect()
            })
        }
    }

    #[cfg(target_family = "wasm")]
    comux_sdk::batch_bindings::export_batches!(Component with_types_in comux_sdk::batch_bindings);
};
