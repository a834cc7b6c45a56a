//! The ways in which plugins attack, and what each must come to. The suite in `tests/system` sees
//! that they do; `make bench-neighbours` measures what others notice meanwhile.

use crate::handmade::{endless_to_compile, plugin, with_instances};
use crate::home::component;

/// What an attack on a frame must come to.
#[derive(Debug, Clone, Copy)]
pub enum Ends {
    /// The record fails with this reason.
    Fails(&'static str),
    /// The record fails with the reason `deadline`, at the deadline.
    Late,
    /// Likewise, and so many milliseconds more: for one instruction on all of the memory, or one
    /// copy of pixels into it, which nothing can break off.
    LateBy(u64),
    /// It is none: the record is analysed, and `hostile.seen` is this.
    Analysed(&'static str),
    /// Likewise, and `hostile.big` has as many bytes as it should.
    Large,
    /// It is none, and the record has nothing of it.
    Unmarked,
}
use Ends::{Analysed, Fails, Large, Late, LateBy, Unmarked};

/// Way to attack, how much of it, and what comes of it.
pub type Attack = (&'static str, u64, Ends);

/// Attacks under the same limits, of which each has a name and a number.
pub struct Attacks {
    /// What they have in common.
    pub on: &'static str,
    /// The limits.
    pub limits: &'static [(&'static str, u64)],
    /// The attacks.
    pub ways: &'static [Attack],
}

impl Attacks {
    /// The limits as a table of `comux.toml`.
    #[must_use]
    pub fn table(&self) -> String {
        let lines = self.limits.iter().map(|(limit, value)| format!("{limit} = {value}\n"));
        format!("[limits]\n{}", lines.collect::<String>())
    }
}

/// Where the limit is the time.
pub const DEADLINE_MS: u64 = 200;

/// For attacks that are none on the time: a busy machine must not make them one.
const PATIENT: (&str, u64) = ("deadline_ms", 5_000);

const MIB: u64 = 1 << 20;

/// Code without end.
pub const TIME: Attacks = Attacks {
    on: "time",
    limits: &[("deadline_ms", DEADLINE_MS)],
    ways: &[
        ("loop", 0, Late),
        ("loop-in-drop", 0, Late),
        ("loop-in-realloc", 0, Late),
        ("loop-in-post-return", 0, Late),
        ("fill", 4, LateBy(5)),
        ("copy", 4, LateBy(5)),
        ("fill", 48, LateBy(20)),
        ("metric-loop", 0, Late),
        ("read-loop", 0, Late),
        ("grid-loop", 0, Late),
        ("info-loop", 0, Late),
    ],
};

/// More memory, stack or handles than there may be, and traps.
pub const MEMORY: Attacks = Attacks {
    on: "memory and stack",
    limits: &[PATIENT],
    ways: &[
        ("grow", 0, Fails("memory")),
        ("grow-by", 100, Fails("memory")),
        ("grow-to-the-end", 0, Fails("memory")),
        ("ask-for-everything", 0, Analysed("false")),
        ("recursion", 0, Fails("plugin-trap")),
        ("trap", 0, Fails("plugin-trap")),
        ("trap-in-realloc", 0, Fails("plugin-trap")),
        ("hoard-handles", 0, Fails("plugin-trap")),
        ("keep-frame", 0, Fails("plugin-trap")),
    ],
};

/// Results that are too many, too large, or not its own. The memory is not what holds them.
pub const OUTPUT: Attacks = Attacks {
    on: "output",
    limits: &[PATIENT, ("memory_mb", 300)],
    ways: &[
        ("many-headers", 1_000_000, Fails("output")),
        ("many-headers", 65, Fails("output")),
        ("repeated-headers", 63, Analysed("62")),
        ("large-header", 100 * MIB, Fails("output")),
        ("large-header", 65_536, Fails("output")),
        ("large-header", 60_000, Large),
        ("reserved-header", 0, Fails("plugin-error")),
        ("undeclared-header", 0, Fails("plugin-error")),
        ("unreadable-header", 0, Fails("plugin-trap")),
        ("invalid-input", 100, Fails("plugin-error")),
        ("invalid-input", 10 * MIB, Fails("output")),
        ("transient", 900_000, Fails("plugin-error")),
        ("metric-long", 10 * MIB, Fails("output")),
        ("log-long", 10 * MIB, Fails("output")),
    ],
};

/// Reads that make no sense, and more of them than there may be.
pub const READS: Attacks = Attacks {
    on: "reads",
    limits: &[PATIENT],
    ways: &[
        ("odd-reads", 0, Analysed("72 answered, 576 unsupported, 0 too large")),
        ("read-budget", 0, Analysed("65470464")),
    ],
};

/// Reads of as much as there is.
pub const LARGE_READS: Attacks = Attacks {
    on: "large reads",
    limits: &[("deadline_ms", DEADLINE_MS), ("memory_mb", 300), ("read_mb", 100_000)],
    ways: &[("large-reads", 0, LateBy(20))],
};

/// Lines of log and names of metrics without end.
pub const FLOODS: Attacks = Attacks {
    on: "floods",
    limits: &[("deadline_ms", 10_000), ("log_kb_per_s", 16), ("metrics", 8)],
    ways: &[
        ("log-lines", 100_000, Unmarked),
        ("metric-names", 100_000, Unmarked),
        ("log-forged", 0, Unmarked),
    ],
};

/// Where the limit is the time of a hook.
pub const HOOK_DEADLINE_MS: u64 = 500;

/// Way to attack in another hook than a frame's, how much of it, and a word of what is told.
pub type HookAttack = (&'static str, u64, &'static str);

/// While it is configured.
pub const CONFIGURED: [HookAttack; 7] = [
    ("configure-loop", 0, "deadline"),
    ("configure-drop", 0, "deadline"),
    ("configure-recursion", 0, "stack"),
    ("configure-grow", 0, "memory"),
    ("configure-trap", 0, "unreachable"),
    ("configure-error", 900_000, "xxx"),
    ("configure-error", 20 * MIB, "KiB"),
];

/// While it is saved.
pub const SAVED: [HookAttack; 8] = [
    ("save-loop", 0, "deadline"),
    ("save-drop", 0, "deadline"),
    ("save-recursion", 0, "stack"),
    ("save-grow", 0, "memory"),
    ("save-trap", 0, "unreachable"),
    ("save-error", 900_000, "xxx"),
    ("save-large", 2 * MIB, "KiB"),
    ("save-large", 30 * MIB, "KiB"),
];

/// While it is restored.
pub const RESTORED: [HookAttack; 5] = [
    ("restore-loop", 0, "deadline"),
    ("restore-drop", 0, "deadline"),
    ("restore-recursion", 0, "stack"),
    ("restore-grow", 0, "memory"),
    ("restore-trap", 0, "unreachable"),
];

/// A file that is no plugin, means much more than it is long, or does not say what it is.
pub struct Bomb {
    /// What it is called.
    pub name: &'static str,
    /// The file.
    pub file: Vec<u8>,
    /// The step that refuses it.
    pub step: &'static str,
    /// A word of the reason.
    pub word: &'static str,
}

/// Such files.
///
/// # Panics
/// When the plugin `brightness` is not built.
#[must_use]
pub fn bombs() -> Vec<Bomb> {
    let real = component("brightness");
    let module = |inside: &str| wat(&format!("(component (core module {inside}))"));
    let locals = format!("(func (local {}))", "i64 ".repeat(49_000)).repeat(100);
    let table = format!("(func (block (br_table {} (i32.const 0))))", "0 ".repeat(3_000_000));
    // Each type has the one before it a hundred times.
    let nested: String = (1..30)
        .map(|n| format!("(type $t{n} (tuple {}))", format!("$t{} ", n - 1).repeat(100)))
        .collect();
    let forged = "(component (core module (func (export \"describe\"))))";
    let forever = "(func $forever (loop (br 0))) (start $forever)";
    let modules = format!("(component {})", "(core module)".repeat(101));
    let bomb = |name, file, step, word| Bomb { name, file, step, word };
    vec![
        bomb("truncated", real[..real.len() / 2].to_vec(), "compile", "unexpected end"),
        bomb("header", real[..8].to_vec(), "check", "comux:plugin/lifecycle@0.1.0"),
        bomb("forged", wat(forged), "check", "comux:plugin/lifecycle@0.1.0"),
        bomb("modules", wat(&modules), "check", "101 core"),
        bomb("locals", module(&locals), "check", "local variables"),
        bomb("table", module(&table), "check", "bytes in a function"),
        bomb("types", wat(&format!("(component (type $t0 u8) {nested})")), "compile", "size"),
        bomb("doubling", endless_to_compile(), "compile", "2048 MiB of memory"),
        // Nothing but what it would take is wrong with these.
        bomb("start", plugin(forever, ""), "check", "could not describe itself"),
        bomb(
            "memory",
            with_instances(&real, "(memory 65536)", 1),
            "check",
            "65536 pages exceeds memory",
        ),
    ]
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A component that grows its tables on each fifth frame.
pub struct Grower {
    /// What it is called.
    pub name: &'static str,
    /// The file.
    pub file: Vec<u8>,
    /// How long a call may take.
    pub deadline_ms: u64,
    /// What becomes of the fifth frames: status and reason.
    pub ends: (&'static str, Option<&'static str>),
}

/// Such components.
#[must_use]
pub fn growers() -> Vec<Grower> {
    let one = "(table $one 1 funcref)";
    let two = "(table $one 1 funcref) (table $two 1 funcref)";
    let by_one = until_refused(&grow("$one", 1));
    let in_turn =
        format!("(drop {}) {}", grow("$one", 60_000), until_refused(&grow("$two", 1_000)));
    let at_once = format!("(br_if 0 (i32.ne {} (i32.const -1))) unreachable", grow("$one", -1));
    let lives_on = format!("(drop {})", grow("$one", 100_000));
    let endless = format!("(loop (drop {}) (br 0))", grow("$one", 1));
    let memory = ("failed", Some("memory"));
    [
        ("by-one", one, by_one, 5_000, memory),
        ("in-turn", two, in_turn, 5_000, memory),
        ("at-once", one, at_once, 5_000, memory),
        ("lives-on", one, lives_on, 5_000, ("analysed", None)),
        ("endless", one, endless, DEADLINE_MS, ("failed", Some("deadline"))),
    ]
    .map(|(name, tables, on_frame, deadline_ms, ends)| {
        let file = plugin(tables, &on_frame);
        Grower { name, file, deadline_ms, ends }
    })
    .into()
}

/// Grows a table by so many elements; −1 when it is refused.
fn grow(table: &str, by: i32) -> String {
    format!("(table.grow {table} (ref.null func) (i32.const {by}))")
}

/// Does it until it is refused, and ends in a trap.
fn until_refused(grow: &str) -> String {
    format!("(loop (br_if 0 (i32.ne {grow} (i32.const -1)))) unreachable")
}
