//! Test cards of flat patches, coded and decoded by the formulas of the standards, in floating
//! point.

use ffmpeg_next::frame::Video;

use super::*;
use crate::video::frame::{Frame, FrameFacts, PixelFormat, Rect, Scaler, View};

/// Patches of a card: so many in a row, and rows.
const PATCHES: (usize, usize) = (8, 4);
const PATCH: usize = 32;
const CARD: (u32, u32) = (256, 128);

/// How much red and how much blue is in luma: ITU-R BT.601-7, 2.5.1; BT.709-6, 3.2; BT.2020-2,
/// table 4.
const BT_601: (f64, f64) = (0.299, 0.114);
const BT_709: (f64, f64) = (0.2126, 0.0722);
const BT_2020: (f64, f64) = (0.2627, 0.0593);

/// Corners of the cube, grays, BT.709's green of the field, and colours in between.
fn colours() -> [[f64; 3]; 32] {
    std::array::from_fn(|patch| match patch {
        0..8 => [patch & 1, patch >> 1 & 1, patch >> 2].map(|on| on as f64),
        8..16 => [(patch - 8) as f64 / 7.0; 3],
        16 => [0.0, 192.0 / 255.0, 0.0],
        _ => [37, 61, 89].map(|step| (step * patch % 101) as f64 / 100.0),
    })
}

/// A sample of each component: BT.601-7, 2.5.3, BT.709-6, 4.6 and BT.2020-2, table 5; of full
/// range, ITU-T H.273, 8.3 (`VideoFullRangeFlag` 1).
fn coded([red, green, blue]: [f64; 3], (kr, kb): (f64, f64), range: Range, bits: u8) -> [u16; 3] {
    let luma = kr * red + (1.0 - kr - kb) * green + kb * blue;
    let chroma = [(blue - luma) / (2.0 * (1.0 - kb)), (red - luma) / (2.0 * (1.0 - kr))];
    let (scale, most) = (f64::from(1 << (bits - 8)), f64::from((1 << bits) - 1));
    let [luma, u, v] = match range {
        Range::Limited => [
            scale * (219.0 * luma + 16.0),
            scale * (224.0 * chroma[0] + 128.0),
            scale * (224.0 * chroma[1] + 128.0),
        ],
        Range::Full => {
            [most * luma, most * chroma[0] + 128.0 * scale, most * chroma[1] + 128.0 * scale]
        }
    };
    [luma, u, v].map(|sample| sample.round().clamp(0.0, most) as u16)
}

/// Back again, 0 to 255.
fn decoded(samples: [u16; 3], (kr, kb): (f64, f64), range: Range, bits: u8) -> [f64; 3] {
    let (scale, most) = (f64::from(1 << (bits - 8)), f64::from((1 << bits) - 1));
    let [luma, u, v] = samples.map(f64::from);
    let (luma, u, v) = match range {
        Range::Limited => (
            (luma / scale - 16.0) / 219.0,
            (u / scale - 128.0) / 224.0,
            (v / scale - 128.0) / 224.0,
        ),
        Range::Full => (luma / most, (u - 128.0 * scale) / most, (v - 128.0 * scale) / most),
    };
    let (red, blue) = (luma + 2.0 * (1.0 - kr) * v, luma + 2.0 * (1.0 - kb) * u);
    let green = (luma - kr * red - kb * blue) / (1.0 - kr - kb);
    [red, green, blue].map(|part| (255.0 * part).clamp(0.0, 255.0))
}

/// Fills a frame; `sample` is asked for a component's value at a place of its plane.
fn fill(frame: &mut Video, sample: impl Fn(usize, (usize, usize)) -> u16) {
    // SAFETY: descriptors are static tables, and this format has one.
    let descriptor = unsafe { &*ffi::av_pix_fmt_desc_get(frame.format().into()) };
    let big_endian = descriptor.flags & ffi::AV_PIX_FMT_FLAG_BE as u64 != 0;
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    for number in 0..usize::from(descriptor.nb_components) {
        let component = descriptor.comp[number];
        let is_chroma = number > 0 && descriptor.nb_components > 2;
        let (across, down) =
            if is_chroma { (descriptor.log2_chroma_w, descriptor.log2_chroma_h) } else { (0, 0) };
        let plane = component.plane as usize;
        let stride = frame.stride(plane);
        for y in 0..height >> down {
            for x in 0..width >> across {
                let value = sample(number, (x << across, y << down)) << component.shift;
                let at = y * stride + x * component.step as usize + component.offset as usize;
                let bytes = if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
                if component.depth + component.shift > 8 {
                    frame.data_mut(plane)[at..at + 2].copy_from_slice(&bytes);
                } else {
                    frame.data_mut(plane)[at] = value as u8;
                }
            }
        }
    }
}

fn patch_at((x, y): (usize, usize)) -> usize {
    y / PATCH * PATCHES.0 + x / PATCH
}

fn read(frame: &Frame, want: View) -> Vec<u8> {
    let mut out = Vec::new();
    frame.read(want, u64::MAX, &mut Scaler::default(), &mut out, || false).unwrap();
    out
}

fn whole(size: Option<(u32, u32)>, format: PixelFormat) -> View {
    View { region: None, size, format }
}

/// The colour at each patch's centre.
fn centres(pixels: &[u8], (width, height): (u32, u32), format: PixelFormat) -> Vec<[u8; 3]> {
    let bytes = if format == PixelFormat::Rgba32 { 4 } else { 3 };
    let (width, height) = (width as usize, height as usize);
    let centre = |patch: usize| {
        let x = (2 * (patch % PATCHES.0) + 1) * width / (2 * PATCHES.0);
        let y = (2 * (patch / PATCHES.0) + 1) * height / (2 * PATCHES.1);
        let at = (y * width + x) * bytes;
        let [first, second, third] = *pixels[at..].first_chunk::<3>().unwrap();
        let is_reversed = format == PixelFormat::Bgr24;
        if is_reversed { [third, second, first] } else { [first, second, third] }
    };
    (0..PATCHES.0 * PATCHES.1).map(centre).collect()
}

fn worst(found: &[[u8; 3]], expected: &[[f64; 3]]) -> f64 {
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    pairs.map(|(&found, expected)| (f64::from(found) - expected).abs()).fold(0.0, f64::max)
}

const RGB: [PixelFormat; 3] = [PixelFormat::Rgb24, PixelFormat::Bgr24, PixelFormat::Rgba32];

#[test]
fn red_green_and_blue_follow_the_matrix_and_the_range_of_the_stream() {
    let matrices = [
        (BT_601, color::Space::SMPTE170M, Matrix::Bt601),
        (BT_601, color::Space::BT470BG, Matrix::Bt601),
        (BT_709, color::Space::BT709, Matrix::Bt709),
        (BT_2020, color::Space::BT2020NCL, Matrix::Bt2020),
    ];
    let formats = [
        (Pixel::YUV420P, 8),
        (Pixel::YUV422P, 8),
        (Pixel::YUV444P, 8),
        (Pixel::NV12, 8),
        (Pixel::YUVA420P, 8),
        (Pixel::YUV420P10LE, 10),
        (Pixel::YUV422P10LE, 10),
        (Pixel::P010LE, 10),
    ];
    let ranges = [(Range::Limited, color::Range::MPEG), (Range::Full, color::Range::JPEG)];
    for (weights, space, matrix) in matrices {
        for ((pixel, bits), (range, said)) in
            formats.into_iter().flat_map(|format| ranges.map(|range| (format, range)))
        {
            let card = colours().map(|colour| coded(colour, weights, range, bits));
            let mut frame = Video::new(pixel, CARD.0, CARD.1);
            fill(&mut frame, |part, place| card[patch_at(place)].get(part).copied().unwrap_or(255));
            frame.set_color_space(space);
            frame.set_color_range(said);
            let frame = Frame::new(FrameFacts::default(), frame);
            let colour = frame.colour();
            assert_eq!((colour.matrix, colour.range, colour.bit_depth), (matrix, range, bits));
            assert!(colour.is_matrix_stated && colour.is_range_stated);
            let expected = card.map(|samples| decoded(samples, weights, range, bits));
            for size in [None, Some((128, 64)), Some((200, 100)), Some((400, 200))] {
                for format in RGB {
                    let found = read(&frame, whole(size, format));
                    let found = centres(&found, size.unwrap_or(CARD), format);
                    let worst = worst(&found, &expected);
                    let about = format!("{space:?} {range:?} {pixel:?} {size:?} {format:?}");
                    assert!(worst <= 2.0, "{about}: {worst}\n{found:?}\n{expected:?}");
                }
            }
        }
    }
}

#[test]
fn motion_jpeg_is_full_range_by_its_format_and_unstated_streams_are_limited() {
    for (pixel, expected) in [
        (Pixel::YUVJ420P, (Range::Full, true)),
        (Pixel::YUV420P, (Range::Limited, false)),
        (Pixel::GRAY8, (Range::Limited, false)),
        (Pixel::RGB24, (Range::Full, true)),
    ] {
        let colour = Frame::new(FrameFacts::default(), Video::new(pixel, 64, 64)).colour();
        assert_eq!((colour.range, colour.is_range_stated), expected, "{pixel:?}");
    }
}

#[test]
fn the_matrix_of_a_stream_that_says_none_goes_by_its_size() {
    for (size, expected) in [
        ((640, 360), Matrix::Bt601),
        ((704, 576), Matrix::Bt601),
        ((1280, 534), Matrix::Bt709),
        ((1280, 720), Matrix::Bt709),
        ((720, 1280), Matrix::Bt709),
    ] {
        let colour =
            Frame::new(FrameFacts::default(), Video::new(Pixel::YUV420P, size.0, size.1)).colour();
        assert_eq!((colour.matrix, colour.is_matrix_stated), (expected, false), "{size:?}");
        let mut frame = Video::new(Pixel::YUV420P, size.0, size.1);
        let weights = if expected == Matrix::Bt709 { BT_709 } else { BT_601 };
        let green = coded([0.0, 192.0 / 255.0, 0.0], weights, Range::Limited, 8);
        fill(&mut frame, |part, _| green[part]);
        let frame = Frame::new(FrameFacts::default(), frame);
        // Down to a single pixel, which libswscale does in two steps.
        for to in [None, Some((224, 224)), Some((3, 2)), Some((1, 1))] {
            let found = read(&frame, whole(to, PixelFormat::Rgb24));
            let expected = decoded(green, weights, Range::Limited, 8);
            let middle = found.len() / 6 * 3;
            let worst = worst(&[*found[middle..].first_chunk().unwrap()], &[expected]);
            assert!(worst <= 2.0, "{size:?} as {to:?}: {:?}", &found[middle..middle + 3]);
        }
    }
}

#[test]
fn a_view_of_a_single_pixel_has_the_colours_of_the_stream() {
    for (said, range) in [(color::Range::MPEG, Range::Limited), (color::Range::JPEG, Range::Full)] {
        for (pixel, bits) in [(Pixel::YUV420P, 8), (Pixel::YUV420P10LE, 10), (Pixel::GRAY8, 8)] {
            for colour in [[0.0, 192.0 / 255.0, 0.0], [1.0, 0.0, 0.0], [0.9; 3]] {
                let neutral = 1 << (bits - 1);
                let mut samples = coded(colour, BT_709, range, bits);
                if pixel == Pixel::GRAY8 {
                    samples = [samples[0], neutral, neutral];
                }
                let mut frame = Video::new(pixel, 1920, 1080);
                fill(&mut frame, |part, _| samples[part]);
                frame.set_color_space(color::Space::BT709);
                frame.set_color_range(said);
                let frame = Frame::new(FrameFacts::default(), frame);
                let expected = decoded(samples, BT_709, range, bits);
                let found = read(&frame, whole(Some((1, 1)), PixelFormat::Rgb24));
                let worst = worst(&[*found.first_chunk().unwrap()], &[expected]);
                // Gray and planes are scaled fast, which drops remainders.
                let most = if pixel == Pixel::GRAY8 { 2.5 } else { 2.0 };
                assert!(worst <= most, "{pixel:?} {range:?} {expected:?}: {found:?}");
                let planes = read(&frame, whole(Some((1, 1)), PixelFormat::I420));
                let in_8_bit = samples.map(|sample| f64::from(sample) / f64::from(1 << (bits - 8)));
                for (found, expected) in planes.iter().zip(in_8_bit) {
                    let about = format!("{pixel:?} {range:?}: {planes:?} {in_8_bit:?}");
                    assert!((f64::from(*found) - expected).abs() <= 2.0, "{about}");
                }
            }
        }
    }
}

/// The luma of a frame of each depth whose samples are all there are, or evenly spread.
#[test]
fn luma_of_more_bits_is_divided_down_to_8_and_never_squeezed() {
    for (pixel, bits) in [
        (Pixel::GRAY9LE, 9),
        (Pixel::GRAY10LE, 10),
        (Pixel::GRAY12LE, 12),
        (Pixel::GRAY14LE, 14),
        (Pixel::GRAY16LE, 16),
        (Pixel::GRAY16BE, 16),
        (Pixel::GRAY12BE, 12),
        (Pixel::YA16LE, 16),
        (Pixel::YA8, 8),
        (Pixel::YUYV422, 8),
        (Pixel::UYVY422, 8),
        (Pixel::NV16, 8),
        (Pixel::YUVA420P, 8),
        (Pixel::YUV420P10LE, 10),
        (Pixel::YUV422P10BE, 10),
        (Pixel::YUV444P12LE, 12),
        (Pixel::YUV420P16LE, 16),
        (Pixel::P010LE, 10),
        (Pixel::P016LE, 16),
    ] {
        for said in [color::Range::JPEG, color::Range::MPEG, color::Range::Unspecified] {
            let (width, height) = (CARD.0 as usize, CARD.1 as usize);
            let most = (1_usize << bits) - 1;
            let value = |(x, y)| ((y * width + x) * most / (width * height - 1)) as u16;
            let mut frame = Video::new(pixel, CARD.0, CARD.1);
            fill(&mut frame, |part, place| if part == 0 { value(place) } else { 77 });
            frame.set_color_range(said);
            let frame = Frame::new(FrameFacts::default(), frame);
            let excess = f64::from(1 << (bits - 8));
            let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
            let reduced = |place| (f64::from(value(place)) / excess).round().min(255.0) as u8;
            let expected: Vec<u8> = places.map(reduced).collect();
            let luma: Vec<u8> = frame.luma().rows().flatten().copied().collect();
            assert!(luma == expected, "{pixel:?} {said:?}");
            assert!(read(&frame, whole(None, PixelFormat::Gray8)) == expected, "{pixel:?}");
            let part = Rect { x: 32, y: 0, width: 32, height: 1 };
            let want = View { region: Some(part), ..whole(None, PixelFormat::Gray8) };
            assert_eq!(read(&frame, want), expected[32..64], "{pixel:?}");
        }
    }
}

#[test]
fn gray_as_colours_is_stretched_by_its_range_alone() {
    for (said, range) in [(color::Range::MPEG, Range::Limited), (color::Range::JPEG, Range::Full)] {
        for (pixel, bits) in [(Pixel::GRAY8, 8), (Pixel::GRAY10LE, 10), (Pixel::GRAY16BE, 16)] {
            let card = colours().map(|colour| coded(colour, BT_709, range, bits)[0]);
            let mut frame = Video::new(pixel, CARD.0, CARD.1);
            fill(&mut frame, |_, place| card[patch_at(place)]);
            frame.set_color_range(said);
            let frame = Frame::new(FrameFacts::default(), frame);
            let neutral = 1 << (bits - 1);
            let expected = card.map(|luma| decoded([luma, neutral, neutral], BT_709, range, bits));
            for size in [None, Some((128, 64)), Some((200, 100))] {
                for format in RGB {
                    let found = read(&frame, whole(size, format));
                    let found = centres(&found, size.unwrap_or(CARD), format);
                    let worst = worst(&found, &expected);
                    assert!(worst <= 2.0, "{pixel:?} {range:?} {size:?} {format:?}: {worst}");
                }
            }
            // Its planes are the luma and chroma of nothing.
            let planes = read(&frame, whole(None, PixelFormat::I420));
            let (luma, chroma) = planes.split_at((CARD.0 * CARD.1) as usize);
            assert!(luma == read(&frame, whole(None, PixelFormat::Gray8)), "{pixel:?}");
            assert!(chroma.iter().all(|&sample| sample == 128), "{pixel:?}");
        }
    }
}

#[test]
fn planes_of_luma_and_chroma_are_as_they_are_coded() {
    for (pixel, said) in [
        (Pixel::YUV420P, color::Range::MPEG),
        (Pixel::YUV420P, color::Range::JPEG),
        (Pixel::YUVJ420P, color::Range::JPEG),
    ] {
        let mut frame = Video::new(pixel, CARD.0, CARD.1);
        fill(&mut frame, |part, (x, y)| ((x * 3 + y * 5 + part * 70) % 256) as u16);
        frame.set_color_range(said);
        let frame = Frame::new(FrameFacts::default(), frame);
        let planes = read(&frame, whole(None, PixelFormat::I420));
        let at = |part: usize, x: usize, y: usize| ((x * 3 + y * 5 + part * 70) % 256) as u8;
        let (width, height) = (CARD.0 as usize, CARD.1 as usize);
        let places = |step: usize| {
            (0..height)
                .step_by(step)
                .flat_map(move |y| (0..width).step_by(step).map(move |x| (x, y)))
        };
        let luma = places(1).map(|(x, y)| at(0, x, y));
        let chroma = [1, 2].map(|part| places(2).map(move |(x, y)| at(part, x, y)));
        let expected: Vec<u8> = luma.chain(chroma.into_iter().flatten()).collect();
        assert!(planes == expected, "{pixel:?} {said:?}");
    }
}

/// As JPEG has it: BT.601's weights, full range.
#[test]
fn a_stream_of_red_green_and_blue_stays_as_it_is_and_its_luma_is_full_range() {
    for pixel in [Pixel::RGB24, Pixel::BGR24, Pixel::RGBA, Pixel::GBRP] {
        let card = colours().map(|colour| colour.map(|part| (part * 255.0).round() as u16));
        let mut frame = Video::new(pixel, CARD.0, CARD.1);
        fill(&mut frame, |part, place| card[patch_at(place)].get(part).copied().unwrap_or(255));
        let frame = Frame::new(FrameFacts::default(), frame);
        assert_eq!(frame.colour().matrix, Matrix::Rgb);
        let expected = card.map(|colour| colour.map(f64::from));
        for (size, most) in [(None, 0.0), (Some((128, 64)), 2.0)] {
            let found = read(&frame, whole(size, PixelFormat::Rgb24));
            let found = centres(&found, size.unwrap_or(CARD), PixelFormat::Rgb24);
            let worst = worst(&found, &expected);
            assert!(worst <= most, "{pixel:?} {size:?}: {worst}");
        }
        let luma = read(&frame, whole(None, PixelFormat::Gray8));
        for (patch, colour) in expected.iter().enumerate() {
            let (x, y) = (patch % PATCHES.0 * PATCH + PATCH / 2, patch / PATCHES.0 * PATCH + 16);
            let [red, green, blue] = colour;
            let expected = 0.299 * red + 0.587 * green + 0.114 * blue;
            let found = f64::from(luma[y * CARD.0 as usize + x]);
            assert!((found - expected).abs() <= 1.0, "{pixel:?} {colour:?}: {found}, {expected}");
        }
    }
}
