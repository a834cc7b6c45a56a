//! The components that run, by their digest: a rollback or a restart finds exactly the bytes that
//! ran, although the file they came from has changed or is gone.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::private::{self, Durable};
use super::source::ENDING;

/// A directory of files `<sha256>.wasm`.
pub(super) struct Kept {
    directory: PathBuf,
}

impl Kept {
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        private::create_directory(&directory)?;
        private::remove_unfinished(&directory)?;
        Ok(Self { directory })
    }

    /// The component with this digest. One that was damaged on the disk counts as absent.
    pub fn get(&self, digest: Digest) -> Option<Vec<u8>> {
        let path = self.path(digest);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "a kept plugin can't be read");
                return None;
            }
        };
        if Digest::of(&bytes) == digest {
            return Some(bytes);
        }
        tracing::warn!(path = %path.display(), "a kept plugin is damaged; it is removed");
        remove(&path);
        None
    }

    /// Keeps a component until [`Kept::retain`] says otherwise.
    pub fn keep(&self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(digest);
        // What is inside is verified when it is read.
        let length = std::fs::metadata(&path).map(|metadata| metadata.len());
        if length.is_ok_and(|length| length == bytes.len() as u64) {
            return Ok(());
        }
        private::write(&path, &[bytes], Durable::Yes)
    }

    /// Removes all components but these.
    pub fn retain(&self, digests: &HashSet<Digest>) -> io::Result<()> {
        let abandoned = |name: &str| {
            let digest = name.strip_suffix(ENDING).and_then(|digits| digits.parse().ok());
            digest.is_some_and(|digest| !digests.contains(&digest))
        };
        private::files(&self.directory, abandoned)?.iter().for_each(|(path, _)| remove(path));
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}{ENDING}"))
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a kept plugin can't be removed");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_found_by_its_digest_until_it_is_not_retained() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::open(directory.path().join("components")).unwrap();
        let [one, two] = [b"one", b"two"].map(|bytes| Digest::of(bytes));
        kept.keep(one, b"one").unwrap();
        kept.keep(two, b"two").unwrap();
        kept.keep(two, b"two").unwrap();
        assert_eq!(kept.get(one).as_deref(), Some(&b"one"[..]));
        kept.retain(&HashSet::from([two])).unwrap();
        assert_eq!(kept.get(one), None);
        assert_eq!(kept.get(two).as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn a_damaged_component_counts_as_absent_and_can_be_kept_again() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::open(directory.path().to_owned()).unwrap();
        let digest = Digest::of(b"component");
        kept.keep(digest, b"component").unwrap();
        std::fs::write(kept.path(digest), b"componenT").unwrap();
        assert_eq!(kept.get(digest), None);
        kept.keep(digest, b"component").unwrap();
        assert_eq!(kept.get(digest).as_deref(), Some(&b"component"[..]));
    }

    #[test]
    fn others_can_neither_read_nor_write_what_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::open(directory.path().join("state/components")).unwrap();
        let digest = Digest::of(b"component");
        kept.keep(digest, b"component").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory.path().join("state")), 0o700);
        assert_eq!(mode(&kept.directory), 0o700);
        assert_eq!(mode(&kept.path(digest)), 0o600);
    }

    #[test]
    fn what_a_killed_host_left_unfinished_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let unfinished = directory.path().join(".part-abc");
        std::fs::write(&unfinished, b"half").unwrap();
        Kept::open(directory.path().to_owned()).unwrap();
        assert!(!unfinished.exists());
    }
}
