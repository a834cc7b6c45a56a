//! Cameras that come and go, and what their process holds meanwhile.

use serde_json::json;

use crate::control::Control;
use crate::process::Comux;

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Its threads.
    pub threads: usize,
    /// Its files, sockets and the like.
    pub files: usize,
    /// Its memory, in bytes.
    pub memory: u64,
}

impl Held {
    /// What it holds now.
    #[must_use]
    pub fn by(comux: &Comux) -> Self {
        Self { threads: comux.threads(), files: comux.open_files(), memory: comux.memory() }
    }
}

/// The plugins that a camera has in its life.
pub const PLUGINS: [&str; 3] = ["brightness", "motion", "motion-next"];

/// A camera's whole life: it is created, changed, given other plugins and deleted.
pub fn life(control: &mut Control, id: &str) {
    let entry = |plugin: &str| json!({ "source": format!("{plugin}.wasm") });
    // A busy machine must not look like a fault, so it may lag and fall silent as much as it likes.
    control.done(
        "create",
        json!({
            "id": id, "mode": "live", "start": "end", "max_offset_diff": 1_000_000,
            "drain_after_ms": 60_000, "plugins": [entry("brightness")]
        }),
    );
    let deploy = |plugin: &str, replaces: &str| json!({ "id": id, "plugin": entry(plugin), "replaces": replaces, "probation": 0 });
    control.done("deploy", deploy("motion", "brightness"));
    control.done("deploy", deploy("motion-next", "motion"));
    control.done("update", json!({ "id": id, "rate": 5 }));
    control.done("update", json!({ "id": id, "codec": "h265" }));
    control.done("delete", json!({ "id": id }));
}
