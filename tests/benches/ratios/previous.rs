//! comux 0.2.0, the Python package that comux succeeds, and comux: how many frames a second each
//! keeps up with while cameras go on sending. The former does no analysis, since it can't send
//! results; comux runs `motion` on every frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use comux_tests::cost;
use comux_tests::feed::Feed;
use comux_tests::figures::{Bound, Table};
use comux_tests::latency::create_topics;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Reader, Record};

use crate::clips::{self, Footage};
use crate::python::Peer;
use crate::run::{micros, names};

/// How long each rate is measured.
const STEP: Duration = Duration::from_secs(4);
/// Before that, it begins.
const SETTLING: Duration = Duration::from_secs(1);
/// Each rate is so much of the one before.
const FACTOR: f64 = 1.25;
/// This much of what came in must have come out.
const KEPT_UP: f64 = 0.97;

/// Counts the records of these cameras for which something holds.
struct Counter {
    count: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Counter {
    fn start(cameras: &[String], counts: fn(&Record) -> bool) -> Self {
        let outputs: Vec<String> = cameras.iter().map(|it| format!("stream_{it}")).collect();
        let (count, stopping) = (Arc::default(), Arc::<AtomicBool>::default());
        let (counted, stop) = (Arc::<AtomicUsize>::clone(&count), Arc::clone(&stopping));
        let thread = std::thread::spawn(move || {
            let mut reader = Reader::of_all(&outputs);
            while !stop.load(Ordering::Relaxed) {
                if reader.next_within(Duration::from_millis(100)).is_some_and(|it| counts(&it)) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { count, stopping, thread: Some(thread) }
    }

    fn now(&self) -> f64 {
        self.count.load(Ordering::Relaxed) as f64
    }

    /// What one rate left behind must not be counted at the next.
    fn wait_until_nothing_comes(&self) {
        let mut before = f64::NAN;
        while self.now() != before {
            before = self.now();
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it has to say was said where it panicked.
            let _ = thread.join();
        }
    }
}

/// What somebody keeps up with.
struct Sustained {
    /// Frames a second, of all cameras together.
    per_second: f64,
    /// And their cost, each.
    cpu: Duration,
}

/// The highest rate that whoever reads the topics of these cameras keeps up with; from `first`
/// frames a second of each on in steps, until it fails twice at one.
fn sustained(
    cameras: &[String],
    footage: &'static Footage,
    first: u32,
    cpu: impl Fn() -> Duration,
    counts: fn(&Record) -> bool,
) -> Sustained {
    let inputs: Vec<String> = cameras.iter().map(|camera| format!("raw_{camera}")).collect();
    let counter = Counter::start(cameras, counts);
    let mut best = Sustained { per_second: 0.0, cpu: Duration::ZERO };
    let (mut per_camera, mut failures) = (first, 0);
    while failures < 2 {
        let feed = Feed::start(&inputs, &footage.clip, per_camera);
        std::thread::sleep(SETTLING);
        let (sent, came, used, began) = (feed.sent(), counter.now(), cpu(), Instant::now());
        std::thread::sleep(STEP);
        let seconds = began.elapsed().as_secs_f64();
        let (used, out) = (cpu() - used, counter.now() - came);
        let fed = ((feed.sent() - sent) * cameras.len()) as f64;
        let _ = feed.stop();
        counter.wait_until_nothing_comes();
        println!("  {:.0} frames a second in, {:.0} out", fed / seconds, out / seconds);
        if out >= fed * KEPT_UP {
            best = Sustained { per_second: out.min(fed) / seconds, cpu: used.div_f64(out) };
            per_camera = (f64::from(per_camera) * FACTOR).ceil() as u32;
            failures = 0;
        } else if best.per_second == 0.0 && per_camera > 1 {
            // The machine is slower than thought.
            per_camera /= 2;
        } else {
            failures += 1;
        }
    }
    assert!(best.per_second > 0.0, "it keeps up with no rate");
    best
}

/// So many cameras of this footage; the rates that comux 0.2.0 and comux begin with, of each.
fn compare(table: &mut Table, count: usize, footage: &'static Footage, first: [u32; 2]) {
    let cameras = names(&format!("bench-previous-{count}"), count);
    create_topics(&cameras);
    let mut arguments = vec![footage.clip.codec];
    arguments.extend(cameras.iter().map(String::as_str));
    println!("  comux 0.2.0, {count} cameras of {}", footage.size);
    let previous = {
        let peer = Peer::start("previous.py", &arguments);
        sustained(&cameras, footage, first[0], || cost::of_process(peer.pid()), |_| true)
    };
    let cameras = names(&format!("bench-successor-{count}"), count);
    let plugin = plugins_line("motion", "");
    let lines = format!("mode = 'every-frame'\nstart = 'beginning'\n{plugin}");
    let mut config = Config::new(&cameras[0]);
    for camera in &cameras {
        config = config.camera(camera, &lines);
    }
    println!("  comux, {count} cameras of {}", footage.size);
    let comux = Comux::run(&config);
    let own = sustained(&cameras, footage, first[1], || comux.cpu(), Record::is_analysed);
    let _ = comux.stop();
    let what = format!("{count} cameras of {}", footage.size);
    let mut row = |row: &str, figure, unit| table.row(&format!("{what}: {row}"), figure, unit);
    row("comux 0.2.0 without analysis, sustained", previous.per_second, "fps");
    row("comux with motion, sustained", own.per_second, "fps");
    let less = micros(previous.cpu) / micros(own.cpu);
    row("frames per CPU second, comux 0.2.0 = 1", less, "×");
    let more = own.per_second / previous.per_second;
    table.goal(&format!("{what}: sustained, comux 0.2.0 = 1"), more, "×", Bound::AtLeast(10.0));
}

pub fn measure(table: &mut Table) {
    compare(table, 4, clips::full_hd(), [10, 25]);
    compare(table, 16, clips::substream(), [5, 25]);
}
