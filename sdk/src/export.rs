//! Between the generated exports and a [`Plugin`].

use crate::bindings::comux::plugin::frames::Frame as HostFrame;
use crate::bindings::exports::comux::plugin::lifecycle::Descriptor;
#[cfg(not(target_family = "wasm"))]
use crate::bindings::exports::comux::plugin::{frame_hook, lifecycle};
use crate::{Frame, Header, Plugin, PluginError, config};
use std::cell::RefCell;

/// Makes the crate a plugin: `comux_sdk::export!(MyPlugin);`, once, for a type that implements
/// [`Plugin`].
///
/// Name and version are those of the crate, unless the type sets [`Plugin::NAME`] or
/// [`Plugin::VERSION`].
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
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
                ) -> ::std::result::Result<::std::vec::Vec<$crate::Header>, $crate::PluginError>
                {
                    PLUGIN.with(|slot| $crate::on_frame::<$plugin>(slot, frame))
                }
            }

            // Native linkers refuse the names of these exports.
            #[cfg(target_family = "wasm")]
    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
            #[cfg(not(target_family = "wasm"))]
            const _: () = $crate::exports_nothing::<Component>();
        };
    };
}

/// Stands for the exports in native builds of [`export!`], which serve tests only.
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
pub const fn exports_nothing<Component: lifecycle::Guest + frame_hook::Guest>() {}

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

/// A trap says only that something was unreachable; the panic's own words go to the log first.
#[cfg(target_family = "wasm")]
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        crate::log::emit(crate::log::Level::Error, &panic.to_string());
    }));
}
