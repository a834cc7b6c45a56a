use super::*;
use crate::video::frame::{Frame, FrameFacts};

/// A frame whose luma is `x + y`, and whose chroma is neutral.
fn gradient(width: u32, height: u32) -> Frame {
    let mut frame = ffmpeg::frame::Video::new(Pixel::YUV420P, width, height);
    let stride = frame.stride(0);
    for y in 0..height as usize {
        for x in 0..width as usize {
            frame.data_mut(0)[y * stride + x] = (x + y) as u8;
        }
    }
    frame.data_mut(1).fill(128);
    frame.data_mut(2).fill(128);
    Frame::new(FrameFacts::default(), frame)
}

fn view(region: Option<Rect>, size: Option<(u32, u32)>, format: PixelFormat) -> View {
    View { region, size, format }
}

#[test]
fn a_gray_region_is_the_luma_itself() {
    let frame = gradient(32, 16);
    let region = Rect { x: 3, y: 5, width: 4, height: 2 };
    let mut out = Vec::new();
    let read = frame.read(
        view(Some(region), None, PixelFormat::Gray8),
        u64::MAX,
        &mut Scaler::default(),
        &mut out,
        || false,
    );
    assert_eq!(read, Ok((4, 2)));
    assert_eq!(out, [8, 9, 10, 11, 9, 10, 11, 12]);
}

#[test]
fn every_format_has_its_exact_size_at_odd_sizes_too() {
    let frame = gradient(33, 17);
    let sizes = [
        (PixelFormat::Gray8, 33 * 17),
        (PixelFormat::Rgb24, 33 * 17 * 3),
        (PixelFormat::Bgr24, 33 * 17 * 3),
        (PixelFormat::Rgba32, 33 * 17 * 4),
        (PixelFormat::I420, 33 * 17 + 2 * 17 * 9),
        (PixelFormat::Nv12, 33 * 17 + 2 * 17 * 9),
    ];
    for (format, size) in sizes {
        let mut out = Vec::new();
        let (view, scaler) = (view(None, None, format), &mut Scaler::default());
        let read = frame.read(view, u64::MAX, scaler, &mut out, || false);
        assert_eq!(read, Ok((33, 17)), "{format:?}");
        assert_eq!(out.len(), size, "{format:?}");
    }
}

/// libswscale writes whole vectors; none may reach beyond its row, plane or buffer.
#[test]
fn small_and_odd_views_have_the_same_pixels_as_their_neighbours() {
    let frame = gradient(64, 48);
    let formats = [PixelFormat::Gray8, PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Bgr24];
    for format in formats {
        for width in 1..40 {
            let mut out = Vec::new();
            let want = view(None, Some((width, 48)), format);
            let scaler = &mut Scaler::default();
            let read = frame.read(want, u64::MAX, scaler, &mut out, || false);
            assert_eq!(read, Ok((width, 48)), "{format:?}");
            if matches!(format, PixelFormat::I420 | PixelFormat::Nv12) {
                let chroma = &out[width as usize * 48..];
                let neutral = chroma.iter().all(|&sample| sample == 128);
                assert!(neutral, "{format:?} of width {width}: luma in chroma");
            }
            if format == PixelFormat::Gray8 {
                let rows: Vec<&[u8]> = out.chunks(width as usize).collect();
                let step = rows.windows(2).all(|pair| pair[1][0] == pair[0][0] + 1);
                assert!(step, "width {width}: each row is one brighter than the one above");
            }
        }
    }
}

#[test]
fn views_are_clipped_and_absurd_ones_refused() {
    let frame = gradient(32, 16);
    let mut scaler = Scaler::default();
    let mut out = Vec::new();
    let mut read = |region, size, budget| {
        let view = view(region, size, PixelFormat::Gray8);
        frame.read(view, budget, &mut scaler, &mut out, || false)
    };
    let beyond = Rect { x: 30, y: 0, width: u32::MAX, height: u32::MAX };
    assert_eq!(read(Some(beyond), None, u64::MAX), Ok((2, 16)));
    let outside = Rect { x: 32, y: 0, width: 1, height: 1 };
    assert!(matches!(read(Some(outside), None, u64::MAX), Err(ReadError::Unsupported(_))));
    let huge = Some((u32::MAX, u32::MAX));
    assert!(matches!(read(None, huge, u64::MAX), Err(ReadError::Unsupported(_))));
    assert_eq!(read(None, Some((100, 100)), 9_999), Err(ReadError::TooLarge(10_000)));
    assert_eq!(read(None, Some((100, 100)), 10_000), Ok((100, 100)));
}

/// What libswscale gives when it is asked for everything at once, as a reader without a clock
/// would.
fn at_once(frame: &Frame, want: View) -> Vec<u8> {
    let mut out = Vec::new();
    let scaler = &mut Scaler::default();
    // A band that is as high as the region.
    scaler.context.whole = true;
    frame.read(want, u64::MAX, scaler, &mut out, || false).unwrap();
    out
}

#[test]
fn a_picture_read_in_bands_is_the_picture_read_at_once() {
    let frame = gradient(1280, 720);
    let odd = Some(Rect { x: 101, y: 33, width: 1011, height: 601 });
    for format in [PixelFormat::Gray8, PixelFormat::Rgb24, PixelFormat::I420, PixelFormat::Nv12] {
        for region in [None, odd] {
            for size in [None, Some((640, 360)), Some((224, 224)), Some((1500, 900))] {
                let want = view(region, size, format);
                let mut out = Vec::new();
                let scaler = &mut Scaler::default();
                frame.read(want, u64::MAX, scaler, &mut out, || false).unwrap();
                assert!(out == at_once(&frame, want), "{want:?}");
            }
        }
    }
}

/// A frame whose samples are all different from their neighbours'.
fn noise(format: Pixel, width: u32, height: u32) -> Frame {
    let mut frame = ffmpeg::frame::Video::new(format, width, height);
    let mut state = 1_u32;
    for plane in 0..frame.planes() {
        for (at, byte) in frame.data_mut(plane).iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The upper bytes of 10-bit samples have two bits.
            let is_upper = format == Pixel::YUV420P10LE && at % 2 == 1;
            *byte = (state >> 24) as u8 & if is_upper { 3 } else { 255 };
        }
    }
    Frame::new(gradient(2, 2).info(), frame)
}

#[test]
fn colours_read_in_bands_are_those_read_at_once() {
    let odd = Some(Rect { x: 101, y: 33, width: 1011, height: 601 });
    for pixel in [
        Pixel::YUV420P,
        Pixel::YUVJ422P,
        Pixel::YUV444P,
        Pixel::NV12,
        Pixel::YUV420P10LE,
        Pixel::YUVA420P,
        Pixel::GRAY8,
        Pixel::RGB24,
    ] {
        let frame = noise(pixel, 1280, 720);
        for format in [PixelFormat::Rgb24, PixelFormat::Bgr24, PixelFormat::Rgba32] {
            for region in [None, odd] {
                for size in [None, Some((640, 360)), Some((224, 224)), Some((6, 3))] {
                    let want = view(region, size, format);
                    let mut out = Vec::new();
                    let scaler = &mut Scaler::default();
                    frame.read(want, u64::MAX, scaler, &mut out, || false).unwrap();
                    assert!(out == at_once(&frame, want), "{pixel:?} {want:?}");
                }
            }
        }
    }
}

#[test]
fn sensor_formats_are_read_whole_or_not_at_all() {
    for format in [Pixel::BAYER_RGGB8, Pixel::BAYER_RGGB16LE, Pixel::PAL8, Pixel::YUV410P] {
        let raw = ffmpeg::frame::Video::new(format, 1920, 1080);
        let frame = Frame::new(gradient(2, 2).info(), raw);
        for want in [PixelFormat::Bgr24, PixelFormat::Nv12, PixelFormat::Gray8] {
            for size in [None, Some((640, 360))] {
                let (scaler, mut out) = (&mut Scaler::default(), Vec::new());
                // That it comes back is what counts.
                let _ = frame.read(view(None, size, want), u64::MAX, scaler, &mut out, || false);
            }
        }
    }
}

#[test]
fn a_reader_without_time_gets_nothing_and_the_next_one_everything() {
    let frame = gradient(1280, 720);
    let (scaler, mut out) = (&mut Scaler::default(), Vec::new());
    let want = view(None, Some((640, 360)), PixelFormat::Rgb24);
    let looks = std::cell::Cell::new(0);
    let is_over = || looks.replace(looks.get() + 1) >= 2;
    let read = frame.read(want, u64::MAX, scaler, &mut out, is_over);
    assert_eq!((read, looks.get()), (Err(ReadError::GivenUp), 3));
    frame.read(want, u64::MAX, scaler, &mut out, || false).unwrap();
    assert!(out == at_once(&frame, want));
}
