//! What the demo shows: a live table for people, lines of JSON for programs.

use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use comfy_table::{ContentArrangement, Table, presets};
use comux::control::camera::CameraReport;
use comux::runtime::Runtime;
use comux::stats::CameraCounts;
use serde::Serialize;

use super::tally::{CameraTally, Tally};
use crate::output::{escaped, print_json, print_line};

pub struct Screen {
    json: bool,
    /// The embedded broker, for whoever wants to look closer or to take part.
    servers: String,
    begin: Instant,
    length: Duration,
    /// Analysed records at the update before, by camera.
    before: HashMap<String, u64>,
    last_update: Instant,
    lines: usize,
}

/// One camera's line.
#[derive(Serialize)]
struct CameraLine {
    camera: String,
    #[serde(flatten)]
    counts: CameraCounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_per_second: Option<f64>,
    latency_ms: Latency,
    results: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Latency {
    p50: u64,
    p99: u64,
    max: u64,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Cameras { seconds: u64, bootstrap_servers: String, cameras: Vec<CameraLine> },
    Summary { produced: u64, followed: u64, balanced: bool, cameras: Vec<CameraLine> },
}

impl Screen {
    pub fn new(json: bool, length: Duration, servers: &str) -> Self {
        let (now, servers) = (Instant::now(), servers.to_owned());
        let before = HashMap::new();
        Self { json, servers, begin: now, length, before, last_update: now, lines: 0 }
    }

    /// Shows how things stand.
    pub fn update(&mut self, runtime: &Runtime, tally: &Tally) {
        let elapsed = self.last_update.elapsed().as_secs_f64().max(0.001);
        self.last_update = Instant::now();
        let mut cameras = Vec::new();
        for camera in runtime.cameras() {
            let name = camera.spec.id.to_string();
            let counts = camera.stats.counts();
            let before = self.before.insert(name.clone(), counts.analysed).unwrap_or(0);
            let rate = (counts.analysed - before) as f64 / elapsed;
            let seen = tally.camera(&name);
            cameras.push(line(name, counts, Some((rate * 10.0).round() / 10.0), seen));
        }
        let seconds = self.begin.elapsed().as_secs();
        if self.json {
            let bootstrap_servers = self.servers.clone();
            let _ = print_json(&Event::Cameras { seconds, bootstrap_servers, cameras });
            return;
        }
        let length = self.length.as_secs();
        let servers = &self.servers;
        let title = format!(
            "comux demo: {seconds} of {length} s — Ctrl-C ends it — Kafka at {servers}, for \
             `comux watch` and `comux control`"
        );
        self.print_over(&format!("{title}\n{}\n", table(&cameras)));
    }

    /// Shows how it ended.
    pub fn summary(&mut self, sent: u64, reports: &[CameraReport], tally: &Tally) {
        let cameras: Vec<CameraLine> = reports
            .iter()
            .map(|report| {
                let name = report.spec.id.to_string();
                let seen = tally.camera(&name);
                line(name, report.counts.clone(), None, seen)
            })
            .collect();
        let followed = tally.followed();
        let settled: u64 = reports.iter().map(|report| report.counts.settled()).sum();
        let balanced = followed == sent && settled == sent;
        if self.json {
            let _ = print_json(&Event::Summary { produced: sent, followed, balanced, cameras });
            return;
        }
        self.print_over(&format!("{}\n", table(&cameras)));
        let analysed: u64 = reports.iter().map(|report| report.counts.analysed).sum();
        let verdict =
            if balanced { "every record is accounted for" } else { "RECORDS ARE MISSING" };
        print_line(format_args!(
            "{sent} records sent by {} cameras, {followed} came out, {analysed} of them analysed: \
             {verdict}.",
            reports.len()
        ));
    }

    /// On a terminal, each picture replaces the one before.
    fn print_over(&mut self, text: &str) {
        let mut out = std::io::stdout().lock();
        if out.is_terminal() && self.lines > 0 {
            let _ = write!(out, "\x1b[{}A\x1b[J", self.lines);
        }
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
        self.lines = text.lines().count();
    }
}

fn line(
    camera: String,
    counts: CameraCounts,
    frames_per_second: Option<f64>,
    seen: Option<CameraTally>,
) -> CameraLine {
    let latency =
        |quantile| seen.as_ref().map_or(0, |seen| seen.latency.value_at_quantile(quantile));
    let latency_ms = Latency { p50: latency(0.5), p99: latency(0.99), max: latency(1.0) };
    let results = seen.map(|seen| seen.results).unwrap_or_default();
    CameraLine { camera, counts, frames_per_second, latency_ms, results }
}

fn table(cameras: &[CameraLine]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "camera",
        "frames/s",
        "lag",
        "received",
        "analysed",
        "skipped",
        "failed",
        "ms p50/p99",
        "last results",
    ]);
    for camera in cameras {
        let counts = &camera.counts;
        let rate = camera.frames_per_second.map(|rate| format!("{rate:.1}")).unwrap_or_default();
        let results = camera.results.iter().map(|(name, value)| shown(name, value));
        table.add_row([
            camera.camera.clone(),
            rate,
            counts.lag.to_string(),
            counts.received.to_string(),
            counts.analysed.to_string(),
            reasons(&counts.skipped),
            reasons(&counts.failed),
            format!("{}/{}", camera.latency_ms.p50, camera.latency_ms.p99),
            results.collect::<Vec<_>>().join("  "),
        ]);
    }
    table
}

/// A result, cut so that the table of a few cameras fits on a screen.
fn shown(name: &str, value: &str) -> String {
    const LENGTH: usize = 20;
    let cut: String = value.chars().take(LENGTH).collect();
    let more = if cut.len() < value.len() { "…" } else { "" };
    escaped(&format!("{name}={cut}{more}")).into_owned()
}

fn reasons(counts: &BTreeMap<&'static str, u64>) -> String {
    if counts.is_empty() {
        return "0".to_owned();
    }
    counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join("\n")
}
