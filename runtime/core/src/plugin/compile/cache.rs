//! Compiled plugins on the disk, so that a restart or a rollback does not compile again.
//!
//! What is in there is machine code that this process will run. So it is only ever taken from files
//! that nobody else can have written, that this very version of comux made for this very engine,
//! and that are whole. Anything else counts as absent, and the plugin is compiled anew.

use std::fs::{File, FileTimes};
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::plugin::supply::{Durable, private_files};
use crate::policy::Digest;

/// The first bytes of a file, which change when the layout after them does: engine key, the
/// component's digest, the code's digest, the code.
const MAGIC: &[u8; 8] = b"comuxAO1";
const HEADER_BYTES: u64 = (MAGIC.len() + 3 * Digest::BYTES) as u64;

const ENDING: &str = ".cwasm";

/// The directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It can't be created or looked at.
    #[error("can't use `{path}`: {cause}; choose another `state_dir`")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// Others could put machine code there, which comux would run.
    #[error(
        "`{path}` holds compiled plugins, which comux runs, and {exposure}; remove it or let it be \
         yours alone (chmod 700), or choose another `state_dir`"
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Who else can write there.
        exposure: &'static str,
    },
}

/// A directory of compiled plugins.
pub(crate) struct CompiledCache {
    directory: PathBuf,
    /// What the compiled code depends on, beside the component.
    engine_key: Digest,
    most_bytes: u64,
}

impl CompiledCache {
    pub fn open(
        path: PathBuf,
        engine: &wasmtime::Engine,
        most_bytes: u64,
    ) -> Result<Self, CacheError> {
        let unusable = |cause| CacheError::Unusable { path: path.clone(), cause };
        private_files::create_directory(&path).map_err(unusable)?;
        let metadata = std::fs::metadata(&path).map_err(unusable)?;
        if let Some(exposure) = private_files::exposure(&metadata) {
            return Err(CacheError::Exposed { path, exposure });
        }
        private_files::remove_unfinished(&path).map_err(unusable)?;
        Ok(Self { directory: path, engine_key: engine_key(engine), most_bytes })
    }

    /// The compiled component with this digest.
    pub fn get(&self, engine: &wasmtime::Engine, digest: Digest) -> Option<Component> {
        let path = self.path(digest);
        let found = self.read(&path, digest).and_then(|code| {
            let Some(code) = code else { return Ok(None) };
            // SAFETY: `deserialize` needs what `serialize` gave out. The file belongs to this user
            // and nobody else may write to it, so it was written by `put`, unless this user made
            // it, who could replace this program as well. Its header says that the code was
            // compiled by this version of comux for this engine's settings and processor, and from
            // this component; its digest, that it is whole. wasmtime compares its own version
            // again.
            let component = unsafe { Component::deserialize(engine, code) };
            component.map(Some).map_err(|error| error.to_string())
        });
        found.unwrap_or_else(|why| {
            let path = path.display();
            tracing::warn!(%path, why, "a compiled plugin can't be used; it is compiled again");
            remove(&self.path(digest));
            None
        })
    }

    /// Keeps a compiled component. That it could not is worth a warning, no more.
    pub fn put(&self, digest: Digest, component: &Component) {
        let kept = component.serialize().map_err(io::Error::other).and_then(|code| {
            if HEADER_BYTES + code.len() as u64 > self.most_bytes {
                return Ok(());
            }
            let checksum = Digest::of(&code);
            let [engine, digest_bytes, checksum] =
                [&self.engine_key, &digest, &checksum].map(|digest| &digest.as_bytes()[..]);
            let parts = [MAGIC, engine, digest_bytes, checksum, &code];
            private_files::write(&self.path(digest), &parts, Durable::No)?;
            self.evict()
        });
        if let Err(error) = kept {
            let directory = self.directory.display();
            tracing::warn!(%directory, %error, "a compiled plugin can't be kept");
        }
    }

    /// The code in a file, absent when there is no file.
    fn read(&self, path: &Path, digest: Digest) -> Result<Option<Vec<u8>>, String> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| error.to_string())?,
        };
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if let Some(exposure) = private_files::exposure(&metadata) {
            return Err(exposure.to_owned());
        }
        if metadata.len() > self.most_bytes {
            return Err("it is larger than the whole cache may be".to_owned());
        }
        let mut code = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
        let mut read = || -> io::Result<_> {
            let (mut magic, mut digests) = ([0; MAGIC.len()], [[0; Digest::BYTES]; 3]);
            (&file).read_exact(&mut magic)?;
            for digest in &mut digests {
                (&file).read_exact(digest)?;
            }
            (&file).take(self.most_bytes).read_to_end(&mut code)?;
            Ok((magic, digests.map(Digest::from)))
        };
        let (magic, [engine, component, checksum]) = read().map_err(|error| error.to_string())?;
        if &magic != MAGIC || engine != self.engine_key {
            return Err("it was made by another version of comux, or for another engine".into());
        }
        if component != digest {
            return Err("it is another plugin's".into());
        }
        if Digest::of(&code) != checksum {
            return Err("it is damaged".into());
        }
        // When it was last used decides what goes first.
        let used = FileTimes::new().set_modified(SystemTime::now());
        if let Err(error) = file.set_times(used) {
            tracing::debug!(path = %path.display(), %error, "can't note the use of a compiled plugin");
        }
        Ok(Some(code))
    }

    /// Removes what was not used for longest, until the rest is within bounds.
    fn evict(&self) -> io::Result<()> {
        let mut files = private_files::files(&self.directory, |name| name.ends_with(ENDING))?;
        let last_used =
            |metadata: &std::fs::Metadata| metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        files.sort_by_key(|(_, metadata)| last_used(metadata));
        let mut bytes: u64 = files.iter().map(|(_, metadata)| metadata.len()).sum();
        for (path, metadata) in files {
            if bytes <= self.most_bytes {
                break;
            }
            remove(&path);
            bytes = bytes.saturating_sub(metadata.len());
        }
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}-{}{ENDING}", self.engine_key.short()))
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a compiled plugin can't be removed");
    }
}

/// Differs whenever code compiled by one engine is not for the other.
pub(crate) fn engine_key(engine: &wasmtime::Engine) -> Digest {
    let mut hasher = Sha256Hasher(Sha256::new());
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let key: [u8; Digest::BYTES] = hasher.0.finalize().into();
    key.into()
}

/// The standard library's hasher gives other results in another process; this one does not.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; Digest::BYTES] = self.0.clone().finalize().into();
        digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    const MUCH: u64 = 1 << 30;

    fn digest() -> Digest {
        Digest::of(b"a component")
    }

    fn engine(fuel: bool) -> wasmtime::Engine {
        wasmtime::Engine::new(wasmtime::Config::new().consume_fuel(fuel)).unwrap()
    }

    fn compiled(engine: &wasmtime::Engine) -> Component {
        let bytes = wat::parse_str("(component (core module (func)))").unwrap();
        Component::from_binary(engine, &bytes).unwrap()
    }

    /// A cache that holds one compiled component, and that one's file.
    fn cache() -> (tempfile::TempDir, wasmtime::Engine, CompiledCache, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(false);
        let path = directory.path().join("compiled");
        let cache = CompiledCache::open(path, &engine, MUCH).unwrap();
        cache.put(digest(), &compiled(&engine));
        let file = cache.path(digest());
        (directory, engine, cache, file)
    }

    #[test]
    fn what_was_compiled_is_found_again_also_by_the_next_process() {
        let (directory, engine, cache, _) = cache();
        assert!(cache.get(&engine, digest()).is_some());
        assert!(cache.get(&engine, Digest::of(b"another")).is_none());
        let next = CompiledCache::open(directory.path().join("compiled"), &engine, MUCH).unwrap();
        assert!(next.get(&engine, digest()).is_some());
    }

    #[test]
    fn a_file_that_is_not_whole_counts_as_absent_and_goes() {
        let (_directory, engine, cache, file) = cache();
        let whole = fs::read(&file).unwrap();
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        };
        let header = HEADER_BYTES as usize;
        let cut = [0, 7, 50, header, whole.len() - 1].map(|end| whole[..end].to_vec());
        let damaged = [0, 10, 50, 80, header, whole.len() - 1].map(flipped);
        let longer = [&whole[..], b"x"].concat();
        for bytes in cut.into_iter().chain(damaged).chain([longer]) {
            fs::write(&file, &bytes).unwrap();
            assert!(cache.get(&engine, digest()).is_none());
            assert!(!file.exists());
        }
        fs::write(&file, &whole).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(cache.get(&engine, digest()).is_some());
    }

    #[test]
    fn code_for_another_engine_is_not_taken_under_any_name() {
        let (directory, _engine, cache, file) = cache();
        let other = engine(true);
        let others = CompiledCache::open(directory.path().join("compiled"), &other, MUCH).unwrap();
        assert_ne!(cache.engine_key, others.engine_key);
        assert!(others.get(&other, digest()).is_none());
        fs::copy(&file, others.path(digest())).unwrap();
        assert!(others.get(&other, digest()).is_none());
        assert!(file.exists(), "the other engine's own stays");
    }

    #[test]
    fn another_plugins_code_is_not_taken() {
        let (_directory, engine, cache, file) = cache();
        let another = Digest::of(b"another");
        fs::copy(&file, cache.path(another)).unwrap();
        assert!(cache.get(&engine, another).is_none());
    }

    #[test]
    fn nobody_else_can_bring_code_in() {
        let (directory, engine, cache, file) = cache();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let open_up = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let path = directory.path().join("compiled");
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
        open_up(&file, 0o620);
        assert!(cache.get(&engine, digest()).is_none());
        for exposed in [0o720, 0o702, 0o777] {
            open_up(&path, exposed);
            let refusal = CompiledCache::open(path.clone(), &engine, MUCH).err().unwrap();
            assert!(refusal.to_string().contains("chmod 700"), "{refusal}");
        }
        open_up(&path, 0o755);
        assert!(CompiledCache::open(path, &engine, MUCH).is_ok());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let (directory, engine, cache, file) = cache();
        let size = fs::metadata(&file).unwrap().len();
        let path = directory.path().join("compiled");
        let cache = CompiledCache { most_bytes: 3 * size, directory: path, ..cache };
        let [a, b, c, d] = [b"a", b"b", b"c", b"d"].map(|bytes| Digest::of(bytes));
        let age = |digest, seconds| {
            let modified = SystemTime::now() - Duration::from_secs(seconds);
            File::open(cache.path(digest))
                .and_then(|file| file.set_times(FileTimes::new().set_modified(modified)))
                .unwrap();
        };
        age(digest(), 400);
        for (digest, seconds) in [(a, 300), (b, 200), (c, 100)] {
            cache.put(digest, &compiled(&engine));
            age(digest, seconds);
        }
        // The oldest went when the fourth came; now the first is used, and the second is oldest.
        assert!(cache.get(&engine, digest()).is_none());
        assert!(cache.get(&engine, a).is_some());
        cache.put(d, &compiled(&engine));
        let found = [a, b, c, d].map(|digest| cache.get(&engine, digest).is_some());
        assert_eq!(found, [true, false, true, true]);
    }

    #[test]
    fn what_is_larger_than_the_cache_is_not_kept() {
        let (_directory, engine, cache, file) = cache();
        let most_bytes = fs::metadata(&file).unwrap().len() - 1;
        let small = CompiledCache { most_bytes, ..cache };
        fs::remove_file(&file).unwrap();
        small.put(digest(), &compiled(&engine));
        assert!(!file.exists());
    }
}
