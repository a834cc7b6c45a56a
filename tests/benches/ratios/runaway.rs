//! A plugin that does not return: how long after its deadline it is stopped.

use comux_tests::figures::{Bound, Table};
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{consume, produce};

use crate::run::{median, timing};

const DEADLINE_MS: f64 = 50.0;
/// Each fifth of them never returns.
const RECORDS: usize = 200;
const EVERY: usize = 5;

pub fn measure(table: &mut Table) {
    let name = "bench-runaway";
    // A breaker would end it before there is much to measure.
    let plugin = plugins_line("misbehave", &format!("how = 'loop', every = {EVERY}"));
    let lines = format!(
        "mode = 'every-frame'\nstart = 'beginning'\nlimits = {{ deadline_ms = {DEADLINE_MS} }}\n\
         breaker = {{ failures = 1_000_000 }}\n{plugin}"
    );
    let comux = Comux::run(&Config::new(name).camera(name, &lines));
    produce(&format!("raw_{name}"), &media::lowdelay().looped(RECORDS));
    let mut beyond = Vec::new();
    for (number, record) in consume(&format!("stream_{name}"), RECORDS).iter().enumerate() {
        match record.status() {
            ("failed", Some("deadline")) => {
                beyond.push(timing(record, "plugin") / 1e3 - DEADLINE_MS);
            }
            ("analysed", None) => {}
            other => panic!("record {number} is {other:?}"),
        }
    }
    let _ = comux.stop();
    // An instance that is replaced counts anew, so it is each fifth of those that come after.
    assert_eq!(beyond.len(), RECORDS / EVERY, "each fifth never returns");
    let longest = beyond.iter().copied().fold(0.0, f64::max);
    let most = Bound::AtMost(2.0);
    table.goal("runaway plugin stopped: beyond its deadline, p50", median(beyond), "ms", most);
    table.goal("runaway plugin stopped: beyond its deadline, longest", longest, "ms", most);
}
