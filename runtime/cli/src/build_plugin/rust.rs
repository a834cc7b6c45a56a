//! From a crate to a component: with the compiler for `wasm32-unknown-unknown` that this machine
//! has.

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{CrateType, Metadata, MetadataCommand, Target};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wit_component::ComponentEncoder;

use super::component::{Built, check_interface};

/// What makes a directory a crate.
pub const MANIFEST: &str = "Cargo.toml";

const TARGET: &str = "wasm32-unknown-unknown";

/// For plugins whatever the author's own profiles say: they are run far more often than built,
/// and what unwinding, symbols and debug information would be for stays outside the sandbox.
const PROFILE: [&str; 6] = [
    "profile.release.opt-level=3",
    "profile.release.lto=true",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    "profile.release.strip=true",
    "profile.release.debug=false",
];

/// Every host that comux runs on has 128-bit SIMD, and wasmtime compiles it.
const FLAGS: &str = "target.wasm32-unknown-unknown.rustflags=[\"-Ctarget-feature=+simd128\"]";

const NO_COMPILER: &str = "no Rust compiler for wasm32-unknown-unknown was found\n\
    where rustup can download it: rustup target add wasm32-unknown-unknown\n\
    on Debian: apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld-22";

/// A compiler for [`TARGET`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toolchain {
    /// The usual `cargo` and `rustc`, with the target's standard library installed.
    Installed,
    /// Debian's packages, which bring the standard library as source.
    Debian,
}

/// The library of a crate that is to become a plugin.
#[derive(Debug, PartialEq, Eq)]
struct PluginCrate {
    /// The package's name, which is the component's file name.
    package: String,
    /// The library's name, which is the module's file name.
    library: String,
    manifest: PathBuf,
    target_directory: PathBuf,
}

/// Compiles the crate in `crate_dir`; the component's name, the directory of what is built, and the
/// component.
pub fn compile(crate_dir: &Path) -> Result<Built> {
    let plugin = PluginCrate::find(crate_dir)?;
    let toolchain = Toolchain::find(crate_dir)?;
    let module_path = toolchain.compile(crate_dir, &plugin)?;
    let module = std::fs::read(&module_path)
        .with_context(|| format!("can't read the module {}", module_path.display()))?;
    let component = to_component(&module)
        .with_context(|| format!("package {} can't become a plugin", plugin.package))?;
    Ok(Built { name: plugin.package, target_directory: plugin.target_directory, component })
}

impl PluginCrate {
    fn find(crate_dir: &Path) -> Result<Self> {
        let manifest = crate_dir.join(MANIFEST);
        let manifest = manifest.canonicalize().with_context(|| {
            format!("{} is no crate: it has no Cargo.toml", crate_dir.display())
        })?;
        let mut cargo = MetadataCommand::new();
        cargo.cargo_path(usual_cargo()).manifest_path(&manifest).current_dir(crate_dir).no_deps();
        let metadata = match cargo.exec() {
            Err(cargo_metadata::Error::Io(error)) => bail!(
                "can't run cargo: {error}; install Rust from https://rustup.rs or your distribution"
            ),
            metadata => {
                metadata.with_context(|| format!("cargo can't read {}", manifest.display()))?
            }
        };
        Self::from_metadata(&metadata, manifest)
    }

    fn from_metadata(metadata: &Metadata, manifest: PathBuf) -> Result<Self> {
        let package = metadata.packages.iter().find(|package| package.manifest_path == manifest);
        let package = package.with_context(|| {
            format!("{} has no package: name the directory of one crate", manifest.display())
        })?;
        let is_module = |target: &&Target| target.crate_types.contains(&CrateType::CDyLib);
        let library = package.targets.iter().find(is_module).with_context(|| {
            format!(
                "{} builds no module: add\n[lib]\ncrate-type = [\"cdylib\"]",
                manifest.display()
            )
        })?;
        Ok(Self {
            package: package.name.to_string(),
            library: library.name.clone(),
            target_directory: metadata.target_directory.clone().into(),
            manifest,
        })
    }
}

impl Toolchain {
    fn find(crate_dir: &Path) -> Result<Self> {
        if target_is_installed(crate_dir) {
            return Ok(Self::Installed);
        }
        let debian = [
            "/usr/bin/rustc",
            "/usr/bin/cargo",
            "/usr/lib/rustlib/src/rust/library/std/Cargo.toml",
        ];
        let has_linker =
            ["/usr/bin/rust-lld", "/usr/bin/wasm-ld"].iter().any(|path| Path::new(path).exists());
        if has_linker && debian.iter().all(|path| Path::new(path).exists()) {
            return Ok(Self::Debian);
        }
        bail!(NO_COMPILER)
    }

    fn cargo(self) -> Command {
        match self {
            Self::Installed => Command::new(usual_cargo()),
            Self::Debian => debian_cargo(),
        }
    }

    /// Gives the path of the compiled module.
    fn compile(self, crate_dir: &Path, plugin: &PluginCrate) -> Result<PathBuf> {
        // Beside the native build, which would otherwise wait for this one and the reverse.
        let target_dir = plugin.target_directory.join("plugin-build");
        let mut cargo = self.cargo();
        cargo
            .current_dir(crate_dir)
            .args(["build", "--release", "--lib", "--target", TARGET])
            .arg("--manifest-path")
            .arg(&plugin.manifest)
            .arg("--target-dir")
            .arg(&target_dir)
            .args(["--config", FLAGS])
            // Flags meant for the host's processor and linker, which would hide ours.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .stdin(Stdio::null());
        for setting in PROFILE {
            cargo.args(["--config", setting]);
        }
        if !std::io::stderr().is_terminal() {
            cargo.arg("--quiet");
        }
        if self == Self::Debian {
            cargo.arg("-Zbuild-std=std,panic_abort");
        }
        // Our own standard output belongs to our caller's results.
        cargo.stdout(std::io::stderr());
        let status = cargo.status().context("can't run cargo")?;
        ensure!(
            status.success(),
            "package {} does not compile; see cargo's messages above",
            plugin.package
        );
        Ok(target_dir.join(TARGET).join("release").join(format!("{}.wasm", plugin.library)))
    }
}

/// The cargo that runs us, when one does; else that of the `PATH`.
fn usual_cargo() -> PathBuf {
    std::env::var_os("CARGO")
        .filter(|cargo| !cargo.is_empty())
        .map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// Asks the compiler that cargo would use where it keeps the target's standard library.
fn target_is_installed(crate_dir: &Path) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(crate_dir)
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        let directory = String::from_utf8_lossy(&output.stdout);
        output.status.success() && Path::new(directory.trim_end()).is_dir()
    })
}

/// Debian's cargo with Debian's compiler, whatever toolchain runs us.
fn debian_cargo() -> Command {
    let mut cargo = Command::new("/usr/bin/cargo");
    for (name, _) in std::env::vars_os() {
        let redirects = name.to_str().is_some_and(|name| {
            name.starts_with("RUSTUP_") || name.starts_with("RUSTC") || name == "CARGO"
        });
        if redirects {
            cargo.env_remove(name);
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories =
        std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(directories) {
        cargo.env("PATH", path);
    }
    cargo
        // Under `cargo run` it leads to the libraries of that toolchain.
        .env_remove("LD_LIBRARY_PATH")
        .env("RUSTC", "/usr/bin/rustc")
        // Building the standard library is not yet stable.
        .env("RUSTC_BOOTSTRAP", "1");
    cargo
}

/// Makes a component of a module that carries its interface, as `comux-sdk` embeds it.
fn to_component(module: &[u8]) -> Result<Vec<u8>> {
    let component = ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .context(
            "its module can't be made a component: a plugin may import nothing but comux:plugin, \
             so look for a dependency that needs an operating system or JavaScript (wasm-bindgen, \
             getrandom's `wasm_js`, C code) and remove it or its feature",
        )?;
    check_interface(&component)?;
    Ok(component)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn target(name: &str, kind: &str) -> Value {
        json!({ "name": name, "kind": [kind], "crate_types": [kind], "src_path": "" })
    }

    fn metadata(crate_type: &str) -> Metadata {
        let package = |name: &str, directory: &str, targets: &[Value]| {
            json!({
                "name": name, "version": "0.1.0", "id": name, "dependencies": [], "features": {},
                "manifest_path": format!("/there/{directory}/Cargo.toml"), "targets": targets,
            })
        };
        let mine = [target("main", "bin"), target("my_plugin", crate_type)];
        serde_json::from_value(json!({
            "version": 1, "workspace_root": "/there", "target_directory": "/there/target",
            "workspace_members": [], "resolve": null,
            "packages": [package("other", "other", &[]), package("my-plugin", "mine", &mine)],
        }))
        .unwrap()
    }

    #[test]
    fn the_crate_is_found_among_its_workspace() {
        let manifest = PathBuf::from("/there/mine/Cargo.toml");
        let found = PluginCrate::from_metadata(&metadata("cdylib"), manifest.clone()).unwrap();
        let expected = PluginCrate {
            package: "my-plugin".to_owned(),
            library: "my_plugin".to_owned(),
            manifest,
            target_directory: "/there/target".into(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_crate_that_builds_no_module_is_refused_with_the_remedy() {
        let manifest = PathBuf::from("/there/mine/Cargo.toml");
        let refusal = PluginCrate::from_metadata(&metadata("lib"), manifest).unwrap_err();
        assert!(refusal.to_string().contains(r#"crate-type = ["cdylib"]"#));
    }

    #[test]
    fn a_module_without_an_interface_is_no_plugin() {
        const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";
        let refusal = to_component(EMPTY_MODULE).unwrap_err();
        assert!(format!("{refusal:#}").contains("comux_sdk::export!"), "{refusal:#}");
    }
}
