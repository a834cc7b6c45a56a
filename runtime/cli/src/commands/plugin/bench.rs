//! `comux plugin bench`: what a plugin's calls cost, alone or beside another's.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use comux::camera::{Playback, PluginChain};
use comux::config::Config;
use comux::policy::Limits;
use comux::tenancy::UsageCounts;
use comux::video::{MediaPacket, MediaReader};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::local_host::{Fuel, absolute, call_times, configuration, load, open_video, take};
use crate::commands::Failure;
use crate::output::{print_json, print_line};

#[derive(clap::Args)]
#[command(
    after_help = "Frames go the way of a camera's records. The video is played twice: for the \
times, and with instructions counted. These (fuel) are the same whenever the same component gets \
the same frames, on any machine; with --against, both plugins get each frame in turn.

Examples:
  comux plugin bench target/plugins/motion.wasm gate.mp4
  comux plugin bench motion-2.wasm gate.mp4 --against motion-1.wasm
  comux plugin bench motion.wasm gate.mp4 --config '{\"threshold\": 20}' --json"
)]
pub struct Arguments {
    /// The component.
    #[arg(value_name = "PLUGIN.wasm")]
    plugin: String,
    /// A file, device or URL.
    video: String,
    /// Another component, to compare it with.
    #[arg(long, value_name = "OTHER.wasm")]
    against: Option<String>,
    /// The configuration: a JSON object, or @FILE with one. Given again, it is that of the other.
    #[arg(long = "config", value_name = "JSON")]
    configs: Vec<String>,
    /// End after so many packets.
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    packets: u64,
    /// One JSON object per plugin.
    #[arg(long)]
    json: bool,
}

/// What the calls of a plugin cost.
#[derive(Serialize)]
struct Cost {
    plugin: String,
    calls: u64,
    /// Calls that failed, for whatever reason.
    failed: u64,
    /// Microseconds of a call by the clock.
    time_us: Times,
    /// Microseconds of CPU time of a call.
    cpu_us: f64,
    /// Instructions of a call.
    fuel: u64,
    /// Bytes of linear memory at most.
    peak_memory: u64,
    /// Bytes of pixels that it read for a call.
    bytes_read: u64,
    /// Bytes of headers that it wrote for a call.
    header_bytes: u64,
}

#[derive(Serialize)]
struct Times {
    p50: u64,
    p99: u64,
    max: u64,
}

/// A plugin on a camera of its own.
struct Contestant {
    playback: Playback,
    plugin: String,
    times: Histogram<u64>,
    /// What configuring it took.
    before: UsageCounts,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let plugins: Vec<&String> =
        [Some(&arguments.plugin), arguments.against.as_ref()].into_iter().flatten().collect();
    if arguments.configs.len() > plugins.len() {
        let (given, most) = (arguments.configs.len(), plugins.len());
        return Err(Failure::usage(anyhow!("{given} times --config, and {most} to configure")));
    }
    let (timed, limits) = play(arguments, &plugins, Fuel::Uncounted)?;
    let (counted, _) = play(arguments, &plugins, Fuel::Counted)?;
    let costs: Vec<Cost> =
        timed.iter().zip(&counted).map(|(timed, counted)| timed.cost(counted)).collect();
    if costs.iter().any(|cost| cost.calls == 0) {
        return Err(Failure::failed(anyhow!("the video has no frame to call a plugin with")));
    }
    match arguments.json {
        true => costs.iter().try_for_each(print_json)?,
        false => print(&costs, &limits),
    }
    match costs.iter().all(|cost| cost.failed == 0) {
        true => Ok(()),
        false => Err(Failure::failed(anyhow!(
            "calls failed, whose cost is no measure; `comux plugin run` shows how"
        ))),
    }
}

/// Plays the video to each of the plugins, packet by packet in turn: whatever else the machine does
/// meanwhile concerns all of them.
fn play(
    arguments: &Arguments,
    plugins: &[&String],
    fuel: Fuel,
) -> Result<(Vec<Contestant>, Limits), Failure> {
    let mut reader = open_video(&arguments.video)?;
    let mut contestants = Vec::new();
    let mut limits = Limits::default();
    for (place, plugin) in plugins.iter().enumerate() {
        let sources = absolute(std::slice::from_ref(*plugin)).map_err(Failure::failed)?;
        let config = configuration(&sources, reader.codec, None).map_err(Failure::Usage)?;
        let own = arguments.configs.get(place..=place).unwrap_or_default();
        contestants.push(Contestant::open(&config, own, fuel)?);
        limits = config.limits;
    }
    for _ in 0..arguments.packets {
        let Some(packet) = reader.next_packet().map_err(Failure::failed)? else { break };
        for contestant in &mut contestants {
            contestant.play(&reader, packet.clone())?;
        }
    }
    for contestant in &mut contestants {
        contestant.playback.finish();
        contestant.settle();
    }
    Ok((contestants, limits))
}

impl Contestant {
    fn open(config: &Config, own: &[String], fuel: Fuel) -> Result<Self, Failure> {
        let spec = config.cameras.first().context("a camera").map_err(Failure::Failed)?;
        let tenant = config.open_tenants().get(spec.tenant.as_str()).context("a tenant");
        let tenant = tenant.map_err(Failure::Failed)?;
        let chain = load(config, spec, own, &tenant, fuel)?;
        let meter = chain.first().map(|plugin| Arc::clone(plugin.meter()));
        let meter = meter.context("a plugin").map_err(Failure::Failed)?;
        Ok(Self {
            playback: Playback::new(spec, tenant, PluginChain::new(chain, spec.rate)),
            plugin: meter.plugin.clone(),
            times: call_times()?,
            before: meter.counts(),
        })
    }

    fn play(&mut self, reader: &MediaReader, packet: MediaPacket) -> Result<(), Failure> {
        take(&mut self.playback, reader, packet)?;
        self.settle();
        Ok(())
    }

    fn settle(&mut self) {
        while let Some(played) = self.playback.next_played() {
            if let (Some(timing), Some(_)) = (played.outcome.timing, &played.frame) {
                self.times.saturating_record(timing.plugin);
            }
        }
    }

    /// What it used since it was configured.
    fn used(&self) -> UsageCounts {
        self.playback.stats().plugins().first().map(|meter| meter.counts()).unwrap_or_default()
    }

    /// What its calls cost; `counted`: itself, where instructions were counted.
    fn cost(&self, counted: &Self) -> Cost {
        let used = self.used();
        let calls = used.calls.max(1);
        let fuel = counted.used().fuel - counted.before.fuel;
        let failed = |used: &UsageCounts| used.failed.values().sum::<u64>();
        Cost {
            plugin: self.plugin.clone(),
            calls: used.calls,
            failed: failed(&used) + failed(&counted.used()),
            time_us: Times {
                p50: self.times.value_at_quantile(0.5),
                p99: self.times.value_at_quantile(0.99),
                max: self.times.max(),
            },
            cpu_us: (used.cpu_us - self.before.cpu_us) as f64 / calls as f64,
            fuel: fuel / counted.used().calls.max(1),
            peak_memory: used.peak_memory,
            bytes_read: used.bytes_read / calls,
            header_bytes: used.header_bytes / calls,
        }
    }
}

/// A line of the table: what it says of a plugin, and the number by which plugins compare.
type Row = (&'static str, fn(&Cost) -> (String, f64), String);

fn print(costs: &[Cost], limits: &Limits) {
    let deadline = format!("of {} ms (deadline_ms)", limits.deadline_ms);
    let rows: [Row; 8] = [
        ("time, p50", |cost| millis(cost.time_us.p50), String::new()),
        ("time, p99", |cost| millis(cost.time_us.p99), deadline.clone()),
        ("time, max", |cost| millis(cost.time_us.max), deadline),
        ("CPU time", |cost| (format!("{:.2} ms", cost.cpu_us / 1e3), cost.cpu_us), String::new()),
        ("instructions", |cost| (cost.fuel.to_string(), cost.fuel as f64), String::new()),
        (
            "peak memory",
            |cost| (format!("{:.1} MiB", cost.peak_memory as f64 / MIB), cost.peak_memory as f64),
            format!("of {} MiB (memory_mb)", limits.memory_mb),
        ),
        (
            "pixels read",
            |cost| (format!("{:.2} MiB", cost.bytes_read as f64 / MIB), cost.bytes_read as f64),
            format!("of {} MiB (read_mb)", limits.read_mb),
        ),
        (
            "headers",
            |cost| (format!("{} bytes", cost.header_bytes), cost.header_bytes as f64),
            format!("of {} KiB (header_kb)", limits.header_kb),
        ),
    ];
    for cost in costs {
        print_line(format_args!("{}: {} calls; for a call:", cost.plugin, cost.calls));
    }
    for (what, value, limit) in rows {
        let values: Vec<(String, f64)> = costs.iter().map(value).collect();
        let shown: String = values.iter().map(|(text, _)| format!("{text:>14}")).collect();
        let change = match values[..] {
            [(_, new), (_, old)] if old > 0.0 => format!("  {:>+7.1} %", (new / old - 1.0) * 100.0),
            _ => String::new(),
        };
        print_line(format_args!("  {what:12}{shown}{change}  {limit}").to_string().trim_end());
    }
}

const MIB: f64 = 1024.0 * 1024.0;

fn millis(micros: u64) -> (String, f64) {
    (format!("{:.2} ms", micros as f64 / 1e3), micros as f64)
}
