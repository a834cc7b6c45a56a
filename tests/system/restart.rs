//! What was received is either produced with acknowledgement or still to be consumed.

use std::time::{Duration, Instant};

use comux_tests::PATIENCE;
use comux_tests::feed::Feed;
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugin_entry, plugins_line};
use comux_tests::records::{Reader, Record, produce};
use comux_tests::topics::record_count;
use nix::sys::signal::Signal;

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
        let (_, output) = topics(camera);
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
    // A camera that is new would begin behind them.
    Comux::run(&config).stop();
    for (camera, _) in cameras {
        produce(&format!("raw_{camera}"), &records);
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

/// What a consumer sees that leaves out what it has seen: the offsets of a camera's input in the
/// order in which they came out, and how often that went back.
fn first_sight(output: &[Record]) -> (Vec<usize>, Vec<Record>, usize) {
    let (mut offsets, mut records, mut returns) = (Vec::new(), Vec::new(), 0);
    let mut previous: Option<usize> = None;
    for record in output {
        let source = record.header("comux-source").expect("a source");
        let offset = source.rsplit('/').next().unwrap().parse().expect("an offset");
        returns += usize::from(previous.is_some_and(|previous| offset <= previous));
        previous = Some(offset);
        if offsets.last().is_none_or(|last| offset > *last) {
            offsets.push(offset);
            records.push(record.clone());
        }
    }
    (offsets, records, returns)
}

/// The reader's records up to that of this input offset.
fn read_to(reader: &mut Reader, output: &mut Vec<Record>, last: usize) {
    let end = format!("/{last}");
    while !output.last().is_some_and(|it| it.header("comux-source").unwrap().ends_with(&end)) {
        output.extend(reader.take(1));
    }
}

#[test]
fn with_the_default_configuration_no_record_is_lost_whatever_ends_the_process() {
    /// Ten minutes at 25 pictures a second.
    const TEN_MINUTES: usize = 15_000;
    let clip = media::bframes();
    let camera = "restart-default";
    let (input, output) = topics(camera);
    let config = Config::new(camera).camera(camera, &plugins_line("brightness", ""));
    let (mut reader, mut result) = (Reader::new(&output), Vec::new());
    let feed = Feed::start(&[&input], clip, 50);
    feed.wait_for_more(10);
    // A camera that is new begins now, and is known from now on, also if nothing was committed.
    let comux = Comux::run(&config);
    let begun = feed.sent();
    comux.kill();
    let mut kills = 1;
    for end in ["SIGTERM", "kill -9", "SIGHUP", "kill -9", "kill -9"] {
        feed.wait_for_more(40);
        let comux = Comux::run(&config);
        read_to(&mut reader, &mut result, feed.sent());
        feed.wait_for_more(40);
        match end {
            "SIGTERM" => drop(comux.stop()),
            // The terminal was closed.
            "SIGHUP" => drop(comux.stop_by(Signal::SIGHUP)),
            _ => {
                comux.kill();
                kills += 1;
            }
        }
    }
    let sent = feed.stop();
    let behind: Vec<Record> = (sent..sent + TEN_MINUTES).map(|it| clip.record(it)).collect();
    produce(&input, &behind);
    let comux = Comux::run(&config);
    read_to(&mut reader, &mut result, sent + TEN_MINUTES - 1);
    let lately: Vec<Record> = (0..100).map(|it| clip.record(sent + TEN_MINUTES + it)).collect();
    for record in &lately {
        produce(&input, [record]);
    }
    let all = sent + TEN_MINUTES + lately.len();
    read_to(&mut reader, &mut result, all - 1);
    let ended = comux.stop();

    let (offsets, records, returns) = first_sight(&result);
    assert!(offsets[0] <= begun, "begun at {begun}, and {} is the first", offsets[0]);
    assert_eq!(offsets, (offsets[0]..all).collect::<Vec<_>>(), "none is lost");
    assert!(returns <= kills, "after {kills} kills, records came again {returns} times");
    let sent: Vec<Record> = offsets.iter().map(|offset| clip.record(*offset)).collect();
    assert_same_records(&sent, &records);
    assert_means(clip, &records);
    let skipped = ended.sums(camera).skipped["lag"];
    assert!(skipped > TEN_MINUTES as u64 - 500, "{skipped}: analysis skips to what is new");
    let lately = &records[records.len() - lately.len()..];
    assert!(lately.iter().any(Record::is_analysed), "and goes on there");
}
