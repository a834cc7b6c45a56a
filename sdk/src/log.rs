//! The operator's log. The host adds tenant, camera and plugin, limits the rate and cuts long
//! messages; writing never blocks and never fails. In native tests it is the standard error.
//!
//! Nothing per frame above [`Level::Trace`]: [`warn!`](crate::warn!) when something was lost,
//! [`error!`](crate::error!) when someone must act.

pub use crate::bindings::comux::plugin::log::Level;

/// Writes one message. The macros [`trace!`](crate::trace!), [`debug!`](crate::debug!),
/// [`info!`](crate::info!), [`warn!`](crate::warn!) and [`error!`](crate::error!) format for it.
pub fn emit(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::comux::plugin::log::emit(level, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}

/// Logs for whoever debugs this plugin's frames; takes what `format!` takes.
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => { $crate::log::emit($crate::log::Level::Trace, &::std::format!($($message)+)) };
}

/// Logs for whoever debugs this plugin; takes what `format!` takes.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log::emit($crate::log::Level::Debug, &::std::format!($($message)+)) };
}

/// Logs an event of the plugin's life; takes what `format!` takes.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log::emit($crate::log::Level::Info, &::std::format!($($message)+)) };
}

/// Logs that something was lost or is worse than it should be; takes what `format!` takes.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log::emit($crate::log::Level::Warn, &::std::format!($($message)+)) };
}

/// Logs that someone must act; takes what `format!` takes.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log::emit($crate::log::Level::Error, &::std::format!($($message)+)) };
}
