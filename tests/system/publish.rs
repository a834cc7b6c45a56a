//! `comux publish` and `comux watch`, as people try a camera.

use std::fs;

use comux_tests::PATIENCE;
use comux_tests::broker::broker;
use comux_tests::home::Home;
use comux_tests::json_lines::JsonLines;
use comux_tests::media;
use comux_tests::process::{Comux, Config, run_to_end};
use comux_tests::records::consume;
use comux_tests::topics::{create_topics, record_count, topic_exists};

use crate::promises::topics;

/// What `publish` with these arguments says, and its exit code.
fn published(source: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run_to_end(&[&["publish", source], arguments].concat(), PATIENCE);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_source_goes_where_the_configuration_has_the_camera_and_is_counted_as_sent() {
    let (source, clip) = (media::footage("bframes"), media::bframes());
    let source = source.to_str().unwrap();
    let config = Config::new("publish-config")
        .with("[topics]\nconsume = 'in_:tenant_:cam_id'")
        .with("[[tenants]]\nid = 'acme'")
        .camera("publish-gate", "tenant = 'acme'");
    let home = Home::new();
    let file = home.path().join("comux.toml");
    fs::write(&file, config.text()).unwrap();
    let with_config = ["--config", file.to_str().unwrap()];
    create_topics(&["in_acme_publish-gate", "in_other_publish-door"], 1, &[]);

    let (code, said) =
        published(source, &[&with_config[..], &["--camera", "publish-gate"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let count = format!("{} records published", clip.packets.len());
    assert!(said.contains("h264 to `in_acme_publish-gate`") && said.contains(&count), "{said}");
    let packets = clip.packets.len();
    let sent = consume("in_acme_publish-gate", packets);
    assert_eq!(record_count("in_acme_publish-gate"), packets, "each packet is a record");
    let pictures: Vec<_> = clip.pictures.iter().map(|it| it.fingerprint.clone()).collect();
    assert!(clip.shown_by_ffmpeg(&sent) == pictures, "of the same video");

    // Of a camera that the file does not name, where it would have it.
    let other = ["--camera", "publish-door", "--tenant", "other"];
    let (code, said) = published(source, &[&with_config[..], &other].concat());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(record_count("in_other_publish-door"), packets);

    // What is no video is told of before Kafka is asked.
    let nowhere = ["--camera", "publish-none", "--bootstrap-servers", "127.0.0.1:7"];
    let (code, said) = published(file.to_str().unwrap(), &nowhere);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("can't read video from"), "{said}");
    assert!(!topic_exists("raw_publish-none"));
}

#[test]
fn what_the_broker_does_not_take_is_not_counted_as_published() {
    let topic = "publish-small";
    create_topics(&[topic], 1, &[("max.message.bytes", "5000")]);
    let (kafka, source) = (broker().bootstrap(), media::footage("bframes"));
    let to = ["--camera", "any", "--bootstrap-servers", &kafka, "--topic"];
    let (code, said) = published(source.to_str().unwrap(), &[&to[..], &[topic]].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("`publish-small`: the broker did not take a record"), "{said}");
    assert!(said.contains("too large") && !said.contains("records published"), "{said}");

    let (code, said) =
        published(source.to_str().unwrap(), &[&to[..], &["publish-nobody"]].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("`publish-nobody`") && !said.contains("records published"), "{said}");
}

#[test]
fn a_latency_is_that_of_records_that_came_while_watching() {
    let test = "publish-watch";
    let (input, output) = topics(test);
    let comux = Comux::run(&Config::new(test).camera(test, "start = 'beginning'"));
    let kafka = broker().bootstrap();
    let source = media::footage("bframes");
    let publish = ["--camera", test, "--bootstrap-servers", &kafka, "--topic", &input];
    let count = media::bframes().packets.len();
    assert_eq!(published(source.to_str().unwrap(), &publish).0, Some(0));
    let _ = consume(&output, count);
    let arguments = ["watch", "--json", "--from-beginning", "--camera", test];
    let watch = JsonLines::start(&[&arguments[..], &["--bootstrap-servers", &kafka]].concat());
    let number = |number: usize| move |line: &serde_json::Value| line["offset"] == number;
    let old = watch.wait_until("it shows what was there", number(count - 1));
    assert!(old["latency_ms"].is_null(), "it waited for nobody: {old}");
    let realtime = [&publish[..], &["--realtime"]].concat();
    assert_eq!(published(source.to_str().unwrap(), &realtime).0, Some(0));
    let new = watch.wait_until("it shows what comes", number(2 * count - 1));
    let latency = new["latency_ms"].as_i64().expect("a latency");
    assert!((0..60_000).contains(&latency), "{new}");
    comux.stop();
}
