//! What was received is either produced with acknowledgement or still to be consumed.

use std::time::{Duration, Instant};

use comux_tests::PATIENCE;
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugin_entry};
use comux_tests::records::{Reader, Record, produce, record_count};

use crate::promises::{
    assert_all_means, assert_means, assert_same_records, assert_sources, topics,
};

#[test]
fn sigterm_under_full_load_loses_no_record_and_repeats_none() {
    let clip = media::bframes();
    let records: Vec<Record> =
        std::iter::repeat_with(|| clip.records()).take(3).flatten().collect();
    let cameras = [("restart-every-frame", "every-frame"), ("restart-live", "live")];
    let mut config = Config::new("restart").with("[limits]\ndeadline_ms = 10_000");
    let mut readers = Vec::new();
    for (camera, mode) in cameras {
        let (input, output) = topics(camera);
        produce(&input, &records);
        // Two milliseconds for each frame, so that it is far from done when the signal comes. A
        // live camera would skip nearly all of what lies on the topic already, so it may lag.
        let plugins = format!(
            "plugins = [{}, {}]",
            plugin_entry("brightness", ""),
            plugin_entry("slow", "spin = 2_000_000")
        );
        let lines =
            format!("mode = '{mode}'\nstart = 'committed'\nmax_offset_diff = 1000\n{plugins}");
        config = config.camera(camera, &lines);
        readers.push((camera, mode, Reader::new(&output), Vec::new()));
    }
    let (mut received, mut runs) = (0, 0);
    // Each run ends while much is left to do; the last one gets to the end.
    for enough in [50, 150, 333, records.len()] {
        let comux = Comux::run(&config);
        let is_last = enough == records.len();
        // Which camera gets there first is chance, and by how much: the signal waits for none
        // behind it.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut reached = 0;
            for (_, _, reader, result) in &mut readers {
                while let Some(record) = reader.next_within(Duration::from_millis(1)) {
                    result.push(record);
                }
                reached += usize::from(result.len() >= enough);
            }
            if reached == cameras.len() || reached > 0 && !is_last {
                break;
            }
            assert!(Instant::now() < deadline, "{reached} of the cameras came to {enough}");
        }
        let ended = comux.stop();
        runs += 1;
        received += ended.sums("restart-every-frame").received;
        for (camera, _) in cameras {
            let sums = ended.sums(camera);
            assert!(sums.balance(), "run {runs} of {camera}: {sums:?}");
            let produced = record_count(&format!("stream_{camera}"));
            assert_eq!(produced == records.len(), is_last, "run {runs} of {camera}: {produced}");
        }
    }
    assert_eq!(received, records.len() as u64, "a record output before is not received again");
    for (camera, mode, _, result) in &readers {
        assert_same_records(&records, result);
        assert_sources(&format!("raw_{camera}"), 0, result);
        match *mode {
            "every-frame" => assert_all_means(clip, result),
            _ => assert!(assert_means(clip, result) > 500, "most are analysed"),
        }
    }
}
