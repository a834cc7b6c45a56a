//! `comux plugin build`: from an author's project to a component that imports nothing but
//! `comux:plugin`. Whether the host would load it with its other demands, the host finds out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

mod component;
mod javascript;
mod python;
mod rust;

pub use javascript::VERSION as COMPONENTIZE_JS_VERSION;
pub use python::VERSION as COMPONENTIZE_PY_VERSION;

/// Compiles the project in `directory` and writes it as a component to `out`, or to
/// `plugins/<name>.wasm` in the project's target directory. Gives the path written. What the tools
/// print goes to the standard error.
///
/// # Errors
/// When `directory` has no project, its compiler is not installed, it does not compile, is no
/// plugin, or imports anything but `comux:plugin`; each with what to do about it.
pub fn build(directory: &Path, out: Option<&Path>) -> Result<PathBuf> {
    let has = |file: &str| directory.join(file).is_file();
    let built = if has(rust::MANIFEST) {
        rust::compile(directory)?
    } else if has(python::MANIFEST) {
        python::compile(directory)?
    } else if has(javascript::MANIFEST) {
        javascript::compile(directory)?
    } else {
        bail!(
            "{} is no plugin's project: it has no {}, {} or {}; `comux plugin new` makes one",
            directory.display(),
            rust::MANIFEST,
            python::MANIFEST,
            javascript::MANIFEST
        )
    };
    let default = built.target_directory.join("plugins");
    let path = match out {
        Some(path) => path.to_owned(),
        None => default.join(format!("{}.wasm", built.name)),
    };
    write(&path, &built.component)?;
    Ok(path)
}

/// Whole or not at all: a running host may be watching the old file.
fn write(path: &Path, component: &[u8]) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let replace = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = directory.join(name);
        std::fs::write(&part, component)?;
        std::fs::rename(&part, path)
    };
    replace().with_context(|| format!("can't write {}", path.display()))
}
