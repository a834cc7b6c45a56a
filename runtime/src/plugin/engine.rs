//! The wasmtime engine, and plugins as they are loaded: compiled, checked and described.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Store};

use super::frames::link_read;
use super::guest::{Guest, Owner};
use super::limits::{Limits, STACK_BYTES};
use super::wit::{Plugin, PluginPre};

/// The package whose interfaces a plugin may import, and the version this host has.
const PACKAGE: &str = "comux:plugin/";
const VERSION: &str = "0.1";

/// How often deadlines are looked at.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Why a plugin can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error("plugin `{path}`: can't read it: {cause}; check the path in `source`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The file is something else.
    #[error(
        "plugin `{path}` is not a WebAssembly component: {reason}; \
         build it with `comux plugin build`"
    )]
    NotAComponent {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It wants something that this host does not give.
    #[error(
        "plugin `{path}` imports `{import}`, which comux does not give to plugins; \
         build it for wasm32-unknown-unknown, without WASI: `comux plugin build` does that"
    )]
    ForeignImport {
        /// The file.
        path: PathBuf,
        /// The import.
        import: String,
    },
    /// It was made for another version of the interface.
    #[error(
        "plugin `{path}` wants `{wanted}`, and this host has comux:plugin {VERSION}; \
         build the plugin with an SDK of that version"
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// The import with its version.
        wanted: String,
    },
    /// It does not export what a plugin must.
    #[error("plugin `{path}` does not fit the world `comux:plugin/plugin`: {reason}")]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// It failed while it was asked to describe itself.
    #[error("plugin `{path}` could not describe itself: {reason}")]
    NoDescription {
        /// The file.
        path: PathBuf,
        /// How it failed.
        reason: String,
    },
    /// It claims headers that it may not write.
    #[error("plugin `{path}` declares the header `{header}`: {reason}")]
    Header {
        /// The file.
        path: PathBuf,
        /// The header's name.
        header: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Compiles and links plugins. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Arc<Linker<Guest>>,
}

/// A plugin that can be instantiated: compiled, checked and described.
pub struct LoadedPlugin {
    pub(super) pre: PluginPre<Guest>,
    /// The name it gives itself.
    pub name: String,
    /// The version it gives itself.
    pub version: String,
    /// The headers that it may write.
    pub headers: Vec<String>,
    /// `name@version+sha256.…`, as in the output header `comux-plugin`.
    pub identity: String,
}

impl Engine {
    /// Starts an engine, and the thread that wakes calls to look at their deadline.
    ///
    /// # Errors
    /// When wasmtime can't run on this machine.
    pub fn new() -> wasmtime::Result<Self> {
        let mut config = Config::new();
        // Plugins are called synchronously; without this every call costs twice as much.
        config.concurrency_support(false);
        config.epoch_interruption(true);
        config.max_wasm_stack(STACK_BYTES);
        let engine = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        Plugin::add_to_linker::<_, wasmtime::component::HasSelf<Guest>>(&mut linker, |guest| {
            guest
        })?;
        link_read(&mut linker)?;
        let ticking = engine.weak();
        std::thread::Builder::new().name("plugin-clock".into()).spawn(move || {
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
        Ok(Self { engine, linker: Arc::new(linker) })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Reads, compiles and checks the component at `path`, and asks it to describe itself.
    ///
    /// # Errors
    /// When the file is no plugin that this host can run; see [`LoadError`].
    pub fn load(&self, path: &Path) -> Result<LoadedPlugin, LoadError> {
        let path_buf = || path.to_path_buf();
        let bytes = std::fs::read(path)
            .map_err(|cause| LoadError::Unreadable { path: path_buf(), cause })?;
        let component = Component::from_binary(&self.engine, &bytes).map_err(|error| {
            LoadError::NotAComponent { path: path_buf(), reason: innermost(&error) }
        })?;
        self.check_imports(path, &component)?;
        let wrong_shape = |error: wasmtime::Error| LoadError::WrongShape {
            path: path_buf(),
            reason: innermost(&error),
        };
        let pre = self.linker.instantiate_pre(&component).map_err(wrong_shape)?;
        let pre = PluginPre::new(pre).map_err(wrong_shape)?;
        let description = self.describe(&pre).map_err(|error| LoadError::NoDescription {
            path: path_buf(),
            reason: innermost(&error),
        })?;
        for header in &description.header_names {
            let reason = if header.is_empty() {
                "a header needs a name"
            } else if header.starts_with("comux-") {
                "names that begin with `comux-` are the runtime's own"
            } else {
                continue;
            };
            return Err(LoadError::Header { path: path_buf(), header: header.clone(), reason });
        }
        let digest = Sha256::digest(&bytes);
        let digest: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let (name, version) = (description.name, description.version);
        let identity = format!("{name}@{version}+sha256.{digest}");
        Ok(LoadedPlugin { pre, name, version, headers: description.header_names, identity })
    }

    fn check_imports(&self, path: &Path, component: &Component) -> Result<(), LoadError> {
        for (import, _) in component.component_type().imports(&self.engine) {
            let Some(interface) = import.strip_prefix(PACKAGE) else {
                let (path, import) = (path.to_path_buf(), import.to_owned());
                return Err(LoadError::ForeignImport { path, import });
            };
            let version = interface.split_once('@').map_or("", |(_, version)| version);
            let track = version.strip_prefix(VERSION);
            if !track.is_some_and(|patch| patch.starts_with('.')) {
                let (path, wanted) = (path.to_path_buf(), import.to_owned());
                return Err(LoadError::OtherVersion { path, wanted });
            }
        }
        Ok(())
    }

    fn describe(
        &self,
        pre: &PluginPre<Guest>,
    ) -> wasmtime::Result<super::wit::exports::comux::plugin::lifecycle::Descriptor> {
        let limits = Limits::default();
        let nobody = Owner { tenant: "".into(), camera: "".into(), plugin: "".into() };
        let mut store = Store::new(&self.engine, Guest::new(nobody, limits));
        store.limiter(|guest| &mut guest.memory);
        store.set_epoch_deadline(u64::from(limits.deadline_ms.get()));
        let plugin = pre.instantiate(&mut store)?;
        plugin.comux_plugin_lifecycle().call_describe(&mut store)
    }
}

/// The cause at the bottom of an error: the one that says what is wrong.
pub(super) fn innermost(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}
