//! What the sandbox costs: `motion` as a component in comux's own `Instance`, and the same source
//! compiled natively, on the same pictures out of comux's decoder, in turns within one run. CPU
//! time of the thread, so that other processes do not count; results are compared for equality.
//!
//! `make bench-sandbox`; also a part of `make bench`, whose rows are kept together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that can't go on says so by panicking"
)]

use std::sync::Arc;

use comux::plugin::instance::CameraPlugin;
use comux::record::ResultHeader;
use comux::sched::cpu_time;
use comux::tenancy::Tenant;
use comux::video::decode::{Decoder, Fidelity};

use comux::video::frame::{self, Frame as DecodedFrame};
use comux_sdk::prelude::*;
use comux_sdk::testing::{NativeFrame, TestFrame};
use comux_tests::figures::{Bound, Table, is_wanted};

mod inside;

#[allow(dead_code, unreachable_pub, reason = "its tests and its manifest are elsewhere")]
#[path = "../../plugins/motion/src/lib.rs"]
mod motion;

/// Each clip is decoded so often.
const ROUNDS: usize = 12;

/// The host's picture, as it is lent to native code.
struct Lent<'a> {
    picture: &'a DecodedFrame,
    previous: Option<&'a DecodedFrame>,
}

impl NativeFrame for Lent<'_> {
    fn info(&self) -> FrameInfo {
        let info = self.picture.info();
        FrameInfo {
            sequence: info.seq,
            pts_us: info.pts_us,
            recorded_at_us: info.recorded_at_us,
            width: self.picture.width(),
            height: self.picture.height(),
            keyframe: info.keyframe,
            discontinuity: info.discontinuity,
        }
    }

    fn format(&self) -> FrameFormat {
        TestFrame::FORMAT
    }

    fn camera(&self) -> String {
        "bench".to_owned()
    }

    fn tenant(&self) -> String {
        "bench".to_owned()
    }

    fn read(&self, _: View) -> Result<Pixels, ReadError> {
        Err(ReadError::Unsupported("motion reads no pixels".to_owned()))
    }

    fn luma(&self) -> LumaStats {
        let frame::LumaStats { mean, stddev } = self.picture.luma_stats();
        LumaStats { mean, stddev }
    }

    fn histogram(&self) -> Vec<u32> {
        self.picture.histogram().to_vec()
    }

    fn motion_grid(&self, cols: u32, rows: u32) -> Vec<u8> {
        let previous = self.previous.map(DecodedFrame::luma);
        previous
            .and_then(|previous| frame::motion_grid(previous, self.picture.luma(), cols, rows))
            .unwrap_or_default()
    }

    fn headers(&self) -> Vec<comux_sdk::Header> {
        Vec::new()
    }
}

fn main() {
    if !is_wanted("sandbox") {
        return;
    }
    let mut table = Table::new();
    table.begin("sandbox");
    let loader = inside::loader();
    let tenant = Tenant::nobody();
    let seat = tenant.claim();
    let mut plugin = inside::instance(&loader, &tenant, "motion", "{}");
    let config = comux_sdk::serde_json::from_str("{}").unwrap();
    let mut native = motion::Motion::new(config).unwrap();
    let mut idle = inside::instance(&loader, &tenant, "noop", "{}");

    let (codec, packets) = inside::footage();

    let (mut decoding, mut sandboxed, mut direct) = (0, 0, 0);
    let (mut calls, mut pictures) = (Vec::new(), 0_u64);
    let mut previous: Option<Arc<DecodedFrame>> = None;
    for _ in 0..ROUNDS {
        let mut decoder = Decoder::open(codec, 1, Fidelity::Exact).expect("a decoder");
        for packet in &packets {
            // As a camera does for each record.
            let _turn = seat.take();
            let begin = cpu_time::of_this_thread();
            let picture = inside::decode(&mut decoder, packet, pictures);
            decoding += cpu_time::of_this_thread() - begin;
            let Some(picture) = picture else { continue };

            let in_sandbox = |plugin: &mut CameraPlugin| {
                let begin = cpu_time::of_this_thread();
                let headers = plugin.on_frame(&picture, Vec::new(), &seat);
                (headers, cpu_time::of_this_thread() - begin)
            };
            let natively = |native: &mut motion::Motion| {
                let lent = Lent { picture: &picture, previous: previous.as_deref() };
                let begin = cpu_time::of_this_thread();
                let headers = native.on_frame(&Frame::native(&lent));
                (headers, cpu_time::of_this_thread() - begin)
            };
            // The second finds the picture in the caches, so each is the second half of the time.
            let ((from_sandbox, sandbox_took), (from_native, native_took)) = if pictures % 2 == 0 {
                let sandboxed = in_sandbox(&mut plugin);
                (sandboxed, natively(&mut native))
            } else {
                let native = natively(&mut native);
                (in_sandbox(&mut plugin), native)
            };
            sandboxed += sandbox_took;
            direct += native_took;
            let (from_sandbox, from_native) = (from_sandbox.unwrap(), from_native.unwrap());
            for ResultHeader { name, value } in &from_sandbox {
                let text = std::str::from_utf8(value).unwrap();
                assert_eq!(from_native.get(name), Some(text), "{name} of picture {pictures}");
            }
            assert_eq!(from_sandbox.len(), 2);

            let begin = std::time::Instant::now();
            let _ = std::hint::black_box(idle.on_frame(&picture, Vec::new(), &seat));
            calls.push(begin.elapsed());
            previous = Some(picture);
            pictures += 1;
        }
    }
    let last = previous.expect("a picture");
    let _turn = seat.take();
    let mut warm: Vec<_> = (0..200_000)
        .map(|_| {
            let begin = std::time::Instant::now();
            let _ = std::hint::black_box(idle.on_frame(&last, Vec::new(), &seat));
            begin.elapsed()
        })
        .collect();
    warm.sort_unstable();
    calls.sort_unstable();
    let each = |nanos: u64| nanos as f64 / 1000.0 / pictures as f64;
    let (decoding, sandboxed, direct) = (each(decoding), each(sandboxed), each(direct));
    println!("{pictures} pictures of 768×576, CPU time per picture, results equal");
    println!("decoding                 {decoding:9.2} µs");
    println!("motion, natively         {direct:9.2} µs");
    println!("motion, as a plugin      {sandboxed:9.2} µs");
    let both = (decoding + sandboxed) / (decoding + direct);
    let most = Bound::AtMost(1.15);
    let motion = "`motion` as a plugin: CPU, natively = 1";
    table.goal(motion, sandboxed / direct, "×", most);
    table.goal("`motion` as a plugin with decoding: CPU, natively = 1", both, "×", most);
    let at = |calls: &[_], of| comux_tests::latency::permille(calls, of).as_nanos() as f64 / 1e3;
    let (p50, p99) = (Bound::AtMost(1.0), Bound::AtMost(5.0));
    table.goal("a call without pixels, between pictures: p50", at(&calls, 500), "µs", p50);
    table.goal("a call without pixels, between pictures: p99", at(&calls, 990), "µs", p99);
    table.goal("a call without pixels, again and again: p50", at(&warm, 500), "µs", p50);
    table.goal("a call without pixels, again and again: p99", at(&warm, 990), "µs", p99);
    table.keep();
}
