//! `comux plugin new`: a project to begin with, which builds and passes its tests as it is.
//!
//! It brings what plugins are made with, of this version of comux: the interface, and for Rust the
//! SDK. So
//! it lies wherever its author wants, and needs nothing of comux but the command.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use crate::build_plugin::{COMPONENTIZE_JS_VERSION, COMPONENTIZE_PY_VERSION};

static RUST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/rust");
static JAVASCRIPT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/javascript");
static PYTHON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/python");
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

/// Where the SDK's manifest has its versions from.
const WORKSPACE: &str = include_str!("../../../Cargo.toml");

/// Names of files that cargo, git or an editor would take for their own where the template lies.
const RENAMED: [(&str, &str); 3] = [
    ("Cargo.toml.in", "Cargo.toml"),
    ("pyproject.toml.in", "pyproject.toml"),
    ("gitignore", ".gitignore"),
];

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// The smallest and fastest, with an SDK.
    Rust,
    /// JavaScript: brings an engine with it, 12 MB.
    Js,
    /// Brings an interpreter with it, 18 MB.
    Python,
}

impl Language {
    fn template(self) -> &'static Dir<'static> {
        match self {
            Self::Rust => &RUST,
            Self::Js => &JAVASCRIPT,
            Self::Python => &PYTHON,
        }
    }
}

/// As long as a name in a header may reasonably be.
const LONGEST_NAME: usize = 64;

/// Makes the project in a new directory, whose name is the plugin's; gives the name.
///
/// # Errors
/// When the name can't be a crate's and a header's, or something is there already, or can't be
/// written.
pub fn create(directory: &Path, language: Language) -> Result<String> {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check_name(name)?;
    let path = directory.display();
    let is_empty = || fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
    ensure!(
        !directory.exists() || is_empty(),
        "`{path}` is there already; give the plugin another name, or remove it"
    );
    let filled = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
            .replace("{{componentize-js}}", COMPONENTIZE_JS_VERSION)
            .replace("{{componentize-py}}", COMPONENTIZE_PY_VERSION)
    };
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for (path, text) in texts(language.template())? {
        let renamed = RENAMED.iter().find(|(from, _)| path == Path::new(from));
        files.push((renamed.map_or(path, |(_, to)| PathBuf::from(to)), filled(&text)));
    }
    files.extend(
        texts(&WIT)?.into_iter().map(|(path, text)| (Path::new("comux/wit").join(path), text)),
    );
    if language == Language::Rust {
        files.extend(sdk().context("the SDK")?);
    }
    for (path, text) in files {
        write(&directory.join(path), &text)?;
    }
    Ok(name.to_owned())
}

/// A crate's name, and the first part of a header's.
fn check_name(name: &str) -> Result<()> {
    let is_part =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let is_name = name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.chars().all(is_part)
        && !name.ends_with('-')
        && name.len() <= LONGEST_NAME;
    ensure!(
        is_name,
        "`{name}` can't be a plugin's name: it begins with a letter `a` to `z`, goes on with \
         those, `0` to `9` and `-`, and has at most {LONGEST_NAME}, as in `gate-counter`"
    );
    // What the project itself depends on.
    ensure!(
        name != "comux-sdk" && name != "comux",
        "`{name}` is comux's own; give the plugin another name"
    );
    Ok(())
}

/// All files below a directory, with their paths in it.
fn texts(directory: &Dir<'_>) -> Result<Vec<(PathBuf, String)>> {
    let mut texts = Vec::new();
    for file in directory.files() {
        let text = file.contents_utf8().with_context(|| format!("{:?} is no text", file.path()))?;
        texts.push((file.path().to_owned(), text.to_owned()));
    }
    for inner in directory.dirs() {
        texts.extend(self::texts(inner)?);
    }
    Ok(texts)
}

/// The SDK's files, for a project of its own.
fn sdk() -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for (path, text) in texts(&SDK)? {
        let text = if path == Path::new("Cargo.toml") { sdk_manifest()? } else { text };
        files.push((Path::new("comux/sdk").join(path), text));
    }
    Ok(files)
}

/// The SDK's manifest without its workspace, as cargo writes it when it packages a crate.
fn sdk_manifest() -> Result<String> {
    let own = SDK.get_file("Cargo.toml").and_then(|file| file.contents_utf8());
    let mut manifest: Table = own.context("it is missing")?.parse()?;
    let workspace: Table = WORKSPACE.parse()?;
    let workspace = table(&workspace, "workspace")?;
    // How comux checks its own code, which is nobody else's business.
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    for (section, of_workspace) in [("package", "package"), ("dependencies", "dependencies")] {
        let inherited = table(workspace, of_workspace)?;
        let Some(Value::Table(entries)) = manifest.get_mut(section) else {
            bail!("it has no `{section}`")
        };
        for (key, value) in entries.iter_mut() {
            if value.get("workspace").is_some() {
                let inherited = inherited.get(key);
                *value = inherited.with_context(|| format!("`{key}` is of no workspace"))?.clone();
            }
        }
    }
    Ok(toml::to_string(&manifest)?)
}

fn table<'a>(outer: &'a Table, key: &str) -> Result<&'a Table> {
    outer.get(key).and_then(Value::as_table).ok_or_else(|| anyhow!("it has no `{key}`"))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_crates_or_no_headers_are_refused_with_what_is_one() {
        for name in
            ["", "Gate", "7gate", "gate_7", "gate-", "tür", "a/b", &"a".repeat(65), "comux-sdk"]
        {
            assert!(check_name(name).is_err(), "{name}");
        }
        for name in ["g", "gate-7", &"a".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        assert!(check_name("Gate").unwrap_err().to_string().contains("as in `gate-counter`"));
    }

    #[test]
    fn the_sdk_stands_without_its_workspace() {
        let manifest = sdk_manifest().unwrap();
        assert!(!manifest.contains("workspace"), "{manifest}");
        assert!(manifest.contains("wit-bindgen") && manifest.contains("edition = \"2024\""));
    }

    #[test]
    fn what_is_there_is_not_written_over() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("gate");
        fs::create_dir(&directory).unwrap();
        let name = create(&directory, Language::Rust).unwrap();
        assert_eq!(name, "gate", "an empty one is as good as none");
        let text = fs::read_to_string(directory.join("src/lib.rs")).unwrap();
        assert!(text.contains("gate.share") && !text.contains("{{"), "{text}");
        let refusal = create(&directory, Language::Python).unwrap_err().to_string();
        assert!(refusal.contains("there already"), "{refusal}");
    }
}
