//! `comux plugin run`: plugins on a video, without Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use comux::CameraSpec;
use comux::camera::{Playback, Played, PluginChain};
use comux::plugin::instance::CameraPlugin;
use comux::record::Status;
use comux::tenancy::Tenant;
use comux::video::MediaReader;
use serde::Serialize;

use super::local_host::{Fuel, absolute, call_times, configuration, load, open_video, take};
use crate::commands::Failure;
use crate::output::{print_json, print_line, print_note};

#[derive(clap::Args)]
#[command(
    override_usage = "comux plugin run [OPTIONS] <PLUGIN.wasm>... <VIDEO>",
    after_help = "Frames go the way of a camera's records: the same decoder, host and limits. A \
line says what became of a packet, in the order of the file; times are of the plugins' calls.
Exit code 1 when a plugin failed on any frame.

Examples:
  comux plugin run target/plugins/motion.wasm gate.mp4
  comux plugin run motion.wasm gate.mp4 --config '{\"threshold\": 20}'
  comux plugin run motion.wasm line-counter.wasm gate.mp4 --config @motion.json --config @lines.json
  comux plugin run motion.wasm gate.mp4 --json --packets 250"
)]
pub struct Arguments {
    /// The plugins, in the order in which they run, and what they run on: a file, device or URL.
    #[arg(required = true, num_args = 2.., value_names = ["PLUGIN.wasm", "VIDEO"])]
    inputs: Vec<String>,
    /// A plugin's configuration: a JSON object, or @FILE with one. Given again, it is the next
    /// plugin's.
    #[arg(long = "config", value_name = "JSON")]
    configs: Vec<String>,
    /// Analyse at most so many frames a second of the video, or `keyframes`.
    #[arg(long)]
    rate: Option<String>,
    /// End after so many packets.
    #[arg(long, value_name = "COUNT")]
    packets: Option<u64>,
    /// One JSON object per line; the last one is the summary.
    #[arg(long)]
    json: bool,
}

/// What became of a packet, as programs read it.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    seq: u64,
    pts_us: Option<i64>,
    keyframe: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Microseconds in the decoder, and in plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    decode_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_us: Option<u64>,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    failures: &'a [String],
}

#[derive(Serialize)]
struct Summary {
    event: &'static str,
    packets: u64,
    analysed: u64,
    skipped: BTreeMap<&'static str, u64>,
    failed: BTreeMap<&'static str, u64>,
    /// Seconds that it all took.
    seconds: f64,
    /// Microseconds of all plugins for a frame.
    plugin_us_p50: u64,
    plugin_us_p99: u64,
    plugins: Vec<PluginSummary>,
}

#[derive(Serialize)]
struct PluginSummary {
    plugin: String,
    calls: u64,
    /// Microseconds of CPU time for a call.
    cpu_us: f64,
    /// Bytes of linear memory at most.
    peak_memory: u64,
    /// Bytes of pixels that it read for a call.
    bytes_read: f64,
    failed: BTreeMap<&'static str, u64>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Some((video, plugins)) = arguments.inputs.split_last() else {
        return Err(Failure::usage(anyhow!("name a plugin and a video")));
    };
    let mut reader = open_video(video)?;
    let sources = absolute(plugins).map_err(Failure::failed)?;
    let config = configuration(&sources, reader.codec, arguments.rate.as_deref());
    let config = config.map_err(Failure::Usage)?;
    let spec = config.cameras.first().context("a camera").map_err(Failure::Failed)?;
    let tenants = config.open_tenants();
    let tenant = tenants.get(spec.tenant.as_str()).context("a tenant").map_err(Failure::Failed)?;
    let begin = Instant::now();
    let chain = load(&config, spec, &arguments.configs, &tenant, Fuel::Uncounted)?;
    let names: Vec<&str> = chain.iter().map(CameraPlugin::identity).collect();
    print_note(format_args!(
        "{} on {video} ({}); loaded in {:.1} s",
        names.join(", "),
        reader.codec,
        begin.elapsed().as_secs_f64()
    ));
    let summary = play(arguments, &mut reader, spec, tenant, chain)?;
    let is_faultless = summary.plugins.iter().all(|plugin| plugin.failed.is_empty());
    match arguments.json {
        true => print_json(&summary)?,
        false => summary.print(),
    }
    match is_faultless {
        true => Ok(()),
        false => Err(Failure::failed(anyhow!("plugins failed on frames"))),
    }
}

fn play(
    arguments: &Arguments,
    reader: &mut MediaReader,
    spec: &CameraSpec,
    tenant: Arc<Tenant>,
    chain: Vec<CameraPlugin>,
) -> Result<Summary, Failure> {
    let mut playback = Playback::new(spec, tenant, PluginChain::new(chain, spec.rate));
    let mut times = call_times()?;
    let begin = Instant::now();
    let mut packets = 0;
    let mut tell = |playback: &mut Playback| -> Result<(), Failure> {
        while let Some(played) = playback.next_played() {
            if let (Some(timing), Some(_)) = (played.outcome.timing, &played.frame) {
                times.saturating_record(timing.plugin);
            }
            show(&played, arguments.json)?;
        }
        Ok(())
    };
    while arguments.packets.is_none_or(|most| packets < most) {
        let Some(packet) = reader.next_packet().map_err(Failure::failed)? else { break };
        take(&mut playback, reader, packet)?;
        packets += 1;
        tell(&mut playback)?;
    }
    playback.finish();
    tell(&mut playback)?;
    let counts = playback.stats().counts();
    let meters = playback.stats().plugins();
    let plugins = meters.iter().map(|meter| {
        let used = meter.counts();
        let for_a_call = |sum: u64| sum as f64 / used.calls.max(1) as f64;
        PluginSummary {
            plugin: meter.plugin.clone(),
            calls: used.calls,
            cpu_us: for_a_call(used.cpu_us),
            peak_memory: used.peak_memory,
            bytes_read: for_a_call(used.bytes_read),
            failed: used.failed,
        }
    });
    Ok(Summary {
        event: "summary",
        packets,
        analysed: counts.analysed,
        skipped: counts.skipped,
        failed: counts.failed,
        seconds: begin.elapsed().as_secs_f64(),
        plugin_us_p50: times.value_at_quantile(0.5),
        plugin_us_p99: times.value_at_quantile(0.99),
        plugins: plugins.collect(),
    })
}

fn show(played: &Played, json: bool) -> Result<(), Failure> {
    let Played { seq, pts_us, keyframe, outcome, failures, .. } = played;
    let (status, reason) = (outcome.status.word(), outcome.status.reason());
    let headers = outcome.headers.iter().map(|header| {
        let text = std::str::from_utf8(&header.value).map(str::to_owned);
        let value = text.unwrap_or_else(|_| format!("({} bytes)", header.value.len()));
        (header.name.as_str(), value)
    });
    // A frame that no plugin saw took none of their time.
    let timing = outcome.timing.filter(|_| played.frame.is_some());
    if json {
        return print_json(&Line {
            event: "packet",
            seq: *seq,
            pts_us: *pts_us,
            keyframe: *keyframe,
            status,
            reason,
            decode_us: timing.map(|timing| timing.decode),
            plugin_us: timing.map(|timing| timing.plugin),
            headers: headers.collect(),
            failures,
        });
    }
    let at = pts_us.map(|pts| format!(" {:.3} s", pts as f64 / 1e6)).unwrap_or_default();
    let reason = reason.map(|word| format!(" ({word})")).unwrap_or_default();
    let took = timing.map(|it| format!(" {:.2} ms", it.plugin as f64 / 1e3)).unwrap_or_default();
    let results: Vec<String> = headers.map(|(name, value)| format!("  {name}={value}")).collect();
    print_line(format_args!("#{seq}{at} {status}{reason}{took}{}", results.concat()));
    if let Status::Failed(_) = outcome.status {
        failures.iter().for_each(|failure| print_line(format_args!("    {failure}")));
    }
    Ok(())
}

impl Summary {
    fn print(&self) {
        let reasons =
            self.skipped.iter().map(|(reason, count)| format!(", {count} skipped ({reason})"));
        let failed =
            self.failed.iter().map(|(reason, count)| format!(", {count} failed ({reason})"));
        let others: String = reasons.chain(failed).collect();
        print_line(format_args!(
            "{} packets in {:.1} s: {} analysed{others}; plugins took {:.2} ms for a frame, p99 \
             {:.2} ms",
            self.packets,
            self.seconds,
            self.analysed,
            self.plugin_us_p50 as f64 / 1e3,
            self.plugin_us_p99 as f64 / 1e3,
        ));
        for plugin in &self.plugins {
            print_line(format_args!(
                "{}: {} calls, {:.2} ms of CPU each, {:.1} MiB of memory at most, {:.0} bytes of \
                 pixels read each",
                plugin.plugin,
                plugin.calls,
                plugin.cpu_us / 1e3,
                plugin.peak_memory as f64 / f64::from(1 << 20),
                plugin.bytes_read,
            ));
        }
    }
}
