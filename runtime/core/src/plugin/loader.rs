//! From a `source` to a plugin that can be instantiated: fetched, compiled or taken from the cache,
//! checked and described, away from the cameras' threads.
//!
//! Tenants share this, and one that loads much must not keep others from loading a little. What is
//! short (reading, checking, configuring) waits for one of a few permits, of which no tenant has
//! all. Compiling, which is long, has permits of its own; so what is in the cache never waits for
//! it, and nobody who compiles waits for a plugin that takes its time to describe itself.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::component::Component;

use super::fair_semaphore::FairSemaphore;
use super::settings::{LoaderSettings, OpenError, lock_directory};
use crate::plugin::compile::{CompileQueue, CompiledCache, Compiler, Outline};
use crate::plugin::instance::Instances;
use crate::plugin::sandbox::{Engine, LoadedPlugin};
use crate::plugin::supply::{
    Fetched, JobFailed, LoadError, LoadProblem, PinnedComponents, Resolver,
};
use crate::policy::{Digest, Limits, LoadLimits, PluginRef, Step};
use crate::tenancy::Tenant;

/// A plugin, and how it was come by.
pub struct Loaded {
    /// The plugin.
    pub plugin: Arc<LoadedPlugin>,
    /// What was done, and how long each step took.
    pub steps: Steps,
}

type Steps = Vec<(Step, Duration)>;

/// Loads plugins. Cheap to clone.
#[derive(Clone)]
pub struct Loader(Arc<Inner>);

struct Inner {
    instances: Instances,
    resolver: Resolver,
    cache: Option<CompiledCache>,
    compile_queue: CompileQueue,
    slots: Mutex<HashMap<Digest, Arc<Slot>>>,
    short_jobs: FairSemaphore,
    compilations: FairSemaphore,
    settings: LoaderSettings,
    /// Released when the process ends, however it does.
    _lock: Option<File>,
}

/// One component's plugin: shared by all who run it, and freed with the last of them.
#[derive(Default)]
struct Slot {
    plugin: Mutex<Weak<LoadedPlugin>>,
    /// Held by whoever compiles it, so that it is compiled once.
    compiling: Arc<tokio::sync::Mutex<()>>,
}

impl Slot {
    /// What all share: this one, unless somebody else was faster.
    fn share(&self, plugin: Arc<LoadedPlugin>) -> Arc<LoadedPlugin> {
        let mut shared = self.plugin.lock();
        if let Some(first) = shared.upgrade() {
            return first;
        }
        *shared = Arc::downgrade(&plugin);
        plugin
    }
}

/// A plugin on its way.
struct Underway {
    tenant: Arc<Tenant>,
    /// What it may use to describe itself.
    limits: Limits,
    component: Fetched,
    slot: Arc<Slot>,
    steps: Steps,
    /// How long it took so far to check it.
    checking: Duration,
}

/// What is left to be done with a component that need not be compiled any more.
enum SlotState {
    /// Nothing: others run it.
    Plugin(Arc<LoadedPlugin>),
    /// It is to be checked.
    Code(Component),
}

impl Loader {
    /// Opens the directories and starts the engine.
    ///
    /// # Errors
    /// When `state_dir` can't be used, above all because another process has it.
    pub fn open(settings: LoaderSettings) -> Result<Self, OpenError> {
        let limits = settings.limits;
        let engine = if settings.counts_fuel { Engine::counting() } else { Engine::new() };
        let engine = engine.map_err(OpenError::Engine)?;
        // A process of its own compiles for the engine that does not count.
        let here = settings.counts_fuel.then_some(Compiler::InProcess);
        let compiler = here.unwrap_or_else(|| settings.compiler.clone());
        let (mut lock, mut pinned, mut cache) = (None, None, None);
        if let Some(path) = &settings.state_dir {
            lock = Some(lock_directory(path)?);
            let unusable = |cause| OpenError::StateDir { path: path.clone(), cause };
            pinned = Some(PinnedComponents::open(path.join("components")).map_err(unusable)?);
            let (path, most) = (path.join("compiled"), limits.compiled_bytes);
            cache = Some(CompiledCache::open(path, engine.wasmtime(), most)?);
        }
        Ok(Self(Arc::new(Inner {
            resolver: Resolver::new(settings.search_path(), pinned, limits.component_bytes),
            cache,
            compile_queue: CompileQueue::open(engine.wasmtime(), compiler, limits.compile_at_once)?,
            instances: Instances::on(engine),
            slots: Mutex::default(),
            short_jobs: FairSemaphore::new(limits.at_once, limits.at_once_per_tenant),
            compilations: FairSemaphore::new(limits.compile_at_once, 1),
            settings,
            _lock: lock,
        })))
    }

    /// What plugins that it loads are instantiated with.
    #[must_use]
    pub fn instances(&self) -> &Instances {
        &self.0.instances
    }

    /// Loads a plugin for a tenant; when `pinned`, just the component with this digest. It
    /// describes itself within the default limits. Blocks, for seconds when it has to be compiled,
    /// and waits for no permit.
    ///
    /// # Errors
    /// When it is no plugin that this host can run for this tenant; see [`LoadError`].
    pub fn load(
        &self,
        tenant: &Arc<Tenant>,
        source: &PluginRef,
        pinned: Option<Digest>,
    ) -> Result<Loaded, LoadError> {
        let inner = &self.0;
        let load = || {
            let mut underway = inner.fetch((tenant, Limits::default()), source, pinned)?;
            let found = match inner.find(&mut underway) {
                Some(found) => found,
                None => {
                    let slot = Arc::clone(&underway.slot);
                    let _compiling = slot.compiling.blocking_lock();
                    inner.make(&mut underway)?
                }
            };
            inner.finish(underway, found, source)
        };
        load().map_err(|problem| LoadError { plugin: source.clone(), problem })
    }

    /// As [`Loader::load`], on other threads, in turn with others, and within the time that
    /// [`LoadLimits`] allow for each step and for waiting before. It describes itself within these
    /// limits, which should be those that it is to run in.
    ///
    /// # Errors
    /// As [`Loader::load`], and when the time is over.
    pub async fn load_within(
        &self,
        owner: (&Arc<Tenant>, Limits),
        source: PluginRef,
        pinned: Option<Digest>,
    ) -> Result<Loaded, LoadError> {
        let loaded = self.try_load_within(owner, &source, pinned).await;
        loaded.map_err(|problem| LoadError { plugin: source, problem })
    }

    async fn try_load_within(
        &self,
        (tenant, limits): (&Arc<Tenant>, Limits),
        source: &PluginRef,
        pinned: Option<Digest>,
    ) -> Result<Loaded, LoadProblem> {
        let LoadLimits { time, compile_time, .. } = self.0.settings.limits;
        let busy = |time| move |_| LoadProblem::Busy(time);
        let (inner, named, owner) = (Arc::clone(&self.0), source.clone(), Arc::clone(tenant));
        let finding = self.run(&tenant.id, move || {
            let mut underway = inner.fetch((&owner, limits), &named, pinned)?;
            match inner.find(&mut underway) {
                Some(found) => inner.finish(underway, found, &named).map(Ok),
                None => Ok(Err(underway)),
            }
        });
        let mut underway =
            match tokio::time::timeout(time, finding).await.map_err(busy(time))??? {
                Ok(loaded) => return Ok(loaded),
                Err(underway) => underway,
            };
        let compiling = Arc::clone(&underway.slot.compiling);
        // In this order: whoever waits for a permit keeps nobody from compiling the same for
        // another tenant.
        let waiting =
            async { (self.0.compilations.take(&tenant.id).await, compiling.lock_owned().await) };
        let permits =
            tokio::time::timeout(compile_time, waiting).await.map_err(busy(compile_time))?;
        let inner = Arc::clone(&self.0);
        let making = tokio::task::spawn_blocking(move || {
            let _permits = permits;
            inner.make(&mut underway).map(|found| (underway, found))
        });
        let made = if self.0.compile_queue.goes_on() {
            let late = |_| LoadProblem::StillCompiling(compile_time);
            tokio::time::timeout(compile_time, making).await.map_err(late)?
        } else {
            making.await
        };
        let (underway, found) = made.map_err(|_| JobFailed)??;
        let (inner, named) = (Arc::clone(&self.0), source.clone());
        let finishing = self.run(&tenant.id, move || inner.finish(underway, found, &named));
        let late = |_| LoadProblem::NotDescribed(time);
        tokio::time::timeout(time, finishing).await.map_err(late)??
    }

    /// Runs a short job for a tenant that blocks, such as configuring an instance, on another
    /// thread: a few at a time, together with the short parts of [`Loader::load_within`]. It runs
    /// to its end also when nobody waits any more.
    ///
    /// # Errors
    /// When the job panics.
    pub async fn run<T: Send + 'static>(
        &self,
        tenant: &str,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JobFailed> {
        // The permit goes with the job, whose thread works on when we are dropped.
        let permit = self.0.short_jobs.take(tenant).await;
        let running = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            job()
        });
        running.await.map_err(|_| JobFailed)
    }

    /// Keeps the components with these digests of these tenants, and those in use, for a rollback
    /// or a restart; removes all others.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn retain(&self, wanted: &HashMap<String, HashSet<Digest>>) -> io::Result<()> {
        // Held to the end: what is loaded meanwhile is kept after we have removed the rest.
        let mut slots = self.0.slots.lock();
        slots.retain(|_, slot| is_used(slot));
        self.0.resolver.retain(|tenant, digest| {
            slots.contains_key(&digest)
                || wanted.get(tenant).is_some_and(|digests| digests.contains(&digest))
        })
    }
}

impl Inner {
    /// Finds a component and looks at all that can be looked at before it is compiled.
    fn fetch(
        &self,
        (tenant, limits): (&Arc<Tenant>, Limits),
        source: &PluginRef,
        pinned: Option<Digest>,
    ) -> Result<Underway, LoadProblem> {
        let begin = Instant::now();
        let id = &*tenant.id;
        let trust = self.settings.trust(id);
        let component = self.resolver.fetch(id, source, pinned).inspect_err(|error| {
            // Only here: the answer may go to a tenant.
            let path = error.path().map(|path| path.display().to_string());
            tracing::debug!(tenant = id, %source, path, %error, "a plugin can't be fetched");
        })?;
        trust.check_signature(id, &component.bytes)?;
        let steps = vec![(Step::Fetch, begin.elapsed())];
        let begin = Instant::now();
        Outline::of(&component.bytes, &self.settings.limits)?.check_imports(id, trust)?;
        let slot = self.slot(component.digest);
        let (tenant, checking) = (Arc::clone(tenant), begin.elapsed());
        Ok(Underway { tenant, limits, component, slot, steps, checking })
    }

    /// The plugin, if it is in memory or in the cache.
    fn find(&self, underway: &mut Underway) -> Option<SlotState> {
        let begin = Instant::now();
        let shared = underway.slot.plugin.lock().upgrade();
        let cached = || {
            let cache = self.cache.as_ref()?;
            cache.get(self.instances.engine().wasmtime(), underway.component.digest)
        };
        let found = shared.map(SlotState::Plugin).or_else(|| cached().map(SlotState::Code))?;
        underway.steps.push((Step::Load, begin.elapsed()));
        Some(found)
    }

    /// Compiles it. Whoever calls this has taken `compiling`.
    fn make(&self, underway: &mut Underway) -> Result<SlotState, LoadProblem> {
        // Somebody else may have compiled it while we waited.
        if let Some(found) = self.find(underway) {
            return Ok(found);
        }
        let begin = Instant::now();
        let Fetched { digest, bytes } = &underway.component;
        let code = self.compile_queue.compile(bytes, &self.settings.limits, &underway.tenant)?;
        underway.steps.push((Step::Compile, begin.elapsed()));
        // Also if it is refused later: who asks for it again has the answer without another
        // compilation.
        if let Some(cache) = &self.cache {
            cache.put(*digest, &code);
        }
        Ok(SlotState::Code(code))
    }

    /// Checks what was not checked before, and keeps what runs.
    fn finish(
        &self,
        mut underway: Underway,
        found: SlotState,
        source: &PluginRef,
    ) -> Result<Loaded, LoadProblem> {
        let plugin = match found {
            SlotState::Plugin(plugin) => plugin,
            SlotState::Code(code) => {
                let plugin = underway.check(self.instances.engine(), &code)?;
                underway.slot.share(plugin)
            }
        };
        if let PluginRef::Stored { name, version } = source
            && (name, version) != (&plugin.name, &plugin.version)
        {
            let (name, version) = (plugin.name.clone(), plugin.version.clone());
            return Err(LoadProblem::OtherName { name, version });
        }
        let pinned = self.resolver.keep(&underway.tenant.id, &underway.component);
        pinned.map_err(LoadProblem::NotKept)?;
        Ok(Loaded { plugin, steps: underway.steps })
    }

    fn slot(&self, digest: Digest) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        slots.retain(|_, slot| is_used(slot));
        Arc::clone(slots.entry(digest).or_default())
    }
}

impl Underway {
    fn check(
        &mut self,
        engine: &Engine,
        code: &Component,
    ) -> Result<Arc<LoadedPlugin>, LoadProblem> {
        let begin = Instant::now();
        let plugin = engine.check(code, self.component.digest, (&self.tenant, self.limits))?;
        self.steps.push((Step::Check, self.checking + begin.elapsed()));
        Ok(Arc::new(plugin))
    }
}

/// Whether somebody runs the plugin, or loads it just now.
fn is_used(slot: &Arc<Slot>) -> bool {
    // Without another holder nobody can have it locked.
    Arc::strong_count(slot) > 1 || slot.plugin.lock().strong_count() > 0
}

#[cfg(test)]
mod tests;
