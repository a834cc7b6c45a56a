//! Plugins for unit tests, small enough to compile in no time.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A component that calls itself so and declares one header. It analyses nothing.
pub(crate) fn component(name: &str, version: &str) -> Vec<u8> {
    build(name, version, "plugin", (1, ""))
}

/// As [`component`], with so many pages of memory from the beginning.
pub(crate) fn large(name: &str, pages: usize) -> Vec<u8> {
    build(name, "1.0.0", "plugin", (pages, ""))
}

/// As [`component`], and it exports `state`, with which it never comes to an end.
pub(crate) fn stateful(name: &str, version: &str) -> Vec<u8> {
    let state = r#"
        (func (export "comux:plugin/state@0.1.0#save") (result i32)
            (loop (br 0)) unreachable)
        (func (export "comux:plugin/state@0.1.0#restore")
            (param i32 i32 i32 i32 i32) (result i32) (loop (br 0)) unreachable)"#;
    build(name, version, "stateful-plugin", (1, state))
}

/// A component that never comes to an end of describing itself.
pub(crate) fn endless() -> Vec<u8> {
    // It is entered when the component is instantiated.
    build("endless", "1.0.0", "plugin", (1, "(func $loop (loop (br 0))) (start $loop)"))
}

fn build(name: &str, version: &str, world: &str, (pages, more): (usize, &str)) -> Vec<u8> {
    let word = |number: usize| -> String {
        (number as u32).to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect()
    };
    // The descriptor: name, version and a list of header names, each an address and a length.
    let descriptor = [(64, name.len()), (128, version.len()), (32, 1)];
    let descriptor = descriptor.map(|(at, length)| word(at) + &word(length)).concat();
    let (header_at, header) = (word(192) + &word(7), "test.ok");
    let module = format!(
        r#"(module
        (memory (export "memory") {pages})
        (data (i32.const 0) "{descriptor}")
        (data (i32.const 32) "{header_at}")
        (data (i32.const 64) "{name}")
        (data (i32.const 128) "{version}")
        (data (i32.const 192) "{header}")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
        (func (export "comux:plugin/lifecycle@0.1.0#describe") (result i32) i32.const 0)
        (func (export "comux:plugin/lifecycle@0.1.0#configure")
            (param i32 i32) (result i32) i32.const 256)
        (func (export "comux:plugin/frame-hook@0.1.0#on-frame")
            (param i32) (result i32) unreachable)
        {more})"#
    );
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
