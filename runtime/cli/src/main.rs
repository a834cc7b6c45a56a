//! The command `comux`.
#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "`output` shows what is printed safely"
)]

mod build_plugin;
mod commands;
mod logging;
mod new_plugin;
mod output;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use commands::{Command, Failure};
use comux::plugin::compile::compile_plugin;
use logging::{Log, LogFormat};
use output::{escaped, print_note};

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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A process without log, threads and connections, which has only limits besides.
    if let Command::CompilePlugin(arguments) = arguments.command {
        return compile_plugin(arguments.into());
    }
    let log = match Log::start() {
        Ok(log) => log,
        Err(error) => {
            let advice = "raise the limit of threads";
            print_note(format_args!("comux: no thread for the log: {error}; {advice}"));
            return ExitCode::FAILURE;
        }
    };
    let result = run(arguments, &log);
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => complain(&log, &error, 2),
        Err(Failure::Failed(error)) => complain(&log, &error, 1),
    };
    log.flush_all();
    code
}

fn run(arguments: Arguments, log: &Log) -> Result<(), Failure> {
    let levels = arguments.log.as_deref().unwrap_or(arguments.command.default_log());
    log.subscribe(levels, arguments.log_format).map_err(Failure::usage)?;
    // What libavcodec thinks of broken video is in the records' reasons; its own lines have neither
    // camera nor level.
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tokio = tokio.map_err(Failure::failed)?;
    let result = tokio.block_on(arguments.command.run());
    // Cameras that still wait for an unreachable broker must not hold up the end.
    tokio.shutdown_background();
    result
}

/// Behind the last line of the log, and no more than that waited for.
fn complain(log: &Log, error: &anyhow::Error, code: u8) -> ExitCode {
    let text = format!("{error:#}");
    // What is wrong in a file may be shown on lines of its own; it is the user's.
    let lines: Vec<_> = match code {
        2 => text.lines().map(escaped).collect(),
        _ => vec![escaped(&text)],
    };
    // It always takes a line, or counts it.
    let _ = log.clone().write_all(format!("comux: {}\n", lines.join("\n")).as_bytes());
    ExitCode::from(code)
}
