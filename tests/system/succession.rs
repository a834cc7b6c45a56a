//! Several processes with one name: one runs the cameras at a time, and no record comes out twice.

use std::collections::HashSet;

use comux_tests::feed::Feed;
use comux_tests::home::Home;
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Reader, produce};
use comux_tests::topics::record_count;

use crate::live::wait_until;
use crate::promises::{assert_same_records, assert_sources, topics};

/// A node of one camera, of that name: its topics, and its configuration.
fn node(name: &str) -> ((String, String), Config) {
    let plugins = plugins_line("brightness", "");
    let lines = format!("mode = 'every-frame'\nstart = 'beginning'\n{plugins}");
    (topics(name), Config::new(name).camera(name, &lines))
}

#[test]
fn a_second_process_of_a_name_takes_over_in_order_and_nothing_comes_out_twice() {
    let camera = "succession-running";
    let ((input, output), config) = node(camera);
    let feed = Feed::start(&[&input], media::bframes(), 50);
    let mut reader = Reader::new(&output);
    let first = Comux::run(&config);
    let mut all = reader.take(40);
    // As in a rolling update: with a directory of its own, while the first one is at work.
    let second = Comux::run(&config);
    let ended = first.wait();
    assert_eq!(ended.code, Some(1));
    let last = ended.log.last().unwrap();
    assert!(last.contains("has taken over; two nodes that run at once need two names"), "{last}");
    let sums = ended.sums(camera);
    assert!(sums.balance() && sums.received >= 40, "{sums:?}");
    feed.wait_for_more(40);
    let sent = media::bframes().looped(feed.stop());
    all.extend(reader.take(sent.len() - all.len()));
    second.stop();
    assert_eq!(record_count(&output), sent.len());
    assert_same_records(&sent, &all);
    assert_sources(&input, 0, &all);
}

#[test]
fn of_processes_that_come_together_one_stays() {
    let ((input, output), config) = node("succession-together");
    let records = media::bframes().looped(240);
    produce(&input, &records);
    let homes = [(); 3].map(|()| Home::new());
    let mut processes = homes.iter().map(|home| Comux::start(home, &config)).collect::<Vec<_>>();
    let result = Reader::new(&output).take(records.len());
    assert_same_records(&records, &result);
    wait_until("two of three have ended", || {
        processes.iter_mut().filter_map(|it| it.has_ended().then_some(())).count() == 2
    });
    for mut process in processes {
        if process.has_ended() {
            // At its start, or when it had run for a moment.
            let ended = process.wait();
            assert!(matches!(ended.code, Some(1 | 2)), "{:?}", ended.log);
            assert!(ended.log.last().unwrap().contains("need two names"), "{:?}", ended.log);
        } else {
            assert_eq!(process.stop().code, Some(0));
        }
    }
    assert_eq!(record_count(&output), records.len());
    let sources: HashSet<_> = result.iter().map(|it| it.header("comux-source").unwrap()).collect();
    assert_eq!(sources.len(), records.len());
}

#[test]
fn a_process_that_was_killed_is_not_waited_for_for_ever() {
    let ((input, output), config) = node("succession-killed");
    let records = media::bframes().looped(100);
    produce(&input, &records[..50]);
    let first = Comux::run(&config);
    let mut reader = Reader::new(&output);
    reader.take(50);
    first.kill();
    let second = Comux::run(&config);
    produce(&input, &records[50..]);
    loop {
        if reader.take(1)[0].value == records[99].value {
            break;
        }
    }
    let log = second.stop().log.concat();
    assert!(log.contains("gives no sign of life"), "{log}");
}
