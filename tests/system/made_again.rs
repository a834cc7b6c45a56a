//! Topics that are deleted and made again: every record of the new one passes, once and in order,
//! whatever offsets it has, and `comux-source` tells it from those of the old one.

use std::collections::HashSet;

use comux_tests::control::{Control, Names};
use comux_tests::home::Home;
use comux_tests::media;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Reader, Record, produce};
use comux_tests::topics::{create_topic, delete_topic, record_count};
use serde_json::json;

use crate::live::wait_until;
use crate::promises::{assert_same_records, topics};

/// Another topic of this name takes its place, with these records at once.
fn make_again(topic: &str, records: &[Record]) {
    delete_topic(topic);
    create_topic(topic, 1);
    // For a moment after it is told that there is another topic, a broker takes records for the one
    // that is gone.
    wait_until("the new topic takes records", || record_count(topic) == 0);
    produce(topic, records);
}

/// The records of an input topic that was made again `times` times came out.
fn assert_came_out(input: &str, times: u32, records: &[Record], output: &[Record]) {
    assert_same_records(records, output);
    for (offset, record) in output.iter().enumerate() {
        let source = match times {
            0 => format!("{input}/0/{offset}"),
            times => format!("{input}/0/{offset}/{times}"),
        };
        assert_eq!(record.header("comux-source"), Some(source.as_str()));
    }
}

fn assert_sources_differ(output: &[Record]) {
    let sources: HashSet<_> = output.iter().map(|it| it.header("comux-source").unwrap()).collect();
    assert_eq!(sources.len(), output.len());
}

#[test]
fn a_running_camera_reads_all_of_an_input_topic_that_is_made_again() {
    let names = Names::new("again-running");
    let camera = "again-running";
    let (input, output) = topics(camera);
    let lines =
        format!("mode = 'every-frame'\nstart = 'beginning'\n{}", plugins_line("brightness", ""));
    let config = names.configure(Config::new(camera).camera(camera, &lines));
    let records = media::bframes().looped(400);
    let parts = [&records[..30], &records[..200], &records[..10], &records[..11]];
    produce(&input, parts[0]);
    let comux = Comux::run(&config);
    let mut control = Control::new(&names);
    let mut reader = Reader::new(&output);
    let mut all = reader.take(parts[0].len());
    assert_came_out(&input, 0, parts[0], &all);
    for (times, part) in (0..).zip(parts).skip(1) {
        // Refilled beyond where the camera was in the old one, and not so far.
        make_again(&input, part);
        let came = reader.take(part.len());
        assert_came_out(&input, times, part, &came);
        assert!(came.iter().all(Record::is_analysed), "from the first key frame on");
        let event = control.event("topic-made-again", camera);
        assert!(event.message().contains(&format!("`{input}`")), "{}", event.message());
        all.extend(came);
    }
    assert_sources_differ(&all);
    let sums = comux.stop().sums(camera);
    assert!(sums.balance() && sums.received == all.len() as u64, "{sums:?}");
    assert_eq!(record_count(&output), all.len());
    // What it has read of the latest one it does not read again.
    produce(&input, &records[11..20]);
    let comux = Comux::run(&config);
    let came = reader.take(9);
    assert_eq!(came[0].header("comux-source"), Some(format!("{input}/0/11/3").as_str()));
    comux.stop();
    assert_eq!(record_count(&output), all.len() + 9);
}

#[test]
fn a_topic_that_is_made_again_while_nobody_reads_it_is_read_from_its_beginning() {
    let names = Names::new("again-down");
    let home = Home::new();
    // Of whose offsets the broker knows no more, and with what is set by default.
    let cameras = ["again-down-shorter", "again-down-longer", "again-down-empty"];
    let mut config = Config::new("again-down");
    for camera in cameras {
        config = config.camera(camera, &plugins_line("brightness", ""));
    }
    let config = names.configure(config);
    let inputs = cameras.map(|camera| topics(camera).0);
    let outputs = cameras.map(|camera| format!("stream_{camera}"));
    let mut readers = outputs.clone().map(|output| Reader::new(&output));
    let records = media::bframes().looped(100);
    let comux = Comux::run_in(&home, &config);
    for (input, reader) in inputs.iter().zip(&mut readers) {
        produce(input, &records[..30]);
        assert_came_out(input, 0, &records[..30], &reader.take(30));
    }
    comux.stop();
    let lengths = [10, 70, 0];
    for (input, length) in inputs.iter().zip(lengths) {
        make_again(input, &records[..length]);
    }
    // Nothing that lies on this machine is needed for that.
    let comux = Comux::run(&config);
    let mut control = Control::new(&names);
    produce(&inputs[2], &records[..5]);
    let lengths = [10, 70, 5];
    for (number, reader) in readers.iter_mut().enumerate() {
        let length = lengths[number];
        assert_came_out(&inputs[number], 1, &records[..length], &reader.take(length));
        control.event("topic-made-again", cameras[number]);
    }
    comux.kill();
    let comux = Comux::run(&config);
    for (input, reader) in inputs.iter().zip(&mut readers) {
        produce(input, &records[70..71]);
        // What was not committed when the process was killed comes again, in order.
        let came = loop {
            let came = reader.take(1).remove(0);
            if came.value == records[70].value {
                break came;
            }
        };
        let source = came.header("comux-source").unwrap();
        assert!(source.ends_with("/1"), "{source}");
    }
    comux.stop();
}

#[test]
fn a_camera_whose_input_topic_is_gone_says_so_and_goes_on_when_it_is_there_again() {
    let names = Names::new("again-gone");
    let camera = "again-gone";
    let (input, output) = topics(camera);
    let lines = format!("start = 'beginning'\n{}", plugins_line("brightness", ""));
    let config = names.configure(Config::new(camera).camera(camera, &lines));
    let records = media::bframes().looped(60);
    produce(&input, &records[..30]);
    let comux = Comux::run(&config);
    let mut control = Control::new(&names);
    let mut reader = Reader::new(&output);
    assert_came_out(&input, 0, &records[..30], &reader.take(30));
    delete_topic(&input);
    let mut trouble = String::new();
    let says_so = || {
        let status = control.status(camera);
        trouble = status["trouble"].as_str().unwrap_or_default().to_owned();
        trouble.contains(&format!("`{input}` was deleted"))
    };
    wait_until("the camera says that its topic is gone", says_so);
    create_topic(&input, 1);
    produce(&input, &records[..40]);
    assert_came_out(&input, 1, &records[..40], &reader.take(40));
    assert_eq!(control.status(camera)["trouble"], json!(null));
    comux.stop();
    assert_eq!(record_count(&output), 70);
}

#[test]
fn an_output_topic_that_is_deleted_is_made_again_and_takes_all_that_comes_from_then_on() {
    let names = Names::new("again-output");
    let cameras = ["again-output-quick", "again-output-slow"];
    let mut config = Config::new("again-output");
    for camera in cameras {
        config = config.camera(camera, "mode = 'every-frame'\nstart = 'beginning'");
    }
    let config = names.configure(config);
    let inputs = cameras.map(|camera| topics(camera).0);
    let outputs = cameras.map(|camera| format!("stream_{camera}"));
    let records = media::bframes().looped(300);
    for input in &inputs {
        produce(input, &records[..100]);
    }
    let comux = Comux::run(&config);
    let mut control = Control::new(&names);
    for output in &outputs {
        Reader::new(output).take(100);
        delete_topic(output);
    }
    create_topic(&outputs[0], 1);
    wait_until("the new topic takes records", || record_count(&outputs[0]) == 0);
    for input in &inputs {
        produce(input, &records[100..300]);
    }
    // Nobody makes the other one again but comux.
    for (camera, output) in cameras.iter().zip(&outputs) {
        let came = Reader::new(output).take(200);
        assert_same_records(&records[100..], &came);
        assert_eq!(control.status(camera)["phase"], "running");
    }
    control.event("output-made-again", cameras[1]);
    comux.stop();
    for output in &outputs {
        assert_eq!(record_count(output), 200);
    }
}
