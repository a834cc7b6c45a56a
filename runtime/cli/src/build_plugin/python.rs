//! From a Python project to a component that brings an interpreter with it: with componentize-py.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::component::{Built, Project, Settings, WIT};

/// What makes a directory a project.
pub const MANIFEST: &str = "pyproject.toml";

/// The release of componentize-py that the interface was tried with.
pub const VERSION: &str = "0.25.1";

/// As much of `pyproject.toml` as concerns a plugin.
#[derive(Deserialize)]
struct Manifest {
    project: Metadata,
    #[serde(default)]
    tool: Tools,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
struct Tools {
    comux: Option<Settings>,
}

/// Makes a component of the project in `directory`.
pub fn compile(directory: &Path) -> Result<Built> {
    let path = directory.join(MANIFEST);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let manifest: Manifest =
        toml::from_str(&text).with_context(|| format!("{} can't be read", path.display()))?;
    let settings = manifest.tool.comux.with_context(|| {
        format!(
            "{} has no plugin: add\n[tool.comux]\nmodule = \"plugin\"\nworld = \"plugin\"",
            path.display()
        )
    })?;
    let project = Project::open(directory, manifest.project.name, "python")?;
    let mut tool = componentize_py(&project.directory)?;
    tool.args(["--quiet", "--wit-path", WIT, "--world", &settings.world, "componentize"])
        // What WASI would give is not there: a plugin that asks for it ends.
        .args(["--stub-wasi", "--python-path", ".", &settings.module, "--output"]);
    project.build(&mut tool)
}

/// That of the project's own environment, or of the active one, or of the `PATH`.
fn componentize_py(directory: &Path) -> Result<Command> {
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let environments = [Some(directory.join(".venv")), active];
    let in_bin = |environment: PathBuf| environment.join("bin/componentize-py");
    let own = environments.into_iter().flatten().map(in_bin).find(|path| path.is_file());
    let program = own.unwrap_or_else(|| "componentize-py".into());
    let version = Command::new(&program).arg("--version").stderr(Stdio::null()).output();
    let Ok(version) = version else {
        bail!(
            "componentize-py is missing: run   python3 -m venv .venv && .venv/bin/pip install \
             componentize-py=={VERSION}   in {}",
            directory.display()
        )
    };
    let version = String::from_utf8_lossy(&version.stdout);
    ensure!(
        version.trim_end().ends_with(VERSION),
        "{} is `{}`, and {VERSION} is needed: run   pip install componentize-py=={VERSION}",
        program.display(),
        version.trim_end()
    );
    Ok(Command::new(program))
}
