//! A component that was built, whatever of.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use wit_component::DecodedWasm;

/// The namespace and package of all that a plugin may import.
const OWN_PACKAGE: &str = "comux:plugin/";

/// The export that makes a component a plugin.
const LIFECYCLE: &str = "comux:plugin/lifecycle@";

/// A component, and where it belongs.
pub struct Built {
    pub name: String,
    /// What is built of the project lies there.
    pub target_directory: PathBuf,
    pub component: Vec<u8>,
}

/// Whether it is a plugin, and imports nothing but what the host gives.
pub fn check_interface(component: &[u8]) -> Result<()> {
    let decoded = wit_component::decode(component).context("can't read the component back")?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("the result is no component");
    };
    let world = resolve.worlds.get(world).context("the component has no world")?;
    for key in world.imports.keys() {
        let import = resolve.name_world_key(key);
        ensure!(
            import.starts_with(OWN_PACKAGE),
            "it imports {import}, and a plugin may import nothing but comux:plugin: remove the \
             dependency that needs it, and build without WASI"
        );
    }
    let is_plugin =
        world.exports.keys().any(|key| resolve.name_world_key(key).starts_with(LIFECYCLE));
    ensure!(
        is_plugin,
        "it does not export {LIFECYCLE}…: in Rust, call comux_sdk::export! on the type that implements \
         Plugin"
    );
    Ok(())
}
