//! A component that was built, whatever of.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
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

/// Where the interface lies in a project.
pub const WIT: &str = "comux/wit";

/// What a project's manifest says of its plugin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the host calls.
    pub module: String,
    /// A world of the interface.
    pub world: String,
}

/// A project of which a tool makes the component in one step.
pub struct Project {
    /// Its directory, as an absolute path.
    pub directory: PathBuf,
    name: String,
}

impl Project {
    /// The project in `directory`, which is as `comux plugin new --lang LANGUAGE` makes one.
    pub fn open(directory: &Path, name: String, language: &str) -> Result<Self> {
        let directory = directory.canonicalize()?;
        ensure!(
            directory.join(WIT).is_dir(),
            "{} has no {WIT}: copy it from a project that `comux plugin new --lang {language}` \
             makes",
            directory.display()
        );
        Ok(Self { directory, name })
    }

    /// Runs the tool in the project, with the component's path as its last argument.
    pub fn build(self, tool: &mut Command) -> Result<Built> {
        let Self { directory, name } = self;
        let target_directory = directory.join("target");
        let built = target_directory.join("plugin-build");
        std::fs::create_dir_all(&built)
            .with_context(|| format!("can't make {}", built.display()))?;
        let component = built.join("component.wasm");
        let program = tool.get_program().to_string_lossy().into_owned();
        let status = tool
            .current_dir(&directory)
            .arg(&component)
            .stdin(Stdio::null())
            // Our own standard output belongs to our caller's results.
            .stdout(std::io::stderr())
            .status()
            .with_context(|| format!("can't run {program}; is it installed?"))?;
        ensure!(status.success(), "{name} does not build; see the messages of {program} above");
        let component = std::fs::read(&component)
            .with_context(|| format!("can't read {}", component.display()))?;
        check_interface(&component).with_context(|| format!("{name} can't become a plugin"))?;
        Ok(Built { name, target_directory, component })
    }
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
        "it does not export {LIFECYCLE}…: in Rust, call comux_sdk::export! on the type that \
         implements Plugin"
    );
    Ok(())
}
