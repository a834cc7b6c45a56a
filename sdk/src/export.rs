//! Between the generated exports and a [`Plugin`].

#[cfg(not(target_family = "wasm"))]
use crate::batch_bindings::exports::comux::plugin::batch_hook as batch_exports;
use crate::bindings::comux::plugin::frames::Frame as HostFrame;
use crate::bindings::exports::comux::plugin::lifecycle::Descriptor;
#[cfg(not(target_family = "wasm"))]
use crate::bindings::exports::comux::plugin::{frame_hook, lifecycle};
#[cfg(not(target_family = "wasm"))]
use crate::state_bindings::exports::comux::plugin::state as state_exports;
use crate::{
    Batched, Frame, Header, Headers, Plugin, PluginError, Restored, Snapshot, Stateful, config,
    state,
};
use std::cell::RefCell;

/// Makes the crate a plugin: `comux_sdk::export!(MyPlugin);`, once, for a type that implements
/// [`Plugin`]; `comux_sdk::export!(MyPlugin, state);` for one that is also
/// [`Stateful`], `comux_sdk::export!(MyPlugin, batches);` for one that is [`Batched`].
///
/// Name and version are those of the crate, unless the type sets [`Plugin::NAME`] or
/// [`Plugin::VERSION`].
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
            $crate::export_plugin!($plugin);
        };
    };
    ($plugin:ty, state) => {
        const _: () = {
            $crate::export_plugin!($plugin);
            $crate::export_its_state!($plugin);
        };
    };
    ($plugin:ty, batches) => {
        const _: () = {
            $crate::export_plugin!($plugin);
            $crate::export_its_batches!($plugin);
        };
    };
}

/// The part of [`export!`] that every plugin has.
#[doc(hidden)]
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        struct Component;

        ::std::thread_local! {
            static PLUGIN: ::std::cell::RefCell<::std::option::Option<$plugin>> =
                const { ::std::cell::RefCell::new(::std::option::Option::None) };
        }

        impl $crate::bindings::exports::comux::plugin::lifecycle::Guest for Component {
            fn describe() -> $crate::bindings::exports::comux::plugin::lifecycle::Descriptor {
                $crate::describe::<$plugin>(
                    ::core::env!("CARGO_PKG_NAME"),
                    ::core::env!("CARGO_PKG_VERSION"),
                )
            }

            fn configure(
                config: ::std::string::String,
            ) -> ::std::result::Result<(), ::std::string::String> {
                PLUGIN.with(|slot| $crate::configure::<$plugin>(slot, &config))
            }
        }

        impl $crate::bindings::exports::comux::plugin::frame_hook::Guest for Component {
            fn on_frame(
                frame: &$crate::bindings::comux::plugin::frames::Frame,
            ) -> ::std::result::Result<::std::vec::Vec<$crate::Header>, $crate::PluginError> {
                PLUGIN.with(|slot| $crate::on_frame::<$plugin>(slot, frame))
            }
        }

        // Native linkers refuse the names of these exports.
        #[cfg(target_family = "wasm")]
        $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::exports_nothing::<Component>();
    };
}

/// What [`export!`] adds for a plugin with state, beside [`export_plugin!`].
#[doc(hidden)]
#[macro_export]
macro_rules! export_its_state {
    ($plugin:ty) => {
        impl $crate::state_bindings::exports::comux::plugin::state::Guest for Component {
            fn save() -> ::std::result::Result<$crate::Snapshot, ::std::string::String> {
                PLUGIN.with(|slot| {
                    $crate::save::<$plugin>(slot, ::core::env!("CARGO_PKG_VERSION"))
                })
            }

            fn restore(
                saved: $crate::Snapshot,
            ) -> ::std::result::Result<$crate::Restored, ::std::string::String> {
                PLUGIN.with(|slot| $crate::restore::<$plugin>(slot, &saved))
            }
        }

        #[cfg(target_family = "wasm")]
        $crate::state_bindings::export_state!(Component with_types_in $crate::state_bindings);
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::exports_no_state::<Component>();
    };
}

/// What [`export!`] adds for a plugin that takes batches, beside [`export_plugin!`].
#[doc(hidden)]
#[macro_export]
macro_rules! export_its_batches {
    ($plugin:ty) => {
        impl $crate::batch_bindings::exports::comux::plugin::batch_hook::Guest for Component {
            fn on_batch(
                frames: ::std::vec::Vec<$crate::bindings::comux::plugin::frames::Frame>,
            ) -> ::std::vec::Vec<
                ::std::result::Result<::std::vec::Vec<$crate::Header>, $crate::PluginError>,
            > {
                PLUGIN.with(|slot| $crate::on_batch::<$plugin>(slot, &frames))
            }
        }

        #[cfg(target_family = "wasm")]
        $crate::batch_bindings::export_batches!(Component with_types_in $crate::batch_bindings);
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::exports_no_batches::<Component>();
    };
}

/// Stands for the exports in native builds of [`export!`], which serve tests only.
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
pub const fn exports_nothing<Component: lifecycle::Guest + frame_hook::Guest>() {}

/// The same for the export of `state`.
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
pub const fn exports_no_state<Component: state_exports::Guest>() {}

/// The same for the export of `batch-hook`.
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
pub const fn exports_no_batches<Component: batch_exports::Guest>() {}

/// Serves `describe` for [`export!`].
#[doc(hidden)]
pub fn describe<P: Plugin>(crate_name: &str, crate_version: &str) -> Descriptor {
    Descriptor {
        name: P::NAME.unwrap_or(crate_name).to_owned(),
        version: P::VERSION.unwrap_or(crate_version).to_owned(),
        header_names: P::HEADERS.iter().map(|&name| name.to_owned()).collect(),
    }
}

/// Serves `configure` for [`export!`].
#[doc(hidden)]
pub fn configure<P: Plugin>(slot: &RefCell<Option<P>>, config: &str) -> Result<(), String> {
    #[cfg(target_family = "wasm")]
    log_panics();
    let config = config::parse(config).map_err(|error| error.to_string())?;
    let plugin = P::new(config).map_err(|error| error.to_string())?;
    slot.replace(Some(plugin));
    Ok(())
}

/// Serves `on-frame` for [`export!`].
#[doc(hidden)]
pub fn on_frame<P: Plugin>(
    slot: &RefCell<Option<P>>,
    frame: &HostFrame,
) -> Result<Vec<Header>, PluginError> {
    let mut plugin = slot.borrow_mut();
    let plugin = plugin
        .as_mut()
        .ok_or_else(|| PluginError::Fatal("on-frame was called before configure".to_owned()))?;
    let headers = plugin.on_frame(&Frame::from_host(frame))?;
    Ok(headers.into_inner())
}

/// Serves `on-batch` for [`export!`].
#[doc(hidden)]
pub fn on_batch<P: Batched>(
    slot: &RefCell<Option<P>>,
    frames: &[HostFrame],
) -> Vec<Result<Vec<Header>, PluginError>> {
    let mut plugin = slot.borrow_mut();
    let Some(plugin) = plugin.as_mut() else {
        let early = || PluginError::Fatal("on-batch was called before configure".to_owned());
        return frames.iter().map(|_| Err(early())).collect();
    };
    let frames: Vec<Frame> = frames.iter().map(Frame::from_host).collect();
    let answers = plugin.on_batch(&frames);
    answers.into_iter().map(|answer| answer.map(Headers::into_inner)).collect()
}

/// Serves `save` for [`export!`].
#[doc(hidden)]
pub fn save<P: Stateful>(
    slot: &RefCell<Option<P>>,
    crate_version: &str,
) -> Result<Snapshot, String> {
    let plugin = slot.borrow();
    let plugin = plugin.as_ref().ok_or("save was called before configure")?;
    state::save(plugin, crate_version).map_err(|error| error.to_string())
}

/// Serves `restore` for [`export!`].
#[doc(hidden)]
pub fn restore<P: Stateful>(
    slot: &RefCell<Option<P>>,
    saved: &Snapshot,
) -> Result<Restored, String> {
    let mut plugin = slot.borrow_mut();
    let plugin = plugin.as_mut().ok_or("restore was called before configure")?;
    state::restore(plugin, saved).map_err(|error| error.to_string())
}

/// A trap says only that something was unreachable; the panic's own words go to the log first.
#[cfg(target_family = "wasm")]
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        crate::log::emit(crate::log::Level::Error, &panic.to_string());
    }));
}
