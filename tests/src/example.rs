//! An application that embeds the library: one of its examples.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::broker::dies_with_this_thread;
use crate::home::Home;
use crate::process::Config;
use crate::profile_dir;

/// A running example of the library, such as `target/debug/examples/custom_action`.
pub struct Example {
    process: Child,
    _home: Home,
}

impl Example {
    /// Starts it with `--config`.
    ///
    /// # Panics
    /// When it is not built.
    #[must_use]
    pub fn run_in(home: &Home, name: &str, config: &Config) -> Self {
        let file = home.path().join("comux.toml");
        fs::write(&file, config.text()).unwrap();
        let binary = profile_dir().join("examples").join(name);
        assert!(binary.is_file(), "{} is missing; `make test` builds it", binary.display());
        let process = dies_with_this_thread(&mut Command::new(binary))
            .arg("--config")
            .arg(&file)
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, _home: home.clone() }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
