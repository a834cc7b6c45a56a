//! Signing a component's file, and looking at its signatures.

use std::io::{self, Write};
use std::path::Path;

use crate::plugin::compile::Outline;
use crate::plugin::supply::{
    ComponentSignature, LoadError, LoadProblem, read_component, sign, signatures,
};
use crate::policy::{LoadLimits, PluginRef, PrivateKey};

/// A file can't be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It can't be read, or is no component.
    #[error(transparent)]
    NoPlugin(#[from] LoadError),
    /// The signed component can't be written.
    #[error("can't write `{path}`: {cause}; name another file with --out")]
    Unwritable {
        /// The file.
        path: String,
        /// What the operating system says.
        cause: io::Error,
    },
}

/// Signs the component in `file`, into `out`. One that has this key's signature stays as it is.
///
/// # Errors
/// When `file` holds no component, or `out` can't be written.
pub fn sign_file(file: &Path, key: &PrivateKey, out: &Path) -> Result<(), SignError> {
    let mut component = read(file)?;
    // Whoever signs should know what: at least that it is something to be signed.
    Outline::of(&component, &LoadLimits::default()).map_err(|problem| refusal(file, problem))?;
    let own = ComponentSignature { key: Some(key.public()), is_valid: true };
    if !signatures(&component).contains(&own) {
        component = sign(component, key);
    }
    write(out, &component).map_err(|cause| {
        let path = out.display().to_string();
        SignError::Unwritable { path, cause }
    })
}

/// The signatures of the component in `file`, the last one first.
///
/// # Errors
/// When it can't be read.
pub fn signatures_of(file: &Path) -> Result<Vec<ComponentSignature>, LoadError> {
    read(file).map(|component| signatures(&component))
}

fn read(file: &Path) -> Result<Vec<u8>, LoadError> {
    let read = read_component(file, LoadLimits::default().component_bytes);
    read.map_err(|error| refusal(file, error.into()))
}

fn refusal(file: &Path, problem: LoadProblem) -> LoadError {
    LoadError { plugin: PluginRef::File(file.display().to_string()), problem }
}

/// Whole or not at all, with the permissions of the file that is there.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let permissions = match std::fs::metadata(path) {
        Ok(metadata) => metadata.permissions(),
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::plugin::test_plugin::component;

    #[test]
    fn a_file_is_signed_in_place_or_elsewhere_and_once_by_each_key() {
        let directory = tempfile::tempdir().unwrap();
        let (file, out) = (directory.path().join("a.wasm"), directory.path().join("b.wasm"));
        fs::write(&file, component("motion", "1.0.0")).unwrap();
        let [one, other] = [(); 2].map(|()| PrivateKey::generate().unwrap());
        sign_file(&file, &one, &out).unwrap();
        assert_eq!(signatures_of(&file).unwrap(), []);
        sign_file(&out, &one, &out).unwrap();
        sign_file(&out, &other, &out).unwrap();
        let signers: Vec<_> = signatures_of(&out).unwrap().iter().map(|it| it.key).collect();
        assert_eq!(signers, [Some(other.public()), Some(one.public())]);
    }

    #[test]
    fn what_is_no_component_is_not_signed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.wasm");
        fs::write(&file, b"text").unwrap();
        let refusal = sign_file(&file, &PrivateKey::generate().unwrap(), &file).unwrap_err();
        assert!(refusal.to_string().contains("not a WebAssembly component"), "{refusal}");
        assert_eq!(fs::read(&file).unwrap(), b"text");
    }
}
