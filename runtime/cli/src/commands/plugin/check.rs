//! `comux plugin check`: what a plugin is, what it needs, and what would be refused of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use comux::config::{Config, Id};
use comux::plugin::compile::{Compiler, Outline};
use comux::plugin::instance::CameraPlugin;
use comux::plugin::sandbox::{ConfigureError, LoadedPlugin};
use comux::plugin::{Loaded, Loader};
use comux::policy::{BreakerSettings, Limits, LoadLimits, PluginRef, Step, Terms};
use comux::tenancy::Tenant;
use serde::Serialize;

use super::local_host::{CAMERA, absolute, config_of, configuration};
use crate::commands::Failure;
use crate::output::{print_json, print_line};

#[derive(clap::Args)]
#[command(
    after_help = "Nothing is run but what a host runs before the first frame. Without --host, \
the limits and grants are those that hold where nobody sets any.
Exit code 1 when a host would refuse one of the plugins.

Examples:
  comux plugin check target/plugins/motion.wasm
  comux plugin check motion.wasm --config '{\"threshold\": 20}'
  comux plugin check motion.wasm --host comux.toml --tenant acme"
)]
pub struct Arguments {
    /// The components.
    #[arg(required = true, value_name = "PLUGIN.wasm")]
    plugins: Vec<String>,
    /// A configuration for them: a JSON object, or @FILE with one.
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// The configuration of the host that is to run them.
    #[arg(long, value_name = "comux.toml")]
    host: Option<PathBuf>,
    /// The tenant on that host.
    #[arg(long, value_name = "ID", default_value = "default", requires = "host")]
    tenant: String,
    /// One JSON object per line and plugin.
    #[arg(long)]
    json: bool,
}

/// What is to be said of a plugin.
#[derive(Serialize)]
struct Report {
    file: String,
    bytes: u64,
    /// `name@version+sha256.…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
    imports: Vec<Import>,
    exports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    described: Option<Description>,
    needs: Vec<Need>,
    /// Why a host would refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Why it does not take an empty configuration, where none was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_configured: Option<String>,
}

#[derive(Serialize)]
struct Import {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// What it says of itself.
#[derive(Serialize)]
struct Description {
    headers: Vec<String>,
    has_state: bool,
    has_batches: bool,
    /// Absent when it need not be compiled.
    #[serde(skip_serializing_if = "Option::is_none")]
    compiled_s: Option<f64>,
}

/// Something of which a host gives a plugin so much.
#[derive(Serialize)]
struct Need {
    /// As it is called in `limits`.
    limit: &'static str,
    needed: u64,
    given: u64,
}

/// A host as far as plugins are loaded on it.
struct Host {
    loader: Loader,
    tenant: Arc<Tenant>,
    limits: Limits,
    trust: comux::plugin::supply::Trust,
    load_limits: LoadLimits,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let own = arguments.config.as_deref().map(config_of).transpose().map_err(Failure::Usage)?;
    let files = absolute(&arguments.plugins).map_err(Failure::failed)?;
    let host = Host::open(arguments, &files)?;
    let mut refused = 0;
    for (named, file) in arguments.plugins.iter().zip(&files) {
        let report = host.check(named, file, own.as_deref())?;
        refused += usize::from(report.refused.is_some());
        match arguments.json {
            true => print_json(&report)?,
            false => report.print(),
        }
    }
    match refused {
        0 => Ok(()),
        1 => Err(Failure::failed(anyhow!("a plugin would be refused"))),
        many => Err(Failure::failed(anyhow!("{many} plugins would be refused"))),
    }
}

impl Host {
    fn open(arguments: &Arguments, files: &[PathBuf]) -> Result<Self, Failure> {
        let tenant = Id::new(&arguments.tenant).map_err(Failure::usage)?;
        let config = match &arguments.host {
            Some(path) => {
                let mut config = Config::load(path).map_err(Failure::usage)?;
                config.compiler = Compiler::this_program();
                config
            }
            None => configuration(files, "h264", None).map_err(Failure::Usage)?,
        };
        let mut settings = config.loader();
        settings.state_dir = None;
        let sources = files.iter().map(|file| source(file)).collect::<Result<Vec<_>, _>>()?;
        let trust = settings.trust(tenant.as_str()).clone();
        let own = settings.tenants.entry(tenant.as_str().to_owned()).or_default();
        own.trust = trust.clone();
        own.named_sources.extend(sources);
        let (limits, load_limits) = (config.tenant(&tenant).limits, settings.limits);
        let loader = Loader::open(settings).map_err(Failure::failed)?;
        let tenants = config.open_tenants();
        let tenant = tenants.get(tenant.as_str()).with_context(|| {
            format!("--tenant: the configuration has no tenant `{}`", tenant.as_str())
        });
        let tenant = tenant.map_err(Failure::Usage)?;
        Ok(Self { loader, tenant, limits, trust, load_limits })
    }

    fn check(&self, named: &str, file: &Path, own: Option<&str>) -> Result<Report, Failure> {
        let bytes = std::fs::read(file).with_context(|| format!("can't read `{named}`"));
        let bytes = bytes.map_err(Failure::Failed)?;
        let mut report = Report::of(named, bytes.len());
        match Outline::of(&bytes, &self.load_limits) {
            Ok(outline) => report.outline(outline, self),
            Err(problem) => report.refused = Some(problem.to_string()),
        }
        if report.refused.is_none() {
            match self.loader.load(&self.tenant, &source(file)?, None) {
                Ok(loaded) => report.load(&loaded, self, own),
                Err(error) => report.refused = Some(error.problem.to_string()),
            }
        }
        Ok(report)
    }

    /// Configures an instance of a plugin.
    fn configure(&self, plugin: Arc<LoadedPlugin>, own: &str) -> Result<(), ConfigureError> {
        let terms = Terms { limits: self.limits, breaker: BreakerSettings::default() };
        let owner = (Arc::clone(&self.tenant), CAMERA);
        let instances = self.loader.instances();
        CameraPlugin::start(instances, plugin, owner, own.to_owned(), terms).map(drop)
    }
}

fn source(file: &Path) -> Result<PluginRef, Failure> {
    let path = file.to_str().with_context(|| format!("{file:?} is no UTF-8"));
    path.map_err(Failure::Usage)?.parse().map_err(Failure::usage)
}

impl Report {
    fn of(named: &str, bytes: usize) -> Self {
        Self {
            file: named.to_owned(),
            bytes: bytes as u64,
            plugin: None,
            imports: Vec::new(),
            exports: Vec::new(),
            described: None,
            needs: Vec::new(),
            refused: None,
            not_configured: None,
        }
    }

    fn outline(&mut self, outline: Outline, host: &Host) {
        let judged = outline.judged_imports(&host.tenant.id, &host.trust);
        let imports = judged.map(|(name, problem)| Import {
            name: name.to_owned(),
            refused: problem.map(|problem| problem.to_string()),
        });
        self.imports = imports.collect();
        self.need("instances", outline.instances, u64::from(host.limits.instances));
        self.exports = outline.exports;
        self.refused = self.imports.iter().find_map(|import| import.refused.clone());
    }

    fn load(&mut self, loaded: &Loaded, host: &Host, own: Option<&str>) {
        let plugin = &loaded.plugin;
        let compiled = loaded.steps.iter().find(|(step, _)| *step == Step::Compile);
        self.plugin = Some(plugin.identity.clone());
        self.described = Some(Description {
            headers: plugin.headers.clone(),
            has_state: plugin.has_state(),
            has_batches: plugin.has_batches(),
            compiled_s: compiled.map(|(_, took)| Duration::as_secs_f64(took)),
        });
        if let Some(declared) = plugin.declared() {
            let (memories, tables) = (declared.num_memories.into(), declared.num_tables.into());
            self.need("memories", memories, host.limits.memories.into());
            self.need("tables", tables, host.limits.tables.into());
            let pages = declared.max_initial_memory_size.unwrap_or_default();
            // At first; a page is 64 KiB.
            self.need("memory_mb", pages.div_ceil(16), host.limits.memory_mb.into());
        }
        match host.configure(Arc::clone(plugin), own.unwrap_or("{}")) {
            Ok(()) => {}
            // It may need more than nothing.
            Err(error @ ConfigureError::Refused { .. }) if own.is_none() => {
                self.not_configured = Some(error.to_string());
            }
            Err(error) => self.refused = Some(error.to_string()),
        }
    }

    fn need(&mut self, limit: &'static str, needed: u64, given: u64) {
        self.needs.push(Need { limit, needed, given });
    }

    fn print(&self) {
        let name = self.plugin.as_deref().unwrap_or(&self.file);
        let compiled = self.described.as_ref().and_then(|it| it.compiled_s);
        let compiled = compiled.map(|it| format!(", compiled in {it:.1} s")).unwrap_or_default();
        print_line(format_args!("{name}: {} KB{compiled}", self.bytes.div_ceil(1000)));
        for import in &self.imports {
            let mark = if import.refused.is_some() { '✘' } else { '✔' };
            print_line(format_args!("  {mark} imports {}", import.name));
        }
        for export in &self.exports {
            print_line(format_args!("    exports {export}"));
        }
        if let Some(described) = &self.described {
            let headers = match described.headers.is_empty() {
                true => "none".to_owned(),
                false => described.headers.join(", "),
            };
            print_line(format_args!("    headers {headers}"));
            if described.has_state {
                print_line("    keeps what it remembers when it is swapped");
            }
            if described.has_batches {
                print_line("    takes frames of several cameras in one call");
            }
        }
        for Need { limit, needed, given } in &self.needs {
            let mark = if needed > given { '✘' } else { '✔' };
            print_line(format_args!("  {mark} needs {needed} of {given} {limit}"));
        }
        let file = &self.file;
        match (&self.refused, &self.not_configured) {
            (Some(why), _) => print_line(format_args!("✘ {file}: {why}")),
            (None, Some(why)) => print_line(format_args!(
                "✔ {file} can be loaded; with the configuration {{}}, {why}; give one with \
                 --config"
            )),
            (None, None) => print_line(format_args!("✔ {file} can be loaded and configured")),
        }
    }
}
