//! A camera's plugins before they run: loaded, checked against each other, configured.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{CameraSpec, Id, PluginEntry};
use crate::control::wire::{ErrorCode, Refusal, StepTimes};
use crate::host::Host;
use crate::plugin::Loader;
use crate::plugin::instance::CameraPlugin;
use crate::plugin::sandbox::{ConfigureError, LoadedPlugin};
use crate::policy::Terms;
use crate::policy::{Limits, Step};
use crate::tenancy::Tenant;

/// A plugin in its place in a camera's chain.
#[derive(Clone)]
pub struct Placed {
    /// How it was asked for, pinned by its digest.
    pub entry: PluginEntry,
    /// What runs.
    pub plugin: Arc<LoadedPlugin>,
}

impl Placed {
    /// `name@version`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}@{}", self.plugin.name, self.plugin.version)
    }
}

/// The tenant of this id.
///
/// # Errors
/// When this host has none.
pub fn tenant(host: &Host, id: &Id) -> Result<Arc<Tenant>, Refusal> {
    let tenant = host.tenants.get(id.as_str());
    tenant.ok_or_else(|| ErrorCode::Conflict.because("its tenant is unknown"))
}

/// Loads a plugin for a tenant, to be run within these limits.
///
/// # Errors
/// When it is not to be had, or no plugin.
pub async fn load(
    loader: &Loader,
    owner: (&Arc<Tenant>, Limits),
    mut entry: PluginEntry,
    steps: &mut StepTimes,
) -> Result<Placed, Refusal> {
    let loaded = loader.load_within(owner, entry.source.clone(), entry.sha256).await;
    let loaded = loaded.map_err(|error| Refusal::at(error.step(), error.to_string()))?;
    for (step, took) in loaded.steps {
        steps.add(step, took);
    }
    entry.sha256 = Some(loaded.plugin.digest);
    Ok(Placed { entry, plugin: loaded.plugin })
}

/// Loads all plugins of a tenant's chain, to be run within these limits.
///
/// # Errors
/// When a plugin is not to be had, or no plugin, or two would write the same header.
pub async fn load_all(
    loader: &Loader,
    owner: (&Arc<Tenant>, Limits),
    entries: &[PluginEntry],
    steps: &mut StepTimes,
) -> Result<Vec<Placed>, Refusal> {
    let mut chain = Vec::with_capacity(entries.len());
    for entry in entries {
        chain.push(load(loader, owner, entry.clone(), steps).await?);
    }
    check_headers(&chain)?;
    Ok(chain)
}

/// Sees to it that each header has one writer.
///
/// # Errors
/// When two plugins would write the same header.
pub fn check_headers(chain: &[Placed]) -> Result<(), Refusal> {
    let mut writers: HashMap<&str, &Placed> = HashMap::new();
    for placed in chain {
        for header in &placed.plugin.headers {
            if let Some(first) = writers.insert(header, placed) {
                let message = format!(
                    "plugins {} and {} both write the header `{header}`; use one of them",
                    first.title(),
                    placed.title()
                );
                return Err(Refusal::at(Step::Check, message));
            }
        }
    }
    Ok(())
}

/// Instantiates and configures a plugin for a camera.
///
/// # Errors
/// When its tenant has no room for it, or it refuses its configuration, or fails.
pub async fn configure(
    host: &Host,
    spec: &CameraSpec,
    placed: &Placed,
    steps: &mut StepTimes,
) -> Result<CameraPlugin, Refusal> {
    let owner = (tenant(host, &spec.tenant)?, &spec.id);
    configure_alone(&host.loader, owner, placed, host.config.terms_of(spec), steps).await
}

/// Instantiates and configures a plugin for a camera, with nothing else of a node of comux.
///
/// # Errors
/// When the tenant has no room for it, or it refuses its configuration, or fails.
pub async fn configure_alone(
    loader: &Loader,
    (tenant, camera): (Arc<Tenant>, &Id),
    placed: &Placed,
    terms: Terms,
    steps: &mut StepTimes,
) -> Result<CameraPlugin, Refusal> {
    let begin = Instant::now();
    let camera = camera.clone();
    let settings = serde_json::Value::Object(placed.entry.config.clone()).to_string();
    let (instances, plugin) = (loader.instances().clone(), Arc::clone(&placed.plugin));
    let of_tenant = Arc::clone(&tenant.id);
    let started = loader.run(&of_tenant, move || {
        let owner = (tenant, camera.as_str());
        CameraPlugin::start(&instances, plugin, owner, settings, terms)
    });
    let started = started.await;
    steps.add(Step::Configure, begin.elapsed());
    match started {
        Ok(Ok(instance)) => Ok(instance),
        Ok(Err(error @ ConfigureError::QuotaExceeded(_))) => {
            let refusal = ErrorCode::Quota.because(error.to_string());
            Err(Refusal { step: Some(Step::Configure), ..refusal })
        }
        Ok(Err(error)) => Err(Refusal::at(Step::Configure, error.to_string())),
        Err(error) => Err(Refusal::at(Step::Configure, error.to_string())),
    }
}
