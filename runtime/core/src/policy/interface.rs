//! The interface between host and plugins by its name and version, as components import and export
//! it.

/// The package whose interfaces a plugin may import, and the version this host has.
pub(crate) const INTERFACE_PACKAGE: &str = "comux:plugin/";
pub(crate) const INTERFACE_VERSION: &str = "0.1";

/// Whether an interface has a version that goes with this host's.
pub(crate) fn is_of_this_track(interface: &str) -> bool {
    let version = interface.split_once('@').map_or("", |(_, version)| version);
    version.strip_prefix(INTERFACE_VERSION).is_some_and(|patch| patch.starts_with('.'))
}
