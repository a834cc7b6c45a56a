//! What plugins may call themselves and their headers: names that go out with every record.

use super::plugin_ref::{NoPluginRef, PluginRef};

/// The longest name of a header, of a plugin, and of a version.
const MAX_BYTES: usize = 256;

/// How many headers a plugin may declare: what comes out of each call is looked up among them.
pub(crate) const MOST_HEADERS: usize = 256;

/// Whether plugins may write a header of this name; if not, why.
pub(crate) fn check_header(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("a header needs a name")
    } else if name.len() > MAX_BYTES {
        Err("a header's name has at most 256 bytes")
    } else if name.contains(char::is_control) {
        // librdkafka, and with it most consumers, takes a name to end at a NUL.
        Err("a header's name has no control characters")
    } else if name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("comux-")) {
        Err("names that begin with `comux-` are the runtime's own")
    } else {
        Ok(())
    }
}

/// Whether a plugin may call itself so: `comux-plugin` lists plugins with commas between them, and
/// the store has them under `NAME@VERSION`.
pub(crate) fn check_plugin(name: &str, version: &str) -> Result<(), NoPluginRef> {
    if name.len() > MAX_BYTES || version.len() > MAX_BYTES {
        return Err(NoPluginRef::TooLong(name.len() + version.len()));
    }
    PluginRef::stored(name, version).map(drop)
}
