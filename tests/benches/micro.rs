//! What the steps of a frame's way cost one by one: a plugin's call, what plugins ask of a picture,
//! a record's place in the ledger, and its headers.
//!
//! `make bench-micro`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a measurement that can't go on says so by panicking"
)]

mod inside;

use std::hint::black_box;
use std::sync::Arc;

use comux::kafka::{RecordFacts, with_results};
use comux::record::Ledger;
use comux::record::{Outcome, ResultHeader, Status, Timing};
use comux::tenancy::Tenant;
use comux::video::decode::{Decoder, Fidelity};
use comux::video::frame::{Frame, LumaStats, PixelFormat, Rect, Scaler, View, motion_grid};
use criterion::{Criterion, criterion_group, criterion_main};
use rdkafka::message::OwnedHeaders;

/// Two pictures of the footage, one after the other.
fn pictures() -> [Arc<Frame>; 2] {
    let (codec, packets) = inside::footage();
    let mut decoder = Decoder::open(codec, 1, Fidelity::Exact).expect("a decoder");
    let mut packets = packets.iter().zip(0..);
    let mut next =
        || packets.find_map(|(packet, seq)| inside::decode(&mut decoder, packet, seq)).unwrap();
    [next(), next()]
}

fn call(criterion: &mut Criterion) {
    let tenant = Tenant::nobody();
    let mut plugin = inside::instance(&inside::loader(), &tenant, "noop", "{}");
    let seat = tenant.claim();
    let [picture, _] = pictures();
    let _turn = seat.take();
    criterion.bench_function("call: info and one header", |bencher| {
        bencher.iter(|| plugin.on_frame(&picture, Vec::new(), &seat));
    });
    // What the way through a shared instance costs a camera that has no company.
    let mut shared = inside::instance(&inside::loader(), &tenant, "odd-one-out", "{}");
    criterion.bench_function("call: one camera at a shared instance, three headers", |bencher| {
        bencher.iter(|| shared.on_frame(&picture, Vec::new(), &seat));
    });
}

fn picture(criterion: &mut Criterion) {
    let [before, now] = pictures();
    let mut group = criterion.benchmark_group("picture");
    group.bench_function("luma statistics", |bencher| {
        bencher.iter(|| LumaStats::of(black_box(now.luma())));
    });
    group.bench_function("luma histogram", |bencher| {
        bencher.iter(|| black_box(now.luma()).histogram());
    });
    group.bench_function("motion grid, 16×9", |bencher| {
        bencher.iter(|| motion_grid(before.luma(), black_box(now.luma()), 16, 9));
    });
    let part = Rect { x: 100, y: 100, width: 320, height: 240 };
    let all = |format| View { region: None, size: None, format };
    let views = [
        ("gray8, all of it", all(PixelFormat::Gray8)),
        ("i420, all of it", all(PixelFormat::I420)),
        ("rgb24, all of it", all(PixelFormat::Rgb24)),
        ("rgb24, a part of 320×240", View { region: Some(part), ..all(PixelFormat::Rgb24) }),
        ("rgb24, scaled to 224×224", View { size: Some((224, 224)), ..all(PixelFormat::Rgb24) }),
    ];
    let (mut scaler, mut pixels) = (Scaler::default(), Vec::new());
    for (name, view) in views {
        group.bench_function(format!("read: {name}"), |bencher| {
            bencher.iter(|| now.read(view, u64::MAX, &mut scaler, &mut pixels, || false).unwrap());
        });
    }
}

fn outcome() -> Outcome {
    let header = |name: &str, value: &str| ResultHeader { name: name.into(), value: value.into() };
    Outcome {
        status: Status::Analysed,
        plugins: Some("motion@0.1.0+sha256.0123456789ab".to_owned()),
        headers: vec![header("motion.score", "0.125"), header("motion.cells", "17")],
        timing: Some(Timing { queue: 1234, decode: 2345, plugin: 345 }),
    }
}

fn record(criterion: &mut Criterion) {
    let outcome = outcome();
    // Four frames in the decoder, as with B-frames.
    let mut ledger = Ledger::default();
    let first = ledger.admit_unit(());
    for _ in 0..3 {
        ledger.admit_unit(());
    }
    let mut seq = first;
    criterion.bench_function("ledger: in, a picture, out", |bencher| {
        bencher.iter(|| {
            ledger.admit_unit(());
            ledger.frame_out(seq, 4);
            ledger.settle(seq, outcome.clone());
            seq += 1;
            ledger.pop_settled().unwrap()
        });
    });
    let facts =
        RecordFacts { seq: 123_456, pts_us: Some(40_000), keyframe: false, times_made_again: 0 };
    criterion.bench_function("headers: nine, two of them a plugin's", |bencher| {
        bencher.iter(|| {
            let own = OwnedHeaders::new_with_capacity(10);
            with_results(own, "cameras.acme.gate/0/123456", facts, black_box(&outcome))
        });
    });
}

criterion_group!(steps, call, picture, record);
criterion_main!(steps);
