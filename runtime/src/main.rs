//! The command `comux`.

mod commands;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use commands::{Command, Failure};
use comux::plugin::compile_plugin;

/// Runs sandboxed WebAssembly plugins on live video in Kafka.
#[derive(Parser)]
#[command(name = "comux", version, arg_required_else_help = true)]
struct Arguments {
    /// How log lines look, on stderr.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace; `comux=debug,warn` by module.
    #[arg(long, global = true, value_name = "LEVEL", env = "COMUX_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A process without log, threads and connections, which has only limits besides.
    if let Command::CompilePlugin(arguments) = arguments.command {
        return compile_plugin(arguments.into());
    }
    let level = arguments.log.as_deref().unwrap_or(arguments.command.default_log());
    let result = start_logging(level, arguments.log_format).and_then(|()| {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let tokio = tokio.map_err(Failure::failed)?;
        let result = tokio.block_on(arguments.command.run());
        // Cameras that still wait for an unreachable broker must not hold up the end.
        tokio.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => complain(&error, 2),
        Err(Failure::Failed(error)) => complain(&error, 1),
    }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("comux: {error:#}");
    ExitCode::from(code)
}

fn start_logging(level: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(level)
        .map_err(|error| Failure::usage(anyhow::anyhow!("--log {level}: {error}")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    // What libavcodec thinks of broken video is in the records' reasons; its own lines have neither
    // camera nor level.
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    Ok(())
}
