//! How much loading a plugin may take: of time, of memory, and of what it declares.

use std::time::Duration;

/// Limits of loading plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadLimits {
    /// Bytes of a component. Those made of Rust have 20 to 250 KB, and those that bring a Python or
    /// JavaScript engine 12 to 18 MB; the default has room for three times that.
    pub component_bytes: u64,
    /// Bytes of a component's compiled code. It has two to four times the size of the component, 52
    /// MB for the largest known; the default is more than twice that.
    pub code_bytes: u64,
    /// Bytes of all compiled plugins on the disk: the default holds a thousand plugins of Rust, or
    /// some twenty of Python or JavaScript, and is little beside the video that a host with so many
    /// plugins handles.
    pub compiled_bytes: u64,
    /// How long a plugin may wait to be read, checked or described, in turn with others.
    pub time: Duration,
    /// Processor time that compiling a plugin may take, on all cores together. The largest plugins
    /// known take some 25 s; the default is four times that and more.
    pub compile_cpu: Duration,
    /// How long compiling may take by the clock, and how long it may wait for its turn before. It
    /// leaves the cores to cameras, so on a busy machine it takes many times what it needs.
    pub compile_time: Duration,
    /// Bytes of address space that a process may have which compiles one plugin. The program and
    /// its libraries take 290 MiB of it, a plugin of Rust 430 and one of 8 MB with 20,000 functions
    /// 450 MiB; the default leaves the largest components known four times that, and two at once
    /// leave a small machine its cameras.
    pub compile_memory: u64,
    /// Plugins that are read, checked or configured at once; more wait their turn. Each may hold a
    /// component and its code in memory, for the largest that are known some 70 MB.
    pub at_once: usize,
    /// Of these, the most that are one tenant's: so at least four tenants get on at any time.
    pub at_once_per_tenant: usize,
    /// Plugins that are compiled at once: each can use a few cores for seconds, and as much memory
    /// as `compile_memory` says. A tenant compiles one at a time, so that its second waits rather
    /// than another tenant's first.
    pub compile_at_once: usize,

    /// Core modules in a component. `comux plugin build` makes three; Python with its native
    /// libraries some thirty.
    pub modules: u64,
    /// Components inside a component: there is one for each exported interface, so about three.
    pub components: u64,
    /// Components inside one another: one in all that tools make, and two when such are composed.
    /// Each level may instantiate the one below twice, so what a file means can double with it.
    pub component_depth: u64,
    /// Instances that a component declares, those that only bundle exports included: twenty for a
    /// plugin of Rust. What is instantiated in the end has a limit of its own, in each camera.
    pub instances: u64,
    /// Functions. A plugin of Rust has hundreds; Python and JavaScript have about 30,000.
    pub functions: u64,
    /// Bytes of one function. The compiler's time grows faster than a function does; the main loop
    /// of a Python interpreter, the largest that is known, has about 200 KB.
    pub function_bytes: u64,
    /// Local variables of all functions together: a few bytes can declare 50,000, each of which the
    /// compiler looks after. Python and JavaScript have about 300,000.
    pub locals: u64,
    /// Types, imports, exports, segments and the like together: below 1,000 for a plugin of Rust,
    /// and tens of thousands with an engine.
    pub declarations: u64,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            component_bytes: 64 * 1024 * 1024,
            code_bytes: 128 * 1024 * 1024,
            compiled_bytes: 1024 * 1024 * 1024,
            time: Duration::from_secs(60),
            compile_cpu: Duration::from_secs(120),
            compile_time: Duration::from_secs(300),
            compile_memory: 2 * 1024 * 1024 * 1024,
            at_once: 8,
            at_once_per_tenant: 2,
            compile_at_once: 2,
            modules: 100,
            components: 100,
            component_depth: 4,
            instances: 500,
            functions: 200_000,
            function_bytes: 2 * 1024 * 1024,
            locals: 4_000_000,
            declarations: 500_000,
        }
    }
}
