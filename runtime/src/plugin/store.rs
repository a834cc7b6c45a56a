//! Where components come from: the plugin store, which is a directory, the files that comux.toml
//! names, and the components that were kept because they run.
//!
//! A `source` may come from a control record, and so from someone who must not read this host's
//! files: only what comux.toml itself names may be outside of the store.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::digest::Digest;
use super::kept::Kept;
use super::source::{ENDING, Source};

/// Why a component can't be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The path leads elsewhere.
    #[error(
        "it is outside of the plugin store `{store}` (`plugin_dir`); a `source` is NAME@VERSION, or \
         a file inside that directory, or exactly what a camera in comux.toml has as `source`"
    )]
    Outside {
        /// The plugin store.
        store: PathBuf,
    },
    /// The store has no such plugin.
    #[error(
        "the plugin store `{store}` (`plugin_dir`) has no such plugin; \
         `comux plugin add FILE --store {store}` brings one in"
    )]
    NotStored {
        /// The plugin store.
        store: PathBuf,
    },
    /// There is no such file, or it can't be read.
    #[error("can't read `{path}`: {cause}; check the path in `source`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("`{path}` is no regular file; name a .wasm file in `source`")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is larger than any plugin should be.
    #[error(
        "`{path}` has more than {most} bytes, and a plugin may not; strip it of debug information"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is allowed.
        most: u64,
    },
    /// It is another component than was asked for.
    #[error(
        "`{path}` has the sha256 {found}, and {wanted} was asked for; \
         name that file's digest, or bring the right file back"
    )]
    OtherDigest {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        wanted: Digest,
        /// What is there.
        found: Digest,
    },
}

/// A component's bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    /// What they are known by.
    pub digest: Digest,
    /// A WebAssembly component, as far as anybody knows yet.
    pub bytes: Vec<u8>,
}

/// Finds components.
pub(super) struct Store {
    plugin_dir: PathBuf,
    base: PathBuf,
    named: HashSet<Source>,
    kept: Option<Kept>,
    most_bytes: u64,
}

impl Store {
    /// `named` are the sources in comux.toml, whose directory is `base`.
    pub fn new(
        (plugin_dir, base, named): (PathBuf, PathBuf, HashSet<Source>),
        kept: Option<Kept>,
        most_bytes: u64,
    ) -> Self {
        Self { plugin_dir, base, named, kept, most_bytes }
    }

    /// Finds the component that `source` names and, when `pinned`, that has this digest: then one
    /// that was kept will do, whatever has become of the file.
    pub fn fetch(&self, source: &Source, pinned: Option<Digest>) -> Result<Fetched, FetchError> {
        let kept = |digest| Some((digest, self.kept.as_ref()?.get(digest)?));
        if let Some((digest, bytes)) = pinned.and_then(kept) {
            return Ok(Fetched { digest, bytes });
        }
        let path = self.find(source)?;
        let bytes = read(&path, self.most_bytes)?;
        let found = Digest::of(&bytes);
        match pinned {
            Some(wanted) if wanted != found => Err(FetchError::OtherDigest { path, wanted, found }),
            _ => Ok(Fetched { digest: found, bytes }),
        }
    }

    /// Keeps a component for later [`Store::fetch`]es of its digest.
    pub fn keep(&self, component: &Fetched) -> io::Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        kept.keep(component.digest, &component.bytes)
    }

    /// Keeps these components and no others.
    pub fn retain(&self, digests: &HashSet<Digest>) -> io::Result<()> {
        self.kept.as_ref().map_or(Ok(()), |kept| kept.retain(digests))
    }

    fn find(&self, source: &Source) -> Result<PathBuf, FetchError> {
        match source {
            Source::File(text) if self.named.contains(source) => Ok(self.base.join(text)),
            Source::File(text) => self.inside(Path::new(text)),
            Source::Stored { .. } => {
                let found = self.inside(Path::new(&format!("{source}{ENDING}")));
                found.map_err(|error| match error {
                    FetchError::Unreadable { cause, .. }
                        if cause.kind() == io::ErrorKind::NotFound =>
                    {
                        FetchError::NotStored { store: self.plugin_dir.clone() }
                    }
                    other => other,
                })
            }
        }
    }

    /// A path inside the store, with all links followed.
    fn inside(&self, path: &Path) -> Result<PathBuf, FetchError> {
        let outside = || FetchError::Outside { store: self.plugin_dir.clone() };
        let descends = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        // Refused before anything is looked up, so that no answer tells what exists elsewhere.
        if !path.components().all(descends) {
            return Err(outside());
        }
        let canonical = |path: &Path| {
            let unreadable = |cause| FetchError::Unreadable { path: path.to_owned(), cause };
            path.canonicalize().map_err(unreadable)
        };
        let store = canonical(&self.plugin_dir)?;
        let path = canonical(&self.plugin_dir.join(path))?;
        if path.starts_with(store) { Ok(path) } else { Err(outside()) }
    }
}

/// Reads a component that has at most `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, FetchError> {
    let unreadable = |cause| FetchError::Unreadable { path: path.to_owned(), cause };
    let too_large = || FetchError::TooLarge { path: path.to_owned(), most };
    // Looked at before it is opened: opening a pipe waits for a writer.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(FetchError::NotAFile { path: path.to_owned() });
    }
    if metadata.len() > most {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    let file = File::open(path).map_err(unreadable)?;
    // It may be growing.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A store `plugins` beside a file `outside.wasm`, both in a directory with a comux.toml that
    /// names the sources of `named`.
    fn store(named: &[&str]) -> (tempfile::TempDir, Store) {
        let base = tempfile::tempdir().unwrap();
        let plugin_dir = base.path().join("plugins");
        std::fs::create_dir_all(plugin_dir.join("more")).unwrap();
        std::fs::write(plugin_dir.join("motion@1.0.0.wasm"), b"motion").unwrap();
        std::fs::write(plugin_dir.join("more/tamper.wasm"), b"tamper").unwrap();
        std::fs::write(base.path().join("outside.wasm"), b"outside").unwrap();
        let named = named.iter().map(|text| text.parse().unwrap()).collect();
        let kept = Kept::open(base.path().join("components")).unwrap();
        let places = (plugin_dir, base.path().to_owned(), named);
        let store = Store::new(places, Some(kept), 64);
        (base, store)
    }

    fn fetch(store: &Store, source: &str) -> Result<Vec<u8>, FetchError> {
        store.fetch(&source.parse().unwrap(), None).map(|fetched| fetched.bytes)
    }

    #[test]
    fn plugins_are_found_by_name_and_version_and_by_file() {
        let (_base, store) = store(&[]);
        assert_eq!(fetch(&store, "motion@1.0.0").unwrap(), b"motion");
        assert_eq!(fetch(&store, "motion@1.0.0.wasm").unwrap(), b"motion");
        assert_eq!(fetch(&store, "./more/tamper.wasm").unwrap(), b"tamper");
        let missing = fetch(&store, "motion@2.0.0").unwrap_err();
        assert!(matches!(missing, FetchError::NotStored { .. }), "{missing}");
    }

    #[test]
    fn no_path_leads_out_of_the_store() {
        let (base, store) = store(&[]);
        let outside = base.path().join("outside.wasm");
        symlink(&outside, base.path().join("plugins/link.wasm")).unwrap();
        symlink(&outside, base.path().join("plugins/link@1.0.0.wasm")).unwrap();
        symlink(base.path(), base.path().join("plugins/up")).unwrap();
        let absolute = outside.to_str().unwrap();
        let paths = ["../outside.wasm", "more/../../outside.wasm", "more/../motion@1.0.0.wasm"];
        let links = ["link.wasm", "link@1.0.0", "up/outside.wasm", "up/plugins/../outside.wasm"];
        for source in paths.iter().chain(&links).chain([&absolute, &"/etc/hostname", &".."]) {
            let refusal = fetch(&store, source).unwrap_err();
            assert!(matches!(refusal, FetchError::Outside { .. }), "{source}: {refusal}");
            assert!(refusal.to_string().contains("NAME@VERSION"), "{refusal}");
        }
    }

    #[test]
    fn a_link_inside_the_store_is_followed() {
        let (base, store) = store(&[]);
        symlink("motion@1.0.0.wasm", base.path().join("plugins/motion@latest.wasm")).unwrap();
        assert_eq!(fetch(&store, "motion@latest").unwrap(), b"motion");
    }

    #[test]
    fn what_the_configuration_names_may_be_anywhere() {
        let (_base, store) = store(&["outside.wasm", "../gone.wasm"]);
        assert_eq!(fetch(&store, "outside.wasm").unwrap(), b"outside");
        // Exactly this text, not another way to say it.
        let other = fetch(&store, "./outside.wasm").unwrap_err();
        assert!(matches!(other, FetchError::Unreadable { .. }), "{other}");
        let gone = fetch(&store, "../gone.wasm").unwrap_err();
        assert!(matches!(gone, FetchError::Unreadable { .. }), "{gone}");
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let (base, store) = store(&["/dev/zero"]);
        std::fs::write(base.path().join("plugins/large.wasm"), [0; 65]).unwrap();
        std::fs::write(base.path().join("plugins/largest.wasm"), [0; 64]).unwrap();
        let large = fetch(&store, "large.wasm").unwrap_err();
        assert!(matches!(large, FetchError::TooLarge { most: 64, .. }), "{large}");
        assert_eq!(fetch(&store, "largest.wasm").unwrap().len(), 64);
        for source in ["more", ".", "/dev/zero"] {
            let refusal = fetch(&store, source).unwrap_err();
            assert!(matches!(refusal, FetchError::NotAFile { .. }), "{source}: {refusal}");
        }
    }

    #[test]
    fn another_component_than_the_pinned_one_is_refused_with_both_digests() {
        let (_base, store) = store(&[]);
        let motion = "motion@1.0.0".parse().unwrap();
        let [asked, found] = [&b"asked"[..], b"motion"].map(Digest::of);
        assert!(store.fetch(&motion, Some(found)).is_ok());
        let refusal = store.fetch(&motion, Some(asked)).unwrap_err().to_string();
        assert!(refusal.contains(&asked.to_string()), "{refusal}");
        assert!(refusal.contains(&found.to_string()), "{refusal}");
    }

    #[test]
    fn a_pinned_component_that_was_kept_is_found_although_its_file_changed() {
        let (base, store) = store(&[]);
        let motion = "motion@1.0.0".parse().unwrap();
        let before = store.fetch(&motion, None).unwrap();
        store.keep(&before).unwrap();
        let file = base.path().join("plugins/motion@1.0.0.wasm");
        std::fs::write(&file, b"changed").unwrap();
        assert_eq!(store.fetch(&motion, Some(before.digest)).unwrap(), before);
        assert_eq!(store.fetch(&motion, None).unwrap().bytes, b"changed");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(store.fetch(&motion, Some(before.digest)).unwrap(), before);
        store.retain(&HashSet::new()).unwrap();
        assert!(store.fetch(&motion, Some(before.digest)).is_err());
    }
}
