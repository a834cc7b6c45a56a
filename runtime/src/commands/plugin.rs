//! `comux plugin …`

use std::path::PathBuf;

use clap::Subcommand;

use super::Failure;

#[derive(Subcommand)]
pub enum Command {
    /// Compile a Rust crate into a plugin component.
    #[command(after_help = "Examples:
  comux plugin build                        the crate in this directory
  comux plugin build plugins/motion
  comux plugin build my-plugin --out my-plugin.wasm")]
    Build {
        /// The crate's directory.
        #[arg(default_value = ".")]
        crate_dir: PathBuf,
        /// Where the component goes; `plugins/` in the crate's target directory when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Build { crate_dir, out } => {
            let component =
                comux::author::build(&crate_dir, out.as_deref()).map_err(Failure::failed)?;
            println!("{}", component.display());
            Ok(())
        }
    }
}
