//! The components that run, by their digest: a rollback or a restart finds exactly the bytes that
//! ran, although the file they came from has changed or is gone. Each tenant's are its own, so that
//! a digest is of no use to who was not given the component.

use std::io;
use std::path::{Path, PathBuf};

use super::private_files::{self, Durable};
use crate::policy::{Digest, ENDING};

/// How the directories of tenants are called. With something before it, no id is `..`.
const TENANT: &str = "tenant-";

/// A directory of directories `tenant-<id>` of files `<sha256>.wasm`.
pub(crate) struct PinnedComponents {
    directory: PathBuf,
}

impl PinnedComponents {
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        private_files::create_directory(&directory)?;
        let pinned = Self { directory };
        for (_, of_tenant) in pinned.tenants()? {
            private_files::remove_unfinished(&of_tenant)?;
        }
        Ok(pinned)
    }

    /// A tenant's component with this digest. One that was damaged on the disk counts as absent.
    pub fn get(&self, tenant: &str, digest: Digest) -> Option<Vec<u8>> {
        let path = self.path(tenant, digest);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "a pinned component can't be read");
                return None;
            }
        };
        if Digest::of(&bytes) == digest {
            return Some(bytes);
        }
        tracing::warn!(path = %path.display(), "a pinned component is damaged; it is removed");
        remove(&path);
        None
    }

    /// Keeps a component until [`Self::retain`] says otherwise.
    pub fn keep(&self, tenant: &str, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(tenant, digest);
        // What is inside is verified when it is read.
        let length = std::fs::metadata(&path).map(|metadata| metadata.len());
        if length.is_ok_and(|length| length == bytes.len() as u64) {
            return Ok(());
        }
        private_files::create_directory(&self.of(tenant))?;
        private_files::write(&path, &[bytes], Durable::Yes)
    }

    /// Removes all components but those of a tenant that `wanted` takes.
    pub fn retain(&self, wanted: impl Fn(&str, Digest) -> bool) -> io::Result<()> {
        for (tenant, directory) in self.tenants()? {
            let abandoned = |name: &str| {
                let digest = name.strip_suffix(ENDING).and_then(|digits| digits.parse().ok());
                digest.is_some_and(|digest| !wanted(&tenant, digest))
            };
            private_files::files(&directory, abandoned)?.iter().for_each(|(path, _)| remove(path));
        }
        Ok(())
    }

    /// Tenants that have something here, and where.
    fn tenants(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let mut tenants = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(tenant) = name.to_str().and_then(|name| name.strip_prefix(TENANT))
                && entry.file_type()?.is_dir()
            {
                tenants.push((tenant.to_owned(), entry.path()));
            }
        }
        Ok(tenants)
    }

    fn of(&self, tenant: &str) -> PathBuf {
        self.directory.join(format!("{TENANT}{tenant}"))
    }

    fn path(&self, tenant: &str, digest: Digest) -> PathBuf {
        self.of(tenant).join(format!("{digest}{ENDING}"))
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a pinned component can't be removed");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_found_by_tenant_and_digest_until_it_is_not_retained() {
        let directory = tempfile::tempdir().unwrap();
        let pinned = PinnedComponents::open(directory.path().join("components")).unwrap();
        let [one, two] = [b"one", b"two"].map(|bytes| Digest::of(bytes));
        pinned.keep("acme", one, b"one").unwrap();
        pinned.keep("acme", two, b"two").unwrap();
        pinned.keep("acme", two, b"two").unwrap();
        pinned.keep("..", one, b"one").unwrap();
        assert_eq!(pinned.get("acme", one).as_deref(), Some(&b"one"[..]));
        assert_eq!((pinned.get("other", one), pinned.get("..", two)), (None, None));
        pinned.retain(|tenant, digest| tenant == "acme" && digest == two).unwrap();
        assert_eq!((pinned.get("acme", one), pinned.get("..", one)), (None, None));
        assert_eq!(pinned.get("acme", two).as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn a_damaged_component_counts_as_absent_and_can_be_kept_again() {
        let directory = tempfile::tempdir().unwrap();
        let pinned = PinnedComponents::open(directory.path().to_owned()).unwrap();
        let digest = Digest::of(b"component");
        pinned.keep("acme", digest, b"component").unwrap();
        std::fs::write(pinned.path("acme", digest), b"componenT").unwrap();
        assert_eq!(pinned.get("acme", digest), None);
        pinned.keep("acme", digest, b"component").unwrap();
        assert_eq!(pinned.get("acme", digest).as_deref(), Some(&b"component"[..]));
    }

    #[test]
    fn others_can_neither_read_nor_write_what_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let pinned = PinnedComponents::open(directory.path().join("state/components")).unwrap();
        let digest = Digest::of(b"component");
        pinned.keep("acme", digest, b"component").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for path in [&directory.path().join("state"), &pinned.directory, &pinned.of("acme")] {
            assert_eq!(mode(path), 0o700);
        }
        assert_eq!(mode(&pinned.path("acme", digest)), 0o600);
    }

    #[test]
    fn what_a_killed_host_left_unfinished_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let of_tenant = directory.path().join("tenant-acme");
        std::fs::create_dir(&of_tenant).unwrap();
        let unfinished = of_tenant.join(".part-abc");
        std::fs::write(&unfinished, b"half").unwrap();
        PinnedComponents::open(directory.path().to_owned()).unwrap();
        assert!(!unfinished.exists());
    }
}
