//! Sandboxed plugins: what is loaded once, what lives per camera, and what a plugin may reach.
//!
//! This module narrows wasmtime to the one shape that comux needs: components of the world
//! `comux:plugin/plugin`, called synchronously on the camera's own thread, with a deadline and a
//! memory limit on every entry. One store per camera and plugin; a trap ends the store.
//!
//! Its folders are used in one direction: [`supply`] (where components come from), [`sandbox`]
//! (what runs them), [`compile`], [`instance`] (plugins on cameras), and above them the [`Loader`].
//! None imports what comes after it.
//!
//! A plugin is named by a [`PluginRef`](crate::policy::PluginRef) and known by its
//! [`Digest`](crate::policy::Digest). The [`Loader`] leads from one to the other, and to machine
//! code, off the cameras' threads.

pub mod compile;
mod fair_semaphore;
#[doc(hidden)]
pub mod fuzzing;
pub mod instance;
mod loader;
mod plugin_store;
pub mod sandbox;
mod settings;
mod signing;
pub mod supply;
#[cfg(test)]
mod test_plugin;

pub use loader::{Loaded, Loader};
pub use plugin_store::{AddError, PluginStore, StoredPlugin};
pub use settings::{LoaderSettings, OpenError, TenantPlugins};
pub use signing::{SignError, sign_file, signatures_of};
