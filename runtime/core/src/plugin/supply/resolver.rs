//! Where components come from: the plugin stores, which are directories, the files that comux.toml
//! names, and the components that are pinned because they run.
//!
//! A `source` may come from a control record, and so from someone who must not read this host's
//! files: only what comux.toml itself names may be outside of the stores. And it is looked for only
//! where its tenant's plugins are: in the tenant's own store, then in the one that all share. What
//! other tenants have, no answer tells.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::pinned::PinnedComponents;
use super::search_path::{Place, SearchPath};
use crate::policy::Digest;
use crate::policy::{ENDING, PluginRef};

/// Why a component can't be had. The words are for whoever named it, who may be a tenant: they name
/// no directory of this host. [`FetchError::path`] is for the log.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The path leads elsewhere.
    #[error(
        "it is outside of the plugin store (`plugin_dir`); a `source` is NAME@VERSION, or a file \
         inside that directory, or exactly what a camera in comux.toml has as `source`"
    )]
    Outside,
    /// It is nowhere where it could be.
    #[error(
        "it is {}; check `source`, or bring it there with `comux plugin add FILE --store DIR`",
        in_none_of(looked)
    )]
    NotFound {
        /// Where it was looked for.
        looked: Vec<(Place, PathBuf)>,
    },
    /// It can't be read.
    #[error("can't read it: {cause}; check the path in `source`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("it is no regular file; name a .wasm file in `source`")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is larger than any plugin should be.
    #[error("it has more than {most} bytes, and a plugin may not; strip it of debug information")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is allowed.
        most: u64,
    },
    /// It is another component than was asked for.
    #[error(
        "it has the sha256 {found}, and {wanted} was asked for; name that file's digest, or bring \
         the right file back"
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

impl FetchError {
    /// Where on this host it went wrong.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Outside => None,
            Self::NotFound { looked } => looked.first().map(|(_, path)| path.as_path()),
            Self::Unreadable { path, .. }
            | Self::NotAFile { path }
            | Self::TooLarge { path, .. }
            | Self::OtherDigest { path, .. } => Some(path),
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unreadable { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }
}

/// `in neither A nor B`.
fn in_none_of(looked: &[(Place, PathBuf)]) -> String {
    let places: Vec<&str> = looked.iter().map(|(place, _)| place.words()).collect();
    match places.as_slice() {
        [] => "nowhere".to_owned(),
        [one] => format!("not {one}"),
        several => format!("neither {}", several.join(" nor ")),
    }
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
pub(crate) struct Resolver {
    search_path: SearchPath,
    pinned: Option<PinnedComponents>,
    most_bytes: u64,
}

impl Resolver {
    pub fn new(search_path: SearchPath, pinned: Option<PinnedComponents>, most_bytes: u64) -> Self {
        Self { search_path, pinned, most_bytes }
    }

    /// Finds the component that `source` names for a tenant and, when `pinned`, that has this
    /// digest: then one that is pinned for that tenant will do, whatever has become of the file.
    pub fn fetch(
        &self,
        tenant: &str,
        source: &PluginRef,
        pinned: Option<Digest>,
    ) -> Result<Fetched, FetchError> {
        let found = |digest| Some((digest, self.pinned.as_ref()?.get(tenant, digest)?));
        if let Some((digest, bytes)) = pinned.and_then(found) {
            return Ok(Fetched { digest, bytes });
        }
        let path = self.find(tenant, source)?;
        let bytes = read_component(&path, self.most_bytes)?;
        let found = Digest::of(&bytes);
        match pinned {
            Some(wanted) if wanted != found => Err(FetchError::OtherDigest { path, wanted, found }),
            _ => Ok(Fetched { digest: found, bytes }),
        }
    }

    /// Keeps a component for later [`Self::fetch`]es of its digest by the same tenant.
    pub fn keep(&self, tenant: &str, component: &Fetched) -> io::Result<()> {
        let Some(pinned) = &self.pinned else { return Ok(()) };
        pinned.keep(tenant, component.digest, &component.bytes)
    }

    /// Keeps the components that `wanted` takes and no others.
    pub fn retain(&self, wanted: impl Fn(&str, Digest) -> bool) -> io::Result<()> {
        self.pinned.as_ref().map_or(Ok(()), |pinned| pinned.retain(wanted))
    }

    fn find(&self, tenant: &str, source: &PluginRef) -> Result<PathBuf, FetchError> {
        let mut looked = Vec::new();
        let named = self.search_path.named(tenant, source);
        let is_named = named.is_some();
        if let Some(path) = named {
            let is_missing =
                std::fs::metadata(&path).is_err_and(|it| it.kind() == io::ErrorKind::NotFound);
            if !is_missing {
                return Ok(path);
            }
            looked.push((Place::Configuration, path));
        }
        let path = match source {
            PluginRef::File(text) => PathBuf::from(text),
            PluginRef::Stored { .. } => PathBuf::from(format!("{source}{ENDING}")),
        };
        for (place, store) in self.search_path.stores(tenant) {
            match self.inside(store, &path) {
                Err(error) if error.is_not_found() => looked.push((place, store.join(&path))),
                // A path that comux.toml names needs no store.
                Err(FetchError::Outside) if is_named => {}
                found => return found,
            }
        }
        Err(FetchError::NotFound { looked })
    }

    /// A path inside a store, with all links followed.
    fn inside(&self, store: &Path, path: &Path) -> Result<PathBuf, FetchError> {
        let descends = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        // Refused before anything is looked up, so that no answer tells what exists elsewhere.
        if !path.components().all(descends) {
            return Err(FetchError::Outside);
        }
        let unreadable =
            |path: &Path, cause| FetchError::Unreadable { path: path.to_owned(), cause };
        let root = store.canonicalize().map_err(|cause| unreadable(store, cause))?;
        let path = store.join(path);
        let is_inside = |path: &Path| path.starts_with(&root) && !self.search_path.is_private(path);
        // What is not there is said to be missing only where it might have been: behind a link that
        // leads elsewhere, what exists and what does not are answered alike.
        let nearest = path.ancestors().find_map(|path| path.canonicalize().ok());
        if !nearest.is_some_and(|nearest| is_inside(&nearest)) {
            return Err(FetchError::Outside);
        }
        path.canonicalize().map_err(|cause| unreadable(&path, cause))
    }
}

/// Reads a component that has at most `most` bytes.
pub(crate) fn read_component(path: &Path, most: u64) -> Result<Vec<u8>, FetchError> {
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
    use std::collections::HashMap;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::plugin::supply::search_path::TenantSearchPath;

    /// A store `plugins` beside one of tenant `acme`, a file `outside.wasm` and what is kept, all
    /// in a directory with a comux.toml that names the sources of `named` for `acme`.
    fn resolver(named: &[&str]) -> (tempfile::TempDir, Resolver) {
        let base = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = base.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        write("plugins/motion@1.0.0.wasm", b"motion");
        write("plugins/more/tamper.wasm", b"tamper");
        write("acme/own.wasm", b"own");
        write("outside.wasm", b"outside");
        let named = named.iter().map(|text| text.parse().unwrap()).collect();
        let pinned = PinnedComponents::open(base.path().join("plugins/state/components")).unwrap();
        let acme = TenantSearchPath { store: Some(base.path().join("acme")), named };
        let search_path = SearchPath {
            common: base.path().join("plugins"),
            base: base.path().to_owned(),
            own: HashMap::from([("acme".to_owned(), acme)]),
            private: Some(base.path().join("plugins/state")),
        };
        (base, Resolver::new(search_path, Some(pinned), 64))
    }

    fn fetch_for(tenant: &str, resolver: &Resolver, source: &str) -> Result<Vec<u8>, FetchError> {
        resolver.fetch(tenant, &source.parse().unwrap(), None).map(|fetched| fetched.bytes)
    }

    fn fetch(resolver: &Resolver, source: &str) -> Result<Vec<u8>, FetchError> {
        fetch_for("acme", resolver, source)
    }

    #[test]
    fn plugins_are_found_by_name_and_version_and_by_file() {
        let (_base, resolver) = resolver(&[]);
        assert_eq!(fetch(&resolver, "motion@1.0.0").unwrap(), b"motion");
        assert_eq!(fetch(&resolver, "motion@1.0.0.wasm").unwrap(), b"motion");
        assert_eq!(fetch(&resolver, "./more/tamper.wasm").unwrap(), b"tamper");
        let missing = fetch(&resolver, "motion@2.0.0").unwrap_err();
        let words = "it is neither in the tenant's own `plugin_dir` nor in the `plugin_dir` of \
                     [runtime]; check `source`";
        assert!(missing.to_string().starts_with(words), "{missing}");
    }

    #[test]
    fn a_tenants_own_store_comes_first_and_is_nobody_elses() {
        let (base, resolver) = resolver(&["outside.wasm"]);
        assert_eq!(fetch(&resolver, "own.wasm").unwrap(), b"own");
        std::fs::write(base.path().join("acme/motion@1.0.0.wasm"), b"acme's").unwrap();
        assert_eq!(fetch(&resolver, "motion@1.0.0").unwrap(), b"acme's");
        assert_eq!(fetch_for("other", &resolver, "motion@1.0.0").unwrap(), b"motion");
        for source in ["own.wasm", "outside.wasm", "never.wasm"] {
            let refusal = fetch_for("other", &resolver, source).unwrap_err();
            assert!(matches!(refusal, FetchError::NotFound { .. }), "{source}: {refusal}");
        }
        for source in ["../acme/own.wasm", "../acme/never.wasm"] {
            let refusal = fetch_for("other", &resolver, source).unwrap_err();
            assert!(matches!(refusal, FetchError::Outside), "{source}: {refusal}");
        }
        std::fs::remove_dir_all(base.path().join("acme")).unwrap();
        assert_eq!(fetch(&resolver, "motion@1.0.0").unwrap(), b"motion", "the common store's");
    }

    #[test]
    fn a_digest_is_worth_nothing_to_who_may_not_have_the_component() {
        let (base, resolver) = resolver(&[]);
        let own = "own.wasm".parse().unwrap();
        let component = resolver.fetch("acme", &own, None).unwrap();
        resolver.keep("acme", &component).unwrap();
        std::fs::remove_file(base.path().join("acme/own.wasm")).unwrap();
        assert!(resolver.fetch("acme", &own, Some(component.digest)).is_ok());
        assert!(resolver.fetch("other", &own, Some(component.digest)).is_err());
    }

    #[test]
    fn what_comux_keeps_is_no_plugin_also_when_it_lies_in_a_store() {
        let (base, resolver) = resolver(&[]);
        let own = resolver.fetch("acme", &"own.wasm".parse().unwrap(), None).unwrap();
        resolver.keep("acme", &own).unwrap();
        let kept = format!("state/components/tenant-acme/{}.wasm", own.digest);
        assert!(base.path().join("plugins").join(&kept).exists());
        for source in [&kept, "state/components/tenant-acme/x.wasm", "state/components/x/y.wasm"] {
            let refusal = fetch(&resolver, source).unwrap_err();
            assert!(matches!(refusal, FetchError::Outside), "{source}: {refusal}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_store() {
        let (base, resolver) = resolver(&[]);
        let outside = base.path().join("outside.wasm");
        symlink(&outside, base.path().join("plugins/link.wasm")).unwrap();
        symlink(&outside, base.path().join("plugins/link@1.0.0.wasm")).unwrap();
        symlink(base.path(), base.path().join("plugins/up")).unwrap();
        let absolute = outside.to_str().unwrap();
        let paths = ["../outside.wasm", "more/../../outside.wasm", "more/../motion@1.0.0.wasm"];
        let links = ["link.wasm", "link@1.0.0", "up/outside.wasm", "up/no.wasm"];
        for source in paths.iter().chain(&links).chain([&absolute, &"/etc/hostname", &".."]) {
            let refusal = fetch(&resolver, source).unwrap_err();
            assert!(matches!(refusal, FetchError::Outside), "{source}: {refusal}");
            assert!(refusal.to_string().contains("NAME@VERSION"), "{refusal}");
        }
    }

    #[test]
    fn a_link_inside_the_store_is_followed() {
        let (base, resolver) = resolver(&[]);
        symlink("motion@1.0.0.wasm", base.path().join("plugins/motion@latest.wasm")).unwrap();
        assert_eq!(fetch(&resolver, "motion@latest").unwrap(), b"motion");
    }

    #[test]
    fn what_the_configuration_names_may_be_anywhere() {
        let (_base, resolver) =
            resolver(&["outside.wasm", "../gone.wasm", "own.wasm", "motion@1.0.0.wasm"]);
        assert_eq!(fetch(&resolver, "outside.wasm").unwrap(), b"outside");
        // Exactly this text, not another way to say it.
        let other = fetch(&resolver, "./outside.wasm").unwrap_err();
        assert!(matches!(other, FetchError::NotFound { .. }), "{other}");
        let gone = fetch(&resolver, "../gone.wasm").unwrap_err().to_string();
        assert!(gone.starts_with("it is not beside comux.toml; check"), "{gone}");
        // What is not there is looked for where a command's is.
        assert_eq!(fetch(&resolver, "own.wasm").unwrap(), b"own");
        assert_eq!(fetch(&resolver, "motion@1.0.0.wasm").unwrap(), b"motion");
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let (base, resolver) = resolver(&["/dev/zero"]);
        std::fs::write(base.path().join("plugins/large.wasm"), [0; 65]).unwrap();
        std::fs::write(base.path().join("plugins/largest.wasm"), [0; 64]).unwrap();
        let large = fetch(&resolver, "large.wasm").unwrap_err();
        assert!(matches!(large, FetchError::TooLarge { most: 64, .. }), "{large}");
        assert_eq!(fetch(&resolver, "largest.wasm").unwrap().len(), 64);
        for source in ["more", ".", "/dev/zero"] {
            let refusal = fetch(&resolver, source).unwrap_err();
            assert!(matches!(refusal, FetchError::NotAFile { .. }), "{source}: {refusal}");
        }
    }

    #[test]
    fn another_component_than_the_pinned_one_is_refused_with_both_digests() {
        let (_base, resolver) = resolver(&[]);
        let motion = "motion@1.0.0".parse().unwrap();
        let [asked, found] = [&b"asked"[..], b"motion"].map(Digest::of);
        assert!(resolver.fetch("acme", &motion, Some(found)).is_ok());
        let refusal = resolver.fetch("acme", &motion, Some(asked)).unwrap_err().to_string();
        assert!(refusal.contains(&asked.to_string()), "{refusal}");
        assert!(refusal.contains(&found.to_string()), "{refusal}");
    }

    #[test]
    fn a_pinned_component_that_was_kept_is_found_although_its_file_changed() {
        let (base, resolver) = resolver(&[]);
        let motion = "motion@1.0.0".parse().unwrap();
        let before = resolver.fetch("acme", &motion, None).unwrap();
        resolver.keep("acme", &before).unwrap();
        let file = base.path().join("plugins/motion@1.0.0.wasm");
        std::fs::write(&file, b"changed").unwrap();
        assert_eq!(resolver.fetch("acme", &motion, Some(before.digest)).unwrap(), before);
        assert_eq!(resolver.fetch("acme", &motion, None).unwrap().bytes, b"changed");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(resolver.fetch("acme", &motion, Some(before.digest)).unwrap(), before);
        resolver.retain(|_, _| false).unwrap();
        assert!(resolver.fetch("acme", &motion, Some(before.digest)).is_err());
    }
}
