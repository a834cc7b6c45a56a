//! `comux plugin …`

mod bench;
mod check;
mod local_host;
mod play;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Subcommand;
use comux::plugin::{PluginStore, sign_file, signatures_of};
use comux::policy::{PrivateKey, PublicKey};

use super::failure::Failure;
use crate::new_plugin::Language;
use crate::output::{print_json, print_line, print_note};

#[derive(Subcommand)]
pub enum Command {
    /// Make a project for a plugin, which builds and passes its tests as it is.
    #[command(after_help = "Examples:
  comux plugin new gate-counter
  comux plugin new gate-counter --lang python
  comux plugin new ~/plugins/gate-counter")]
    New {
        /// The project's directory, whose name is the plugin's.
        #[arg(value_name = "NAME")]
        directory: PathBuf,
        /// What it is written in.
        #[arg(long = "lang", value_name = "LANGUAGE", default_value = "rust")]
        language: Language,
    },
    /// Make a plugin component of a project in Rust, JavaScript or Python.
    #[command(after_help = "Examples:
  comux plugin build                        the project in this directory
  comux plugin build plugins/motion
  comux plugin build my-plugin --out my-plugin.wasm")]
    Build {
        /// The project's directory, with a Cargo.toml, package.json or pyproject.toml.
        #[arg(default_value = ".")]
        directory: PathBuf,
        /// Where the component goes; `plugins/` in the project's target directory when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Explain plugins, and tell what a host would refuse of them.
    Check(check::Arguments),
    /// Run plugins on a video, without Kafka, and show what they say of each frame.
    Run(play::Arguments),
    /// Measure what a plugin's calls cost on a video, alone or beside another's.
    Bench(bench::Arguments),
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
    /// Make a key to sign plugins with; prints the public key, for `trusted_keys` in comux.toml.
    #[command(after_help = "Examples:
  comux plugin keygen --out release.pem
  openssl genpkey -algorithm ed25519 -out release.pem     makes such a key as well")]
    Keygen {
        /// Where the private key goes: a new file, for you alone to read.
        #[arg(long, value_name = "FILE.pem")]
        out: PathBuf,
    },
    /// Sign a plugin: the signature becomes a part of the file; prints the public key.
    #[command(after_help = "Examples:
  comux plugin sign motion.wasm --key release.pem
  comux plugin sign motion.wasm --key release.pem --out signed/motion.wasm")]
    Sign {
        /// The component.
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
        /// The private key.
        #[arg(long, value_name = "FILE.pem")]
        key: PathBuf,
        /// Where the signed component goes; it replaces FILE.wasm when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Tell who signed a plugin; with --key, exit code 1 unless it was that key's holder.
    #[command(after_help = "Examples:
  comux plugin verify motion.wasm
  comux plugin verify motion.wasm --key ed25519:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=")]
    Verify {
        /// The component.
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
        /// The public key of who should have signed it.
        #[arg(long)]
        key: Option<PublicKey>,
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
        Command::New { directory, language } => {
            let name = crate::new_plugin::create(&directory, language).map_err(Failure::usage)?;
            let path = directory.display().to_string();
            print_line(&path);
            print_note(format_args!("{name}: next, `cd {path}` and the commands in its README.md"));
        }
        Command::Check(arguments) => check::run(&arguments)?,
        Command::Run(arguments) => play::run(&arguments)?,
        Command::Bench(arguments) => bench::run(&arguments)?,
        Command::Build { directory, out } => {
            let component =
                crate::build_plugin::build(&directory, out.as_deref()).map_err(Failure::failed)?;
            print_line(component.display());
        }
        Command::Add { file, store, force } => {
            let added = PluginStore::new(&store).add(&file, force).map_err(Failure::failed)?;
            // As `sha256sum` prints it, and takes it back with --check.
            print_line(format_args!("{}  {}", added.sha256, added.path.display()));
        }
        Command::Keygen { out } => {
            let key = PrivateKey::generate().map_err(Failure::failed)?;
            key.write_new(&out).map_err(Failure::failed)?;
            print_line(key.public());
        }
        Command::Sign { file, key, out } => {
            let key = PrivateKey::read(&key).map_err(Failure::failed)?;
            let out = out.as_deref().unwrap_or(&file);
            sign_file(&file, &key, out).map_err(Failure::failed)?;
            print_line(key.public());
        }
        Command::Verify { file, key } => verify(&file, key)?,
        Command::List { store, json } => {
            let plugins = PluginStore::new(&store).list().map_err(Failure::failed)?;
            if json {
                print_json(&plugins)?;
                return Ok(());
            }
            let sources =
                plugins.iter().map(|plugin| format!("{}@{}", plugin.name, plugin.version));
            let sources: Vec<_> = sources.collect();
            let width = sources.iter().map(String::len).max().unwrap_or_default();
            for (source, plugin) in sources.iter().zip(&plugins) {
                print_line(format_args!("{source:width$}  {}  {:>9}", plugin.sha256, plugin.bytes));
            }
        }
    }
    Ok(())
}

fn verify(file: &Path, wanted: Option<PublicKey>) -> Result<(), Failure> {
    let signatures = signatures_of(file).map_err(Failure::failed)?;
    for signature in &signatures {
        let signer = signature.key.map_or("no key".to_owned(), |key| key.to_string());
        match signature.is_valid {
            true => print_line(format_args!("✔ {signer}")),
            false => print_line(format_args!(
                "✘ {signer}: not of this component, which was changed since"
            )),
        }
    }
    let path = file.display();
    match wanted {
        Some(key) if !signatures.iter().any(|it| it.is_valid && it.key == Some(key)) => {
            Err(Failure::failed(anyhow!("`{path}` is not signed by {key}")))
        }
        None if signatures.is_empty() => {
            print_line(format_args!("`{path}` is not signed; `comux plugin sign` does that"));
            Ok(())
        }
        _ => Ok(()),
    }
}
