//! `comux compile-plugin`, which comux itself calls.

use comux::plugin::compile::ChildArguments;
use comux::policy::Digest;

/// What [`ChildArguments`] says, in its order.
#[derive(clap::Args)]
pub struct Arguments {
    parent: u32,
    engine: Digest,
    memory: u64,
    cpu_seconds: u64,
    code_bytes: u64,
}

impl From<Arguments> for ChildArguments {
    fn from(arguments: Arguments) -> Self {
        let Arguments { parent, engine, memory, cpu_seconds, code_bytes } = arguments;
        Self { parent, engine, memory, cpu_seconds, code_bytes }
    }
}
