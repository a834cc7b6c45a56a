//! What users type: one module for each command.

mod broker;
mod check;
mod compile_plugin;
mod control;
mod demo;
mod failure;
mod follow;
mod nodes;
mod plugin;
mod publish;
mod report;
mod run;
mod status;
mod stop;
mod watch;

use clap::Subcommand;

pub use failure::Failure;

#[derive(Subcommand)]
pub enum Command {
    /// Run the cameras of a configuration until SIGTERM or Ctrl-C.
    Run(run::Arguments),
    /// See the whole job at work: broker, cameras, plugins and results, in this one process.
    Demo(demo::Arguments),
    /// Run the embedded broker alone, in memory, and print its address.
    Broker(broker::Arguments),
    /// Send a file, device or URL to a camera's topic, one packet per record.
    Publish(publish::Arguments),
    /// Follow the results of cameras.
    Watch(watch::Arguments),
    /// Show how the cameras of all nodes are, what is wrong first.
    Status(status::Arguments),
    /// Send a command to running nodes, and print the answer.
    Control(control::Arguments),
    /// Check everything that can fail at start, each with its remedy.
    Check(check::Arguments),
    /// Compile the component on standard input: what `run` has done by a process of its own.
    #[command(hide = true)]
    CompilePlugin(compile_plugin::Arguments),
    /// Work on plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
}

impl Command {
    /// What is logged when the user does not say: life-cycle for a service, trouble otherwise.
    pub fn default_log(&self) -> &'static str {
        match self {
            Self::Run(_) => "info",
            _ => "error",
        }
    }

    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Run(arguments) => run::run(arguments).await,
            Self::Demo(arguments) => demo::run(arguments).await,
            Self::Broker(arguments) => broker::run(arguments).await,
            Self::Publish(arguments) => publish::run(arguments).await,
            Self::Watch(arguments) => watch::run(arguments).await,
            Self::Status(arguments) => status::run(arguments).await,
            Self::Control(arguments) => control::run(arguments).await,
            Self::Check(arguments) => check::run(arguments).await,
            // It began without this runtime.
            Self::CompilePlugin(_) => Ok(()),
            Self::Plugin(command) => {
                let running = tokio::task::spawn_blocking(|| plugin::run(command));
                running.await.map_err(Failure::failed)?
            }
        }
    }
}
