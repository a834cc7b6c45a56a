//! The bindings that wasmtime generates from `wit/`.

/// Stands for a frame of the call under way. The canonical ABI sees to it that a plugin can't keep
/// the handle of a single one; those of a batch it can, and learns nothing by them later.
pub struct FrameHandle;

/// What every plugin has.
#[allow(missing_docs, dead_code, clippy::all, reason = "generated")]
mod plugin {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "plugin",
        imports: { default: trappable },
        with: { "comux:plugin/frames.frame": crate::plugin::sandbox::bindings::FrameHandle },
    });
}

/// What a plugin may have besides, as a world of its own: in `stateful-plugin` all the rest
/// would be generated a second time.
#[allow(missing_docs, dead_code, clippy::all, reason = "generated")]
mod optional {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "package comux:host;
            world optional {
                export comux:plugin/batch-hook@0.1.0;
                export comux:plugin/state@0.1.0;
            }",
        world: "comux:host/optional",
        with: {
            "comux:plugin/types": super::plugin::comux::plugin::types,
            "comux:plugin/frames": super::plugin::comux::plugin::frames,
        },
    });
}

pub use plugin::{Plugin, PluginIndices, comux};

/// As the generated modules are called.
pub mod exports {
    pub mod comux {
        pub mod plugin {
            pub use super::super::super::optional::exports::comux::plugin::{batch_hook, state};
            pub use super::super::super::plugin::exports::comux::plugin::lifecycle;
        }
    }
}
