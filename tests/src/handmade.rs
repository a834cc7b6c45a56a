//! Components that no tool would make of somebody's code.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::tests_dir;

/// A plugin `handmade@1.0.0` with no header to write and one memory, made of text: `fields` stand
/// in its core module, and `on_frame` is done with each fifth frame.
///
/// # Panics
/// When they are none of WebAssembly.
#[must_use]
pub fn plugin(fields: &str, on_frame: &str) -> Vec<u8> {
    // The descriptor at 0: name, version and no headers, each an address and a length. A frame's
    // answer at 512 and that of `configure` at 256: zeros mean that it went well, and gave nothing.
    let module = format!(
        r#"(module
        (import "comux:plugin/frames@0.1.0" "[resource-drop]frame" (func $give_back (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\40\00\00\00\08\00\00\00\80\00\00\00\05\00\00\00")
        (data (i32.const 64) "handmade")
        (data (i32.const 128) "1.0.0")
        (global $frames (mut i32) (i32.const 0))
        {fields}
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
        (func (export "comux:plugin/lifecycle@0.1.0#describe") (result i32) i32.const 0)
        (func (export "comux:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32)
            i32.const 256)
        (func (export "comux:plugin/frame-hook@0.1.0#on-frame") (param i32) (result i32)
            (call $give_back (local.get 0))
            (global.set $frames (i32.add (global.get $frames) (i32.const 1)))
            (if (i32.eqz (i32.rem_u (global.get $frames) (i32.const 5))) (then {on_frame}))
            i32.const 512))"#
    );
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(tests_dir().join("../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A component, and in it `count` instances more, of a core module with these fields that imports
/// nothing.
///
/// # Panics
/// When they are none of WebAssembly, or it is no component.
#[must_use]
pub fn with_instances(component: &[u8], fields: &str, count: u32) -> Vec<u8> {
    let module = wat::parse_str(format!("(module {fields})")).unwrap();
    // `instantiate`, which module, no arguments.
    let instance = [&[0][..], &leb128(core_modules(component)), &[0]].concat();
    let instances = [leb128(count), instance.repeat(count as usize)].concat();
    [component, &section(CORE_MODULE, &module), &section(CORE_INSTANCES, &instances)].concat()
}

const CORE_MODULE: u8 = 1;
const CORE_INSTANCES: u8 = 2;

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&[id][..], &leb128(length), content].concat()
}

/// How many core modules a component has, not counting those of components in it.
fn core_modules(component: &[u8]) -> u32 {
    let (mut at, mut count) = (8, 0);
    while let Some(id) = component.get(at) {
        let (mut length, mut shift) = (0, 0);
        loop {
            at += 1;
            length |= usize::from(component[at] & 0x7f) << shift;
            shift += 7;
            if component[at] < 0x80 {
                break;
            }
        }
        count += u32::from(*id == CORE_MODULE);
        at += 1 + length;
    }
    count
}

fn leb128(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A component that takes the compiler long: functions of many instructions, with variables that
/// are all alive.
///
/// # Panics
/// Never.
#[must_use]
pub fn slow_to_compile(functions: usize) -> Vec<u8> {
    let body = "(local.set 0 (i64.add (i64.mul (local.get 0) (local.get 1)) (local.get 2)))\
                (if (i64.eqz (local.get 0)) (then (local.set 1 (i64.const 7))))"
        .repeat(4000);
    let function = format!("(func (local i64 i64 i64) {body})");
    wat::parse_str(format!("(component (core module {}))", function.repeat(functions))).unwrap()
}

/// A small component that the compiler comes to no end with, and needs ever more memory for: in it
/// are forty, each of which makes two instances of the one before.
///
/// # Panics
/// Never.
#[must_use]
pub fn endless_to_compile() -> Vec<u8> {
    let doubling: String = (1..40)
        .map(|n| {
            let before = n - 1;
            let alias = format!("(alias outer $top $c{before} (component $b))");
            format!(
                "(component $c{n} {alias} (instance (instantiate $b)) (instance (instantiate $b)))"
            )
        })
        .collect();
    let text = format!(
        "(component $top (core module $m (memory 1)) (component $c0 (alias outer $top $m (core module \
         $m)) (core instance (instantiate $m))) {doubling} (instance (instantiate $c39)))"
    );
    wat::parse_str(text).unwrap()
}
