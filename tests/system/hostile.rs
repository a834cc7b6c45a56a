//! Plugins that attack their host, on a frame: the process lives, the limit holds, the reason is on
//! the record, the next frame is analysed, and a neighbour's camera loses no frame.
//!
//! One process takes all attacks, one after the other, so that each has the machine to itself as
//! far as the other tests leave it.

use comux_tests::ended::Ended;
use comux_tests::feed::Feed;
use comux_tests::hostile::Ends::{Analysed, Fails, Large, Late, LateBy, Unmarked};
use comux_tests::hostile::{self, Attack, Attacks, DEADLINE_MS};
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Record, consume, produce};

use crate::promises::{assert_same_records, topics};

/// Each fifth frame of twenty is an attack: too few failures to take the plugin for broken.
const RECORDS: usize = 20;
const EVERY: usize = 5;

/// What the whole process may have in memory at any time: its cameras, and one attack's worth. An
/// attack that is not held takes gigabytes.
const MOST_MEMORY: u64 = 700 << 20;

const MIB: u64 = 1 << 20;

fn camera_of(test: &str, (how, size, _): Attack) -> String {
    format!("{test}-{how}-{size}")
}

/// Puts all attacks to one process. Gives what is left of it.
fn withstands(test: &str, attacks: &Attacks) -> Ended {
    let clip = media::lowdelay();
    let records = &clip.records()[..RECORDS];
    let tenants = "[[tenants]]\nid = 'mallory'\n[[tenants]]\nid = 'bob'";
    let mut config = Config::new(test).with(&attacks.table()).with(tenants);
    for &attack in attacks.ways {
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
    for &attack in attacks.ways {
        let camera = camera_of(test, attack);
        produce(&format!("raw_{camera}"), records);
        results.push((attack, consume(&format!("stream_{camera}"), RECORDS)));
        let memory = comux.peak_memory();
        assert!(memory < MOST_MEMORY, "{camera}: the process had {memory} bytes");
    }
    let sent = feed.stop();
    let neighbours = consume(&analysed, sent);
    let peak = comux.peak_memory() / MIB;
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
                Fails(_) | Late | LateBy(_) | Unmarked => {}
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

#[test]
fn endless_code_is_stopped_at_its_deadline_wherever_it_runs() {
    withstands("hostile-time", &hostile::TIME);
}

#[test]
fn memory_and_stack_end_where_the_limits_say() {
    withstands("hostile-memory", &hostile::MEMORY);
}

#[test]
fn results_beyond_the_limits_or_not_declared_do_not_leave_the_plugin() {
    withstands("hostile-output", &hostile::OUTPUT);
}

#[test]
fn reads_that_make_no_sense_are_refused_and_all_reads_of_a_frame_together_are_bounded() {
    withstands("hostile-reads", &hostile::READS);
}

#[test]
fn a_read_of_any_size_ends_with_its_call() {
    withstands("hostile-large-reads", &hostile::LARGE_READS);
}
