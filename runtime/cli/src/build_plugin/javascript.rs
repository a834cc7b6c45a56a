//! From a JavaScript project to a component that brings an engine with it: with componentize-js.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::component::{Built, Project, Settings, WIT};

/// What makes a directory a project.
pub const MANIFEST: &str = "package.json";

/// The release of componentize-js that the interface was tried with.
pub const VERSION: &str = "0.23.0";

/// Where a project has it.
const PACKAGE: &str = "node_modules/@bytecodealliance/componentize-js";

/// Makes a component of a module, for a world, in a file. Without these features it imports nothing
/// of WASI.
const SCRIPT: &str = "\
import { componentize } from '@bytecodealliance/componentize-js';
import { writeFile } from 'node:fs/promises';
const [sourcePath, witPath, worldName, out] = process.argv.slice(1);
const disableFeatures = ['random', 'stdio', 'clocks', 'http', 'fetch-event'];
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
await writeFile(out, component);
";

/// As much of `package.json` as concerns a plugin.
#[derive(Deserialize)]
struct Manifest {
    name: String,
    comux: Option<Settings>,
}

/// Makes a component of the project in `directory`.
pub fn compile(directory: &Path) -> Result<Built> {
    let path = directory.join(MANIFEST);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let manifest: Manifest =
        serde_json::from_str(&text).with_context(|| format!("{} can't be read", path.display()))?;
    let settings = manifest.comux.with_context(|| {
        format!(
            "{} has no plugin: add\n\"comux\": {{ \"module\": \"plugin.js\", \"world\": \
             \"plugin\" }}",
            path.display()
        )
    })?;
    let project = Project::open(directory, manifest.name, "js")?;
    check_package(&project.directory)?;
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", SCRIPT, "--"]);
    project.build(node.args([&settings.module, WIT, &settings.world]))
}

/// Whether the project has componentize-js, in the release that is needed.
fn check_package(directory: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    let remedy = format!(
        "run   npm install --save-dev @bytecodealliance/componentize-js@{VERSION}   in {}",
        directory.display()
    );
    let Ok(text) = std::fs::read_to_string(directory.join(PACKAGE).join(MANIFEST)) else {
        bail!("componentize-js is missing: {remedy}")
    };
    let package: Package = serde_json::from_str(&text).context("componentize-js")?;
    let found = package.version;
    ensure!(found == VERSION, "componentize-js is of {found}, and {VERSION} is needed: {remedy}");
    Ok(())
}
