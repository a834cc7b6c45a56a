//! Every codec's results sit on the right records, through libavcodec's decoder for it.

use comux_tests::media::{self, Clip};
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{consume, produce};

use crate::promises::{assert_all_means, assert_same_records, topics};

fn is_analysed_right(clip: &Clip) {
    let camera = format!("codec-{}", clip.codec);
    let (input, output) = topics(&camera);
    let records = clip.records();
    produce(&input, &records);
    let lines = format!(
        "codec = '{}'\nmode = 'every-frame'\nstart = 'beginning'\n{}",
        clip.codec,
        plugins_line("brightness", "")
    );
    let comux = Comux::run(&Config::new(&camera).camera(&camera, &lines));
    let result = consume(&output, records.len());
    comux.stop();
    assert_same_records(&records, &result);
    assert_all_means(clip, &result);
}

#[test]
fn mjpeg_is_analysed_right() {
    is_analysed_right(media::mjpeg());
}

#[test]
fn vp8_is_analysed_right() {
    is_analysed_right(media::vp8());
}

#[test]
fn vp9_is_analysed_right() {
    is_analysed_right(media::vp9());
}

#[test]
fn av1_is_analysed_right() {
    is_analysed_right(media::av1());
}
