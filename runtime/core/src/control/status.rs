//! `status`: what runs, with its counters, and what tenants use. It only looks.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::registry::{CameraView, Phase};
use crate::control::camera::ControlContext;
use crate::control::wire::{ErrorCode, PerhapsOneCamera, Refusal, Request, counted, result_fields};
use crate::plugin::sandbox::Meter;
use crate::tenancy::Tenant;

/// The fields of the answer to `status`.
///
/// # Errors
/// When it names a camera that is not there, or not theirs who ask.
pub(crate) fn status(
    context: &ControlContext,
    request: &Request,
) -> Result<Map<String, Value>, Refusal> {
    let PerhapsOneCamera { id } = request.fields()?;
    let reach = request.reach();
    let theirs =
        |view: &CameraView| reach.as_ref().is_none_or(|tenant| *tenant == view.spec.tenant);
    let (message, cameras) = match id {
        Some(id) => {
            let view = context.registry.view(id.as_str()).filter(theirs);
            let unknown = || ErrorCode::UnknownCamera.because(format!("no camera `{id}`"));
            let view = view.ok_or_else(unknown)?;
            let mut camera = describe(&view);
            camera.insert("spec".to_owned(), json!(view.spec.table()));
            (id.to_string(), vec![camera])
        }
        None => {
            let views = context.registry.views();
            let cameras: Vec<_> = views.iter().filter(|view| theirs(view)).map(describe).collect();
            (counted(cameras.len(), "camera"), cameras)
        }
    };
    let tenants = context.host.tenants.all();
    let tenants =
        tenants.filter(|tenant| reach.as_ref().is_none_or(|own| own.as_str() == &*tenant.id));
    let tenants: Vec<_> = tenants.map(|tenant| describe_tenant(tenant)).collect();
    let mut fields = result_fields("status", &Ok(message));
    fields.insert("cameras".to_owned(), json!(cameras));
    fields.insert("tenants".to_owned(), json!(tenants));
    Ok(fields)
}

fn describe(view: &CameraView) -> Map<String, Value> {
    let mut camera = Map::new();
    let mut put = |key: &str, value: Value| camera.insert(key.to_owned(), value);
    put("camera", view.spec.id.as_str().into());
    put("tenant", view.spec.tenant.as_str().into());
    put("generation", view.generation.into());
    let trouble = view.stats.trouble().filter(|_| view.phase == Phase::Running);
    put("phase", trouble.as_ref().map_or_else(|| json!(view.phase), |_| "no-analysis".into()));
    let now = Instant::now();
    if let Some((since, trouble)) = trouble {
        put("trouble", trouble.into());
        put("trouble_s", now.duration_since(since).as_secs().into());
    }
    put("plugins", view.plugins.clone().into());
    put("decode_threads", view.stats.decode_threads().into());
    let counts = view.stats.counts();
    let is_behind = counts.lag > i64::from(view.spec.max_offset_diff);
    put("behind", (is_behind && view.phase != Phase::Failed).into());
    put("counts", json!(counts));
    if let Some((time, recent)) = view.stats.recent(now) {
        put("recent", json!(recent));
        put("recent_s", time.as_secs().into());
    }
    let used = view.stats.plugins();
    put("plugins_usage", used.iter().map(|meter| describe_usage(meter)).collect());
    if let Some(error) = &view.error {
        put("error", error.as_str().into());
    }
    camera
}

/// What a plugin of a camera has used.
fn describe_usage(meter: &Meter) -> Value {
    let mut used = json!(meter.counts());
    if let Value::Object(fields) = &mut used {
        fields.insert("plugin".to_owned(), meter.plugin.as_str().into());
        fields.insert("breaker".to_owned(), json!(meter.breaker()));
        fields.insert("metrics".to_owned(), json!(meter.metrics.snapshot()));
        if let Some(failure) = meter.last_failure() {
            fields.insert("last_failure".to_owned(), failure.into());
        }
        if let Some(batches) = &meter.batches {
            fields.insert("batches".to_owned(), json!(batches.summary()));
        }
    }
    used
}

/// What a tenant has used since the start of the node, and what it may use.
fn describe_tenant(tenant: &Tenant) -> Value {
    let mut used = json!(tenant.usage());
    if let Value::Object(fields) = &mut used {
        fields.insert("tenant".to_owned(), (*tenant.id).into());
        fields.insert("quota".to_owned(), json!(tenant.quota));
        let (instances, memory_mb) = tenant.held();
        fields.insert("instances".to_owned(), instances.into());
        fields.insert("memory_mb".to_owned(), memory_mb.into());
    }
    used
}
