//! `comux check`

use std::path::PathBuf;

use comux::config::Config;
use comux::control::wire::counted;
use comux::plugin::compile::Compiler;
use comux::preflight::{Finding, preflight};

use super::failure::Failure;
use crate::output::print_line;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  comux check --config comux.toml")]
pub struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "comux.toml")]
    config: PathBuf,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut config = Config::load(&arguments.config).map_err(Failure::usage)?;
    config.compiler = Compiler::this_program();
    print_line(format_args!(
        "✔ configuration {}: {}",
        arguments.config.display(),
        counted(config.cameras.len(), "camera")
    ));
    preflight(&config, |finding| match finding {
        Finding::Plugin { camera, identity } => {
            print_line(format_args!("✔ camera {camera}: plugin {identity}"))
        }
        Finding::Cluster(servers) => print_line(format_args!("✔ Kafka at {servers}")),
        Finding::Control => print_line(format_args!("✔ topics of control")),
        Finding::Topics { camera, created } if created.is_empty() => {
            print_line(format_args!("✔ camera {camera}: topics"));
        }
        Finding::Topics { camera, created } => {
            print_line(format_args!("✔ camera {camera}: topics (created {})", created.join(", ")));
        }
        Finding::Warning { camera, warning } => {
            print_line(format_args!("⚠ camera {camera}: {warning}"));
        }
    })
    .await
    .map_err(Failure::of_check)
}
