//! `comux run`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use comux::config::Config;
use comux::control::Actions;
use comux::control::camera::CameraReport;
use comux::control::wire::counted;
use comux::plugin::compile::Compiler;
use comux::runtime::Runtime;

use super::failure::Failure;
use super::stop::stop_requested;

/// How long cameras may take to give out what they have received, once told to stop.
const DRAIN: Duration = Duration::from_secs(60);

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
    let mut config = Config::load(&arguments.config).map_err(Failure::usage)?;
    config.compiler = Compiler::this_program();
    let name = config.name.clone();
    let mut stop = std::pin::pin!(stop_requested()?);
    let runtime = Runtime::start(config, Actions::default()).await.map_err(Failure::of_start)?;
    tracing::info!(node = name.as_str(), cameras = runtime.cameras().len(), "running");
    let successor = tokio::select! {
        () = &mut stop => None,
        successor = runtime.successor() => Some(successor),
    };
    if let Some(successor) = &successor {
        tracing::warn!("{successor} has the name `{name}` too, and takes over");
    }
    tracing::info!("stopping: in-flight frames finish, output is acknowledged, offsets committed");
    let reports = tokio::select! {
        reports = runtime.stop() => reports,
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
    if let Some(successor) = successor {
        return Err(Failure::failed(anyhow!(
            "{successor} has the name `{name}` too, and has taken over; two nodes that run at once \
             need two names"
        )));
    }
    match stopped_early {
        0 => Ok(()),
        count => {
            let cameras = counted(count, "camera");
            Err(Failure::failed(anyhow!("{cameras} had stopped by themselves")))
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
