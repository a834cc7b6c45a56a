//! Components: any bytes, up to the description of a plugin; and files in the cache of compiled
//! code.
//!
//! The first byte says what the rest is: `t`, a component as text; `c`, a file of the cache; `p`,
//! changes to such a file, each of a position of two bytes and a byte; everything else, a
//! component.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use comux::plugin::fuzzing::{Cache, check, compile, inspect, is_header_name};
use comux::plugin::sandbox::Engine;
use comux::plugin::supply::LoadError;
use comux::policy::{Digest, PluginRef, Step};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().expect("an engine"));
static CACHE: LazyLock<CacheFile> = LazyLock::new(CacheFile::new);

/// A component that does nothing, and its file in a cache.
struct CacheFile {
    _directory: tempfile::TempDir,
    cache: Cache,
    digest: Digest,
    path: PathBuf,
    whole: Vec<u8>,
}

pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind {
        b't' => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            let Ok(bytes) = wat::parse_str(text) else { return };
            load(&bytes);
        }
        b'c' => CACHE.is_refused(rest.to_vec()),
        b'p' => {
            let mut file = CACHE.whole.clone();
            for change in rest.chunks_exact(3) {
                let at = usize::from(change[0]) << 8 | usize::from(change[1]);
                let length = file.len();
                file[at % length] ^= change[2];
            }
            if file == CACHE.whole {
                // An odd end cuts the file.
                file.truncate(file.len() - 1 - rest.len() % 3);
            }
            CACHE.is_refused(file);
        }
        _ => load(data),
    }
}

fn load(bytes: &[u8]) {
    let digest = Digest::of(bytes);
    let made = inspect(bytes)
        .and_then(|()| compile(&ENGINE, bytes))
        .and_then(|component| check(&ENGINE, &component, digest));
    match made {
        Ok(plugin) => {
            assert!(plugin.headers.iter().all(|name| is_header_name(name)));
            let source = PluginRef::stored(&plugin.name, &plugin.version).expect("a storable name");
            assert_eq!(plugin.identity, format!("{source}+sha256.{}", digest.short()));
            assert!(plugin.identity.len() <= 1024 && !plugin.identity.contains([',', '\0']));
        }
        Err(problem) => {
            let error = LoadError { plugin: PluginRef::File("fuzzed.wasm".to_owned()), problem };
            assert!([Step::Check, Step::Compile].contains(&error.step()), "{error}");
            let message = error.problem.to_string();
            assert!(!message.is_empty() && message.len() <= 8 * 1024, "{}", message.len());
        }
    }
}

impl CacheFile {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(&ENGINE, directory.path()).expect("a cache");
        let bytes = wat::parse_str("(component)").expect("a component");
        let digest = Digest::of(&bytes);
        cache.put(digest, &compile(&ENGINE, &bytes).unwrap_or_else(|error| panic!("{error}")));
        assert!(cache.has(&ENGINE, digest));
        let files = fs::read_dir(directory.path()).expect("a file").flatten();
        let path = files.map(|file| file.path()).next().expect("one file");
        let whole = fs::read(&path).expect("the file");
        Self { _directory: directory, cache, digest, path, whole }
    }

    /// Code that is not what this host wrote is never run, and goes away.
    fn is_refused(&self, bytes: Vec<u8>) {
        fs::write(&self.path, bytes).expect("written");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&self.path, private).expect("ours");
        assert!(!self.cache.has(&ENGINE, self.digest), "a changed file is taken");
        assert!(!self.path.exists(), "and it stays");
    }
}
