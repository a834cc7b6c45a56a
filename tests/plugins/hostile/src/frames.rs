//! Attacks while a frame is analysed.

use std::hint::black_box;

use crate::bindings::comux::plugin::frames::{Frame, ReadError};
use crate::bindings::comux::plugin::log::{Level, emit};
use crate::bindings::comux::plugin::metrics;
use crate::bindings::comux::plugin::types::{Header, PixelFormat, PluginError, Rect, View};
use crate::bindings::exports::comux::hostile::things;
use crate::heap::{self, LOOP_ON_ALLOC, LOOP_ON_FREE, TRAP_ON_ALLOC};
use crate::hooks::{Config, FORGED, Thing, text};
use crate::ways;

const FORMATS: [PixelFormat; 6] = [
    PixelFormat::Gray8,
    PixelFormat::Rgb24,
    PixelFormat::Bgr24,
    PixelFormat::Rgba32,
    PixelFormat::I420,
    PixelFormat::Nv12,
];

/// Attacks in the way that `config` names. What survives it gives headers.
pub fn attack(config: &Config, frame: &Frame) -> Result<Vec<Header>, PluginError> {
    let size = config.size;
    match config.how.as_str() {
        "loop" => ways::loop_forever(),
        "loop-in-drop" => drop(things::Thing::new(Thing { loops_when_dropped: true })),
        "loop-in-realloc" => {
            heap::arm(LOOP_ON_ALLOC);
            black_box(frame.histogram());
        }
        "trap-in-realloc" => {
            heap::arm(TRAP_ON_ALLOC);
            black_box(frame.histogram());
        }
        "loop-in-post-return" => heap::arm(LOOP_ON_FREE),
        "trap" => ways::trap(),
        "recursion" => drop(black_box(ways::recurse(0))),

        "grow" => ways::grow_by_pages(),
        "grow-by" => ways::grow_by(size as usize),
        "grow-to-the-end" => ways::grow_to_the_end(),
        "ask-for-everything" => return Ok(seen(ways::ask_for_everything())),
        "fill" => ways::fill_forever(size as usize),
        "copy" => ways::copy_forever(size as usize),

        "many-headers" => return Ok((0..size).map(|_| header("hostile.big", "")).collect()),
        "large-header" => return Ok(vec![header("hostile.big", text(size))]),
        "forged-header" => return Ok(vec![header("hostile.big", FORGED)]),
        "reserved-header" => return Ok(vec![header("comux-status", "analysed")]),
        "undeclared-header" => return Ok(vec![header("hostile.undeclared", "1")]),
        "unreadable-header" => {
            // SAFETY: that it is no UTF-8 is the attack; nothing here looks at it.
            let name = unsafe { String::from_utf8_unchecked(b"hostile.\xff\xfe".to_vec()) };
            return Ok(vec![Header { name, value: Vec::new() }]);
        }
        "repeated-headers" => {
            let own = (0..size).map(|number| header("hostile.seen", number.to_string()));
            return Ok(own.collect());
        }

        "hoard-handles" => loop {
            std::mem::forget(things::Thing::new(Thing { loops_when_dropped: false }));
        },
        "keep-frame" => {
            // Without its handle, it is not given back.
            black_box(frame.take_handle());
        }

        "log-lines" => (0..size).for_each(|number| emit(Level::Warn, &format!("line {number}"))),
        "log-long" => emit(Level::Error, &text(size)),
        "log-forged" => emit(Level::Warn, FORGED),
        "metric-names" => (0..size).for_each(|number| {
            metrics::add(&format!("hostile.{number}"), 1);
            metrics::set(&text(number % 100), f64::NAN);
        }),
        "metric-forged" => metrics::add(FORGED, 1),
        "metric-long" => metrics::add(&text(size), 1),
        "metric-loop" => loop {
            metrics::observe("hostile.observed", 1.0);
        },

        "odd-reads" => return Ok(seen(odd_reads(frame))),
        "read-budget" => return Ok(seen(reads_until_refused(frame))),
        "read-loop" => loop {
            // Of the whole frame, so it takes its time, and next to nothing, so no budget ends it.
            black_box(frame.read(view(None, Some((1, 1)), PixelFormat::Rgb24)).is_ok());
        },
        "large-reads" => loop {
            let large = Some((4 * frame.info().width, 4 * frame.info().height));
            black_box(frame.read(view(None, large, PixelFormat::Rgba32)).is_ok());
        },
        "grid-loop" => loop {
            black_box(frame.motion_grid(256, 256));
        },
        "info-loop" => loop {
            black_box((frame.info(), frame.headers(), frame.luma()));
        },

        "invalid-input" => return Err(PluginError::InvalidInput(text(size))),
        "forged-error" => return Err(PluginError::InvalidInput(FORGED.to_owned())),
        "transient" => return Err(PluginError::Transient(text(size))),
        "fatal" => return Err(PluginError::Fatal(text(size))),
        _ => {}
    }
    Ok(Vec::new())
}

fn header(name: &str, value: impl Into<String>) -> Header {
    Header { name: name.to_owned(), value: value.into().into_bytes() }
}

fn seen(what: impl ToString) -> Vec<Header> {
    vec![header("hostile.seen", what.to_string())]
}

fn view(region: Option<Rect>, size: Option<(u32, u32)>, format: PixelFormat) -> View {
    View { region, size, format }
}

/// Reads all that makes no sense, in all formats. Tells how many were answered with pixels, refused
/// as unsupported, and refused as too large; and that each answer was as large as it said.
fn odd_reads(frame: &Frame) -> String {
    let info = frame.info();
    let (width, height) = (info.width, info.height);
    let whole = Rect { x: 0, y: 0, width, height };
    let most = Rect { x: u32::MAX, y: u32::MAX, width: u32::MAX, height: u32::MAX };
    let regions = [
        None,
        Some(most),
        Some(Rect { x: 0, y: 0, ..most }),
        Some(Rect { x: width, ..whole }),
        Some(Rect { y: height, ..whole }),
        Some(Rect { x: width - 1, y: height - 1, ..most }),
        Some(Rect { width: 0, ..whole }),
        Some(Rect { height: 0, ..whole }),
        Some(Rect { x: 1, y: 1, width: 1, height: 1 }),
    ];
    let sizes = [
        None,
        Some((0, 0)),
        Some((0, 1)),
        Some((1, 0)),
        Some((1, 1)),
        Some((3, 7)),
        Some((u32::MAX, u32::MAX)),
        Some((u32::MAX, 1)),
        Some((1, u32::MAX)),
        Some((16_384, 1)),
        Some((1, 16_384)),
        Some((16_384, 16_384)),
    ];
    let (mut answered, mut unsupported, mut too_large) = (0, 0, 0);
    for format in FORMATS {
        for region in regions {
            for size in sizes {
                match frame.read(view(region, size, format)) {
                    Ok(pixels) => {
                        answered += 1;
                        let area = pixels.width as usize * pixels.height as usize;
                        let chroma = pixels.width.div_ceil(2) * pixels.height.div_ceil(2);
                        let bytes = match format {
                            PixelFormat::Gray8 => area,
                            PixelFormat::Rgb24 | PixelFormat::Bgr24 => 3 * area,
                            PixelFormat::Rgba32 => 4 * area,
                            PixelFormat::I420 | PixelFormat::Nv12 => area + 2 * chroma as usize,
                        };
                        assert_eq!(pixels.data.len(), bytes);
                    }
                    Err(ReadError::Unsupported(_)) => unsupported += 1,
                    Err(ReadError::TooLarge(_)) => too_large += 1,
                }
            }
        }
    }
    let sides = [0, 1, 256, 257, width, u32::MAX];
    let grids = sides.iter().flat_map(|&cols| sides.map(|rows| frame.motion_grid(cols, rows)));
    let grids = grids.filter(|grid| !grid.is_empty()).count();
    // The first time there is nothing to compare with.
    assert!(grids == 0 || grids == 4);
    format!("{answered} answered, {unsupported} unsupported, {too_large} too large")
}

/// Reads a whole frame again and again, until the host has had enough. Tells how many bytes came.
fn reads_until_refused(frame: &Frame) -> u64 {
    let mut bytes = 0;
    for _ in 0..10_000 {
        match frame.read(view(None, None, PixelFormat::Rgba32)) {
            Ok(pixels) => bytes += pixels.data.len() as u64,
            Err(_) => return bytes,
        }
    }
    u64::MAX
}
