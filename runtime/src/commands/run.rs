//! `comux run`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use comux::config::Config;
use comux::preflight::{Finding, preflight};
use comux::runtime::{CameraReport, Runtime};

use super::{Failure, stop_requested};

/// How long cameras may take to give out what they have received, once told to stop.
const DRAIN: Duration = Duration::from_secs(60);
/// How often cameras that stopped by themselves are looked for.
const SUPERVISION: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  comux run
  comux run --config /etc/comux.toml --log-format json")]
pub struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "comux.toml")]
    config: PathBuf,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config).map_err(Failure::usage)?;
    let plugins = preflight(&config, |finding| {
        if let Finding::Topics { camera, created } = finding
            && !created.is_empty()
        {
            tracing::info!(camera, topics = created.join(","), "topics created");
        }
    })
    .await
    .map_err(Failure::usage)?;
    let stop = stop_requested();
    let runtime = Runtime::start(&config, &plugins).map_err(Failure::failed)?;
    tracing::info!(instance = config.name.as_str(), cameras = runtime.cameras().len(), "running");
    tokio::select! {
        stopped = stop => stopped?,
        () = all_cameras_ended(&runtime) => {}
    }
    tracing::info!("stopping: in-flight frames finish, output is acknowledged, offsets committed");
    let reports = tokio::select! {
        reports = tokio::task::spawn_blocking(|| runtime.stop()) => {
            reports.map_err(Failure::failed)?
        }
        () = tokio::time::sleep(DRAIN) => {
            return Err(Failure::failed(anyhow!(
                "output was not acknowledged within {} s of the stop; what is not acknowledged is \
                 consumed again at the next start",
                DRAIN.as_secs()
            )));
        }
    };
    let stopped_early = reports.iter().filter(|report| report.error.is_some()).count();
    for report in &reports {
        log_report(report);
    }
    match stopped_early {
        0 => Ok(()),
        count => Err(Failure::failed(anyhow!("{count} cameras had stopped by themselves"))),
    }
}

/// Resolves when no camera is left to run; never, when there was none.
async fn all_cameras_ended(runtime: &Runtime) {
    loop {
        tokio::time::sleep(SUPERVISION).await;
        let cameras = runtime.cameras();
        if !cameras.is_empty() && cameras.iter().all(comux::camera::Camera::has_ended) {
            return;
        }
    }
}

fn log_report(report: &CameraReport) {
    let (spec, counts) = (&report.spec, &report.counts);
    tracing::info!(
        camera = spec.id.as_str(),
        tenant = spec.tenant.as_str(),
        received = counts.received,
        analysed = counts.analysed,
        passthrough = counts.passthrough,
        skipped = serde_json::to_string(&counts.skipped).unwrap_or_default(),
        failed = serde_json::to_string(&counts.failed).unwrap_or_default(),
        plugin_restarts = counts.plugin_restarts,
        "camera stopped"
    );
}
