//! From a `source` to a plugin that can be instantiated: fetched, compiled or taken from the cache,
//! checked and described, away from the cameras' threads.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::cache::CompiledCache;
use super::digest::Digest;
use super::engine::{Engine, LoadedPlugin};
use super::kept::Kept;
use super::load_error::{LoadError, LoadProblem};
use super::pool::Pool;
use super::settings::{LoaderSettings, OpenError, lock_directory};
use super::source::Source;
use super::step::Step;
use super::store::{Fetched, Store};

/// A plugin, and how it was come by.
pub struct Loaded {
    /// The plugin.
    pub plugin: Arc<LoadedPlugin>,
    /// What was done, and how long each step took.
    pub steps: Vec<(Step, Duration)>,
}

/// A job given to [`Loader::run`] ended by a panic.
#[derive(Debug, thiserror::Error)]
#[error("it failed by a bug in comux; see the log, and report it")]
pub struct JobFailed;

/// Loads plugins. Cheap to clone.
#[derive(Clone)]
pub struct Loader(Arc<Inner>);

struct Inner {
    engine: Engine,
    store: Store,
    cache: Option<CompiledCache>,
    pool: Pool,
    slots: Mutex<HashMap<Digest, Slot>>,
    turns: Arc<Semaphore>,
    time: Duration,
    /// Released when the process ends, however it does.
    _lock: Option<File>,
}

/// One component's plugin: shared by all who run it, freed with the last of them, and locked while
/// it is made, so that it is made once.
type Slot = Arc<Mutex<Weak<LoadedPlugin>>>;

impl Loader {
    /// Opens the directories and starts the engine.
    ///
    /// # Errors
    /// When `state_dir` can't be used, above all because another process has it.
    pub fn open(settings: LoaderSettings) -> Result<Self, OpenError> {
        let LoaderSettings { state_dir, plugin_dir, base, named_sources, limits } = settings;
        let engine = Engine::new().map_err(OpenError::Engine)?;
        let (mut lock, mut kept, mut cache) = (None, None, None);
        if let Some(path) = state_dir {
            lock = Some(lock_directory(&path)?);
            let unusable = |cause| OpenError::StateDir { path: path.clone(), cause };
            kept = Some(Kept::open(path.join("components")).map_err(unusable)?);
            let (path, most) = (path.join("compiled"), limits.compiled_bytes);
            cache = Some(CompiledCache::open(path, engine.wasmtime(), most)?);
        }
        Ok(Self(Arc::new(Inner {
            engine,
            store: Store::new((plugin_dir, base, named_sources), kept, limits.component_bytes),
            cache,
            pool: Pool::new()?,
            slots: Mutex::default(),
            turns: Arc::new(Semaphore::new(limits.at_once)),
            time: limits.time,
            _lock: lock,
        })))
    }

    /// The engine that instances run on.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Loads a plugin; when `pinned`, just the component with this digest. Blocks, for seconds when
    /// it has to be compiled.
    ///
    /// # Errors
    /// When it is no plugin that this host can run; see [`LoadError`].
    pub fn load(&self, source: &Source, pinned: Option<Digest>) -> Result<Loaded, LoadError> {
        let loaded = self.0.load(source, pinned);
        loaded.map_err(|problem| LoadError { plugin: source.clone(), problem })
    }

    /// As [`Loader::load`], on another thread and within the time that
    /// [`LoadLimits::time`](super::LoadLimits::time) allows. Compiling can't be broken off: when the time is over it goes on
    /// by itself, and the next load finds its result in the cache.
    ///
    /// # Errors
    /// As [`Loader::load`], and when the time is over.
    pub async fn load_within(
        &self,
        source: Source,
        pinned: Option<Digest>,
    ) -> Result<Loaded, LoadError> {
        let (loader, named) = (self.clone(), source.clone());
        let loading = self.run(move || loader.load(&named, pinned));
        let problem = match tokio::time::timeout(self.0.time, loading).await {
            Ok(Ok(loaded)) => return loaded,
            Ok(Err(failed)) => LoadProblem::Failed(failed),
            Err(_) => LoadProblem::Late(self.0.time),
        };
        Err(LoadError { plugin: source, problem })
    }

    /// Runs a job that blocks, such as configuring an instance, on another thread: a few at a time,
    /// together with [`Loader::load_within`]. It runs to its end also when nobody waits any more.
    ///
    /// # Errors
    /// When the job panics.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JobFailed> {
        // Never closed. The turn goes with the job, whose thread works on when we are dropped.
        let turn = Arc::clone(&self.0.turns).acquire_owned().await;
        let running = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            job()
        });
        running.await.map_err(|_| JobFailed)
    }

    /// Keeps the components with these digests, and those in use, for a rollback or a restart;
    /// removes all others.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn retain(&self, digests: &HashSet<Digest>) -> io::Result<()> {
        // Held to the end: what is loaded meanwhile is kept after we have removed the rest.
        let mut slots = lock(&self.0.slots);
        slots.retain(|_, slot| is_used(slot));
        let wanted = digests.iter().chain(slots.keys()).copied().collect();
        self.0.store.retain(&wanted)
    }
}

impl Inner {
    fn load(&self, source: &Source, pinned: Option<Digest>) -> Result<Loaded, LoadProblem> {
        let begin = Instant::now();
        let component = self.store.fetch(source, pinned)?;
        let mut steps = vec![(Step::Fetch, begin.elapsed())];
        let begin = Instant::now();
        let slot = self.slot(component.digest);
        let mut made = lock(&slot);
        let plugin = match made.upgrade() {
            Some(plugin) => {
                steps.push((Step::Load, begin.elapsed()));
                plugin
            }
            None => {
                let plugin = Arc::new(self.make(&component, &mut steps)?);
                *made = Arc::downgrade(&plugin);
                plugin
            }
        };
        if let Source::Stored { name, version } = source
            && (name, version) != (&plugin.name, &plugin.version)
        {
            let (name, version) = (plugin.name.clone(), plugin.version.clone());
            return Err(LoadProblem::OtherName { name, version });
        }
        self.store.keep(&component).map_err(LoadProblem::NotKept)?;
        Ok(Loaded { plugin, steps })
    }

    fn make(
        &self,
        component: &Fetched,
        steps: &mut Vec<(Step, Duration)>,
    ) -> Result<LoadedPlugin, LoadProblem> {
        let begin = Instant::now();
        let Fetched { digest, bytes } = component;
        let cached = self.cache.as_ref();
        let cached = cached.and_then(|cache| cache.get(self.engine.wasmtime(), *digest));
        let is_new = cached.is_none();
        let (step, code) = match cached {
            Some(code) => (Step::Load, code),
            // Nothing but this runs in the pool: the slot's lock, which we hold, must not be waited
            // for there. And what need not be compiled never waits for what must.
            None => (Step::Compile, self.pool.run(|| self.engine.compile(bytes))??),
        };
        steps.push((step, begin.elapsed()));
        let begin = Instant::now();
        let plugin = self.engine.check(&code, *digest)?;
        steps.push((Step::Check, begin.elapsed()));
        if is_new && let Some(cache) = &self.cache {
            cache.put(*digest, &code);
        }
        Ok(plugin)
    }

    fn slot(&self, digest: Digest) -> Slot {
        let mut slots = lock(&self.slots);
        slots.retain(|_, slot| is_used(slot));
        Arc::clone(slots.entry(digest).or_default())
    }
}

/// Whether somebody runs the plugin, or loads it just now.
fn is_used(slot: &Slot) -> bool {
    // Without another holder nobody can have it locked.
    Arc::strong_count(slot) > 1 || lock(slot).strong_count() > 0
}

/// A panic while a plugin was loaded leaves nothing half done behind the locks here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::limits::LoadLimits;
    use super::super::test_plugin::{component, endless, stateful};
    use super::*;

    /// A directory with a store `plugins`, which holds motion@1.0.0, and the settings that go with
    /// it.
    fn home() -> (tempfile::TempDir, LoaderSettings) {
        let home = tempfile::tempdir().unwrap();
        let plugin_dir = home.path().join("plugins");
        fs::create_dir(&plugin_dir).unwrap();
        fs::write(plugin_dir.join("motion@1.0.0.wasm"), component("motion", "1.0.0")).unwrap();
        let settings = LoaderSettings {
            state_dir: Some(home.path().join("state")),
            plugin_dir,
            base: home.path().to_owned(),
            named_sources: HashSet::new(),
            limits: LoadLimits::default(),
        };
        (home, settings)
    }

    fn steps(loaded: &Loaded) -> Vec<Step> {
        loaded.steps.iter().map(|(step, _)| *step).collect()
    }

    fn motion() -> Source {
        "motion@1.0.0".parse().unwrap()
    }

    #[test]
    fn a_plugin_is_compiled_once_and_then_shared_or_taken_from_the_cache() {
        let (_home, settings) = home();
        let loader = Loader::open(settings.clone()).unwrap();
        let first = loader.load(&motion(), None).unwrap();
        assert_eq!(steps(&first), [Step::Fetch, Step::Compile, Step::Check]);
        let digest = Digest::of(&component("motion", "1.0.0"));
        let plugin = &first.plugin;
        assert_eq!((&*plugin.name, &*plugin.version), ("motion", "1.0.0"));
        assert_eq!((plugin.digest, plugin.has_state()), (digest, false));
        assert_eq!(plugin.identity, format!("motion@1.0.0+sha256.{}", digest.short()));
        assert_eq!(plugin.headers, ["test.ok"]);
        let second = loader.load(&motion(), Some(digest)).unwrap();
        assert_eq!(steps(&second), [Step::Fetch, Step::Load]);
        assert!(Arc::ptr_eq(&first.plugin, &second.plugin));
        drop((first, second));
        assert_eq!(
            steps(&loader.load(&motion(), None).unwrap()),
            [Step::Fetch, Step::Load, Step::Check]
        );
        drop(loader);
        let loader = Loader::open(settings).unwrap();
        assert_eq!(
            steps(&loader.load(&motion(), None).unwrap()),
            [Step::Fetch, Step::Load, Step::Check]
        );
    }

    #[test]
    fn loads_of_one_component_at_once_compile_it_once() {
        let (_home, settings) = home();
        let loader = Loader::open(settings).unwrap();
        let load = || loader.load(&motion(), None).unwrap();
        let loaded: Vec<Loaded> = std::thread::scope(|scope| {
            let threads = [(); 8].map(|()| scope.spawn(load));
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let compiled = loaded.iter().filter(|loaded| steps(loaded).contains(&Step::Compile));
        assert_eq!(compiled.count(), 1);
        assert!(loaded.iter().all(|other| Arc::ptr_eq(&other.plugin, &loaded[0].plugin)));
    }

    #[test]
    fn a_damaged_compiled_plugin_is_compiled_again() {
        let (home, settings) = home();
        let loader = Loader::open(settings).unwrap();
        drop(loader.load(&motion(), None).unwrap());
        let compiled = fs::read_dir(home.path().join("state/compiled")).unwrap();
        for file in compiled {
            let path = file.unwrap().path();
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        }
        let again = loader.load(&motion(), None).unwrap();
        assert_eq!(steps(&again), [Step::Fetch, Step::Compile, Step::Check]);
    }

    #[test]
    fn what_ran_can_be_had_again_until_it_is_neither_wanted_nor_used() {
        let (_home, settings) = home();
        let file = settings.plugin_dir.join("motion@1.0.0.wasm");
        let loader = Loader::open(settings).unwrap();
        let loaded = loader.load(&motion(), None).unwrap();
        let digest = loaded.plugin.digest;
        fs::remove_file(file).unwrap();
        loader.retain(&HashSet::new()).unwrap();
        assert!(loader.load(&motion(), Some(digest)).is_ok(), "it is in use");
        drop(loaded);
        loader.retain(&HashSet::from([digest])).unwrap();
        assert!(loader.load(&motion(), Some(digest)).is_ok(), "it is wanted");
        loader.retain(&HashSet::new()).unwrap();
        let gone = loader.load(&motion(), Some(digest)).err().unwrap();
        assert_eq!(gone.step(), Step::Fetch);
    }

    #[test]
    fn a_plugin_that_exports_state_has_it() {
        let (_home, settings) = home();
        fs::write(settings.plugin_dir.join("s.wasm"), stateful("counter", "1.0.0")).unwrap();
        let loader = Loader::open(settings).unwrap();
        assert!(loader.load(&"s.wasm".parse().unwrap(), None).unwrap().plugin.has_state());
    }

    #[test]
    fn what_is_no_plugin_is_refused_at_the_step_that_finds_out() {
        let (_home, settings) = home();
        let wasi = r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance)))"#;
        let newer = r#"(component (import "comux:plugin/frames@0.2.0" (instance)))"#;
        let state = r#"(component $c
            (instance $i) (export "comux:plugin/state@0.1.0" (instance $i)))"#;
        let parse = |text| wat::parse_str(text).unwrap();
        let files = [
            ("text.wasm", b"no component".to_vec(), Step::Compile, "comux plugin build"),
            ("module.wasm", parse("(module)"), Step::Compile, "component"),
            ("wasi.wasm", parse(wasi), Step::Check, "wasi:clocks/monotonic-clock"),
            ("newer.wasm", parse(newer), Step::Check, "comux:plugin 0.1"),
            ("empty.wasm", parse("(component)"), Step::Check, "comux:plugin/plugin"),
            ("state.wasm", parse(state), Step::Check, "comux:plugin/plugin"),
            ("motion@2.0.0", component("motion", "1.0.0"), Step::Check, "motion@1.0.0"),
            ("endless.wasm", endless(), Step::Check, "describe itself"),
            ("header.wasm", renamed("test.ok", "comux-x"), Step::Check, "`comux-x`"),
        ];
        for (source, bytes, ..) in &files {
            let name = source.trim_end_matches(".wasm");
            fs::write(settings.plugin_dir.join(format!("{name}.wasm")), bytes).unwrap();
        }
        let state_dir = settings.state_dir.clone().unwrap();
        let loader = Loader::open(settings).unwrap();
        for (source, _, step, words) in files {
            let error = loader.load(&source.parse().unwrap(), None).err().unwrap();
            assert_eq!(error.step(), step, "{error}");
            let said = error.to_string();
            assert!(said.starts_with(&format!("plugin `{source}`: ")), "{said}");
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(fs::read_dir(state_dir.join("components")).unwrap().count(), 0);
    }

    fn renamed(from: &str, to: &str) -> Vec<u8> {
        let mut bytes = component("motion", "1.0.0");
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    }

    #[test]
    fn a_state_directory_is_one_processes_own() {
        let (home, settings) = home();
        let loader = Loader::open(settings.clone()).unwrap();
        let refusal = Loader::open(settings.clone()).err().unwrap();
        assert!(matches!(refusal, OpenError::InUse { .. }), "{refusal}");
        assert!(refusal.to_string().contains("state_dir"), "{refusal}");
        drop(loader);
        assert!(Loader::open(settings.clone()).is_ok());
        let nowhere = LoaderSettings { state_dir: None, ..settings };
        fs::remove_dir_all(home.path().join("state")).unwrap();
        let loader = Loader::open(nowhere).unwrap();
        assert!(loader.load(&motion(), None).is_ok());
        assert!(!home.path().join("state").exists());
    }

    #[tokio::test]
    async fn a_load_that_takes_too_long_is_given_up_and_its_result_kept() {
        let (_home, mut settings) = home();
        settings.limits.time = Duration::ZERO;
        let loader = Loader::open(settings).unwrap();
        let late = loader.load_within(motion(), None).await.err().unwrap();
        assert!(matches!(late.problem, LoadProblem::Late(_)), "{late}");
        assert_eq!(late.step(), Step::Compile);
        // Every turn is free again once the abandoned load has come to its end.
        let turns = u32::try_from(LoadLimits::default().at_once).unwrap();
        drop(Arc::clone(&loader.0.turns).acquire_many_owned(turns).await.unwrap());
        let loaded = loader.load(&motion(), None).unwrap();
        assert_eq!(steps(&loaded)[..2], [Step::Fetch, Step::Load]);
    }

    #[tokio::test]
    async fn a_job_that_panics_is_an_error() {
        let (_home, settings) = home();
        let loader = Loader::open(settings).unwrap();
        assert_eq!(loader.run(|| 42).await.unwrap(), 42);
        assert!(loader.run(|| panic!("as tested")).await.is_err());
    }
}
