//! `comux plugin …`

use std::path::PathBuf;

use clap::Subcommand;
use comux::plugin::Shelf;

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
    /// Put a plugin into a store, as NAME@VERSION.wasm; prints its sha256 and that file.
    #[command(after_help = "Examples:
  comux plugin add motion.wasm
  comux plugin add motion.wasm --store /srv/comux/plugins")]
    Add {
        /// The component.
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
        /// The store: the `plugin_dir` of a configuration.
        #[arg(long, value_name = "DIR", default_value = "plugins")]
        store: PathBuf,
        /// Replace another one with the same name and version.
        #[arg(long)]
        force: bool,
    },
    /// List the plugins of a store: NAME@VERSION, sha256 and bytes.
    List {
        /// The store: the `plugin_dir` of a configuration.
        #[arg(long, value_name = "DIR", default_value = "plugins")]
        store: PathBuf,
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Build { crate_dir, out } => {
            let component =
                comux::author::build(&crate_dir, out.as_deref()).map_err(Failure::failed)?;
            println!("{}", component.display());
        }
        Command::Add { file, store, force } => {
            let added = Shelf::new(&store).add(&file, force).map_err(Failure::failed)?;
            // As `sha256sum` prints it, and takes it back with --check.
            println!("{}  {}", added.sha256, added.path.display());
        }
        Command::List { store, json } => {
            let plugins = Shelf::new(&store).list().map_err(Failure::failed)?;
            if json {
                println!("{}", serde_json::to_string_pretty(&plugins).map_err(Failure::failed)?);
                return Ok(());
            }
            let sources =
                plugins.iter().map(|plugin| format!("{}@{}", plugin.name, plugin.version));
            let sources: Vec<_> = sources.collect();
            let width = sources.iter().map(String::len).max().unwrap_or_default();
            for (source, plugin) in sources.iter().zip(&plugins) {
                println!("{source:width$}  {}  {:>9}", plugin.sha256, plugin.bytes);
            }
        }
    }
    Ok(())
}
