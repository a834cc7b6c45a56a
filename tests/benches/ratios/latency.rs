//! A live camera, from the broker's time of a record to its time of what comux made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use comux_tests::figures::{Bound, Table};
use comux_tests::latency::Probe;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::consume;
use comux_tests::topics::create_topics;

use crate::clips;
use crate::run::{median, timing};

/// Milliseconds, and how often each was measured.
#[derive(Default)]
struct Histogram(BTreeMap<i64, u32>);

impl Histogram {
    fn add(&mut self, milliseconds: i64) {
        *self.0.entry(milliseconds).or_default() += 1;
    }

    /// What this share of the measurements does not exceed. Each is the difference of two times in
    /// whole milliseconds, so that those of one number lie around it.
    fn quantile(&self, share: f64) -> f64 {
        let mut left = share * f64::from(self.0.values().sum::<u32>());
        for (&milliseconds, &count) in &self.0 {
            if left <= f64::from(count) {
                return milliseconds as f64 - 0.5 + left / f64::from(count);
            }
            left -= f64::from(count);
        }
        panic!("nothing was measured")
    }

    fn print(&self) {
        let most = self.0.values().max().copied().unwrap_or(1);
        for (milliseconds, &count) in &self.0 {
            let bar = "#".repeat((count * 50).div_ceil(most) as usize);
            println!("  {milliseconds:4} ms {count:6} {bar}");
        }
    }
}

pub fn measure(table: &mut Table) {
    let name = "bench-latency";
    let (input, output) = (format!("raw_{name}"), format!("stream_{name}"));
    for topic in [&input, &output] {
        create_topics(&[topic], 1, &[("message.timestamp.type", "LogAppendTime")]);
    }
    let lines = format!("mode = 'live'\nstart = 'beginning'\n{}", plugins_line("noop", ""));
    let comux = Comux::run(&Config::new(name).camera(name, &lines));
    let probe = Probe::start(&[name.to_owned()], &clips::full_hd().clip, 25);
    std::thread::sleep(Duration::from_secs(45));
    let (_, samples) = probe.stop();
    let _ = comux.stop();
    let count = samples[0].len();
    let sent = consume(&input, count);
    let (mut latency, mut decode) = (Histogram::default(), Vec::new());
    // The first seconds are those in which everything starts.
    for record in consume(&output, count).iter().skip(5 * 25) {
        assert!(record.is_analysed(), "{:?}", record.status());
        let source = record.header("comux-source").and_then(|source| source.rsplit('/').next());
        let offset: usize = source.expect("a source").parse().unwrap();
        latency.add(record.timestamp - sent[offset].timestamp);
        decode.push(timing(record, "decode"));
    }
    latency.print();
    let beyond = latency.quantile(0.5) - median(decode) / 1e3;
    table.goal("live 1080p25: latency beyond decoding, p50", beyond, "ms", Bound::AtMost(2.0));
    let p99 = latency.quantile(0.99);
    table.goal("live 1080p25: latency, p99", p99, "ms", Bound::AtMost(40.0));
    let longest = latency.0.keys().last().copied().unwrap_or_default();
    table.row("live 1080p25: latency, longest", longest as f64, "ms");
}
