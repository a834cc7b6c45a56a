//! Files that belong to this host alone: nobody else may read or write them.

use std::fs::{DirBuilder, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// How the temporary files begin that [`write`] renames when they are complete.
const PART: &str = ".part-";

/// Creates a directory, and those above it, for this user alone. One that is there stays as it is.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Who else could change a file or directory: nobody when absent.
pub(crate) fn exposure(metadata: &Metadata) -> Option<&'static str> {
    if metadata.uid() != geteuid().as_raw() {
        Some("it belongs to another user")
    } else if metadata.mode() & 0o022 != 0 {
        Some("others than its owner may write to it")
    } else {
        None
    }
}

/// Writes a file whole or not at all, readable and writable by this user alone.
pub(crate) fn write(path: &Path, parts: &[&[u8]], durable: Durable) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(PART).tempfile_in(directory)?;
    for part in parts {
        file.write_all(part)?;
    }
    if durable == Durable::Yes {
        file.as_file().sync_all()?;
    }
    file.persist(path)?;
    Ok(())
}

/// Whether a file has to be there after a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    /// It is waited for.
    Yes,
    /// It can be made again.
    No,
}

/// Removes what a host that was killed had not finished writing.
pub(crate) fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for (path, _) in files(directory, |name| name.starts_with(PART))? {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// The regular files in a directory whose name `wanted` takes.
pub(crate) fn files(
    directory: &Path,
    wanted: impl Fn(&str) -> bool,
) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(&wanted) {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => found.push((entry.path(), metadata)),
            Ok(_) => {}
            // It went away in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
