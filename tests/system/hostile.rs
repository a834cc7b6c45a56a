//! Plugins that attack their host, on a frame: the process lives, the limit holds, the reason is on
//! the record, the next frame is analysed, and a neighbour's camera loses no frame.
//!
//! One process takes all attacks, one after the other, so that each has the machine to itself as far
//! as the other tests leave it.

use comux_tests::feed::Feed;
use comux_tests::media;
use comux_tests::process::{Comux, Config, Ended, plugins_line};
use comux_tests::records::{Record, consume, produce};

use crate::promises::{assert_same_records, topics};

/// Each fifth frame of twenty is an attack: too few failures to take the plugin for broken.
const RECORDS: usize = 20;
const EVERY: usize = 5;

const DEADLINE_MS: u64 = 200;

/// For attacks that are none on the time: a busy machine must not make them one.
const PATIENT: &str = "deadline_ms = 5_000";

/// What the whole process may have in memory at any time: its cameras, and one attack's worth. An
/// attack that is not held takes gigabytes.
const MOST_MEMORY: u64 = 700 << 20;

/// What an attack must come to.
#[derive(Clone, Copy)]
enum Ends {
    /// The record fails with this reason.
    Fails(&'static str),
    /// The record fails with the reason `deadline`, at the deadline.
    Late,
    /// Likewise, and so many milliseconds more: for one instruction on all of the memory, or one copy
    /// of pixels into it, which nothing can break off.
    LateBy(u64),
    /// It is none: the record is analysed, and `hostile.seen` is this.
    Analysed(&'static str),
    /// Likewise, and `hostile.big` has as many bytes as it should.
    Large,
}
use Ends::{Analysed, Fails, Large, Late, LateBy};

/// Way to attack, how much of it, and what comes of it.
type Attack = (&'static str, u64, Ends);

const MIB: u64 = 1 << 20;

fn camera_of(test: &str, (how, size, _): Attack) -> String {
    format!("{test}-{how}-{size}")
}

/// Puts all attacks to one process with these limits. Gives what is left of it.
fn withstands(test: &str, limits: &str, attacks: &[Attack]) -> Ended {
    let clip = media::lowdelay();
    let records = &clip.records()[..RECORDS];
    let limits = format!("[limits]\n{limits}");
    let tenants = "[[tenants]]\nid = 'mallory'\n[[tenants]]\nid = 'bob'";
    let mut config = Config::new(test).with(&limits).with(tenants);
    for &attack in attacks {
        let (how, size, _) = attack;
        let plugin =
            plugins_line("hostile", &format!("how = '{how}', every = {EVERY}, size = {size}"));
        let camera = camera_of(test, attack);
        topics(&camera);
        let lines =
            format!("tenant = 'mallory'\nmode = 'every-frame'\nstart = 'beginning'\n{plugin}");
        config = config.camera(&camera, &lines);
    }
    let neighbour = format!("{test}-neighbour");
    let (seen, analysed) = topics(&neighbour);
    let lines = format!("tenant = 'bob'\nmode = 'every-frame'\n{}", plugins_line("brightness", ""));
    let comux = Comux::run(&config.camera(&neighbour, &lines));
    let feed = Feed::start(&[&seen], clip, 25);

    let mut results = Vec::new();
    for &attack in attacks {
        let camera = camera_of(test, attack);
        produce(&format!("raw_{camera}"), records);
        results.push((attack, consume(&format!("stream_{camera}"), RECORDS)));
        let memory = comux.memory("VmHWM");
        assert!(memory < MOST_MEMORY, "{camera}: the process had {memory} bytes");
    }
    let sent = feed.stop();
    let neighbours = consume(&analysed, sent);
    let peak = comux.memory("VmHWM") / MIB;
    println!("{test}: at most {peak} MiB in {} threads", comux.threads());
    let ended = comux.stop();

    for (number, record) in neighbours.iter().enumerate() {
        assert_eq!(record.status(), ("analysed", None), "the neighbour's record {number}");
    }
    for (attack, result) in results {
        assert_same_records(records, &result);
        check(attack, &result);
        let sums = ended.sums(&camera_of(test, attack));
        assert!(sums.balance(), "{attack:?}: {sums:?}", attack = attack.0);
    }
    ended
}

fn check((how, size, ends): Attack, result: &[Record]) {
    let what = format!("{how} {size}");
    let mut took = Vec::new();
    for (number, record) in result.iter().enumerate() {
        let attacked = (number + 1).is_multiple_of(EVERY);
        let expected = match ends {
            Fails(reason) if attacked => ("failed", Some(reason)),
            Late | LateBy(_) if attacked => ("failed", Some("deadline")),
            _ => ("analysed", None),
        };
        assert_eq!(record.status(), expected, "{what}: record {number}");
        let own = (expected.0 == "analysed").then(|| number.to_string());
        assert_eq!(record.header("hostile.frame"), own.as_deref(), "{what}: record {number}");
        if attacked {
            took.push(plugin_us(record));
            let large = record.header("hostile.big").map(|value| value.len() as u64);
            match ends {
                Analysed(seen) => {
                    assert_eq!(
                        record.header("hostile.seen"),
                        Some(seen),
                        "{what}: record {number}"
                    );
                }
                Large => assert_eq!(large, Some(size), "{what}: record {number}"),
                Fails(_) | Late | LateBy(_) => {}
            }
        }
    }
    let (least, most) = (took.iter().min().unwrap(), took.iter().max().unwrap());
    println!("{what}: {least} to {most} µs");
    let late_by = match ends {
        Late => Some(0),
        LateBy(ms) => Some(ms),
        _ => None,
    };
    if let Some(late_by) = late_by {
        // The others may have been late for want of a core, not of a limit.
        let (deadline, latest) = (DEADLINE_MS * 1000, (DEADLINE_MS + 2 + late_by) * 1000);
        assert!(*least >= deadline, "{what}: was stopped after {least} µs, before its deadline");
        assert!(*least <= latest, "{what}: was stopped after {least} µs at the earliest");
    }
    assert!(*most < 10_000_000, "{what}: a call took {most} µs");
}

/// How long the camera's plugins took, as the record says.
fn plugin_us(record: &Record) -> u64 {
    let timing = record.header("comux-timing").expect("it was decoded");
    let field = timing.split(';').find_map(|field| field.strip_prefix("plugin="));
    field.expect("plugin=").parse().expect("microseconds")
}

fn deadline() -> String {
    format!("deadline_ms = {DEADLINE_MS}")
}

#[test]
fn endless_code_is_stopped_at_its_deadline_wherever_it_runs() {
    let attacks = [
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
    ];
    withstands("hostile-time", &deadline(), &attacks);
}

#[test]
fn memory_and_stack_end_where_the_limits_say() {
    let attacks = [
        ("grow", 0, Fails("memory")),
        ("grow-by", 100, Fails("memory")),
        ("grow-to-the-end", 0, Fails("memory")),
        ("ask-for-everything", 0, Analysed("false")),
        ("recursion", 0, Fails("plugin-trap")),
        ("trap", 0, Fails("plugin-trap")),
        ("trap-in-realloc", 0, Fails("plugin-trap")),
        ("hoard-handles", 0, Fails("plugin-trap")),
        ("keep-frame", 0, Fails("plugin-trap")),
    ];
    withstands("hostile-memory", PATIENT, &attacks);
}

#[test]
fn results_beyond_the_limits_or_not_declared_do_not_leave_the_plugin() {
    let attacks = [
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
    ];
    // So that it is not the memory that holds them.
    withstands("hostile-output", &format!("{PATIENT}\nmemory_mb = 300"), &attacks);
}

#[test]
fn reads_that_make_no_sense_are_refused_and_all_reads_of_a_frame_together_are_bounded() {
    let odd = "72 answered, 576 unsupported, 0 too large";
    let attacks = [("odd-reads", 0, Analysed(odd)), ("read-budget", 0, Analysed("65470464"))];
    withstands("hostile-reads", PATIENT, &attacks);
}

#[test]
fn a_read_of_any_size_ends_with_its_call() {
    let limits = deadline() + "\nmemory_mb = 300\nread_mb = 100_000";
    withstands("hostile-large-reads", &limits, &[("large-reads", 0, LateBy(20))]);
}
