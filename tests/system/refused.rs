//! A record that the output topic refuses: what is there is an exact prefix of what came, and what
//! happens then is what the camera's `on_refused` says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comux_tests::control::{Control, Names};
use comux_tests::home::Home;
use comux_tests::media;
use comux_tests::process::{Comux, Config};
use comux_tests::records::{Reader, Record, consume, produce};
use comux_tests::topics::{create_topics, record_count, set_topic};
use serde_json::json;

use crate::live::wait_until;
use crate::promises::{assert_same_records, assert_sources};

const BYTES: &str = "max.message.bytes";
const AFTER: &str = "message.timestamp.after.max.ms";

/// Records of a clip, in the middle of which is one that is refused.
const RECORDS: usize = 240;
const REFUSED: usize = 120;

/// Why it is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cause {
    TooLarge,
    InTheFuture,
}

/// The records of a camera whose topics are made for this, put onto its input.
fn camera_with(id: &str, cause: Cause) -> Vec<Record> {
    let mut records = media::bframes().looped(RECORDS);
    let record = &mut records[REFUSED];
    let (input, output) = match cause {
        Cause::TooLarge => {
            // Behind the picture's units, where decoders pass it by.
            record.headers.push(("big".to_owned(), Some(vec![b'x'; 400_000])));
            ((BYTES, "3000000"), (BYTES, "300000"))
        }
        Cause::InTheFuture => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let later = now + Duration::from_secs(2 * 3600);
            record.timestamp = i64::try_from(later.as_millis()).unwrap();
            ((AFTER, "86400000"), (BYTES, "2000000"))
        }
    };
    create_topics(&[&format!("raw_{id}")], 1, &[input]);
    create_topics(&[&format!("stream_{id}")], 1, &[output]);
    produce(&format!("raw_{id}"), &records);
    records
}

fn lines(policy: &str) -> String {
    format!("mode = 'every-frame'\nstart = 'beginning'\n{policy}")
}

#[test]
fn behind_a_record_that_is_refused_nothing_leaves_and_nothing_is_lost() {
    let names = Names::new("refused-stop");
    let cameras = [("refused-large", Cause::TooLarge), ("refused-future", Cause::InTheFuture)];
    let all = cameras.map(|(id, cause)| (id, cause, camera_with(id, cause)));
    let config = names.configure(Config::new("refused-stop"));
    let config = cameras.iter().fold(config, |config, (id, _)| config.camera(id, &lines("")));
    let mut control = Control::new(&names);
    let comux = Comux::run_in(&Home::new(), &config);
    for (id, cause, records) in &all {
        let stopped = control.event("camera-stopped", id);
        let source = format!("raw_{id}/0/{REFUSED}");
        let words = match cause {
            Cause::TooLarge => ["300000", BYTES, "resume"],
            Cause::InTheFuture => ["s ahead of this host's clock", AFTER, "3600 s"],
        };
        let message = stopped.message();
        for word in words.into_iter().chain([source.as_str(), "on_refused"]) {
            assert!(message.contains(word), "{word}: {message}");
        }
        if *cause == Cause::InTheFuture {
            // Two hours, less what it took to get here.
            let ahead = message.split(" s ahead").next().and_then(|text| text.rsplit(' ').next());
            let ahead: u64 = ahead.unwrap().parse().unwrap_or_else(|_| panic!("{message}"));
            assert!((6900..=7200).contains(&ahead), "{message}");
        }
        let output = format!("stream_{id}");
        assert_eq!(record_count(&output), REFUSED, "an exact prefix");
        assert_same_records(&records[..REFUSED], &consume(&output, REFUSED));
    }
    for (id, cause, records) in &all {
        let output = format!("stream_{id}");
        match cause {
            Cause::TooLarge => set_topic(&output, BYTES, "2000000"),
            Cause::InTheFuture => set_topic(&output, AFTER, "86400000"),
        }
        control.done("resume", json!({ "id": id }));
        let result = consume(&output, RECORDS);
        assert_same_records(records, &result);
        assert_sources(&format!("raw_{id}"), 0, &result);
    }
    comux.stop();
    for (id, ..) in &all {
        assert_eq!(record_count(&format!("stream_{id}")), RECORDS, "none comes twice");
    }
}

#[test]
fn records_that_are_refused_are_left_out_or_put_aside_where_that_is_wanted() {
    let names = Names::new("refused-policies");
    let mut config = names.configure(Config::new("refused-policies"));
    let mut all = Vec::new();
    for (policy, cause) in [
        ("skip", Cause::TooLarge),
        ("skip", Cause::InTheFuture),
        ("dead-letter", Cause::TooLarge),
        ("dead-letter", Cause::InTheFuture),
    ] {
        let of = if cause == Cause::TooLarge { "large" } else { "future" };
        let id = format!("refused-{policy}-{of}");
        let records = camera_with(&id, cause);
        config = config.camera(&id, &lines(&format!("on_refused = '{policy}'")));
        all.push((id, policy, records));
    }
    let comux = Comux::run_in(&Home::new(), &config);
    let mut expected = Vec::new();
    for (id, policy, records) in &all {
        let result = consume(&format!("stream_{id}"), RECORDS - 1);
        let mut others = records.clone();
        let refused = others.remove(REFUSED);
        assert_same_records(&others, &result);
        assert_sources(&format!("raw_{id}"), 0, &result[..REFUSED]);
        assert_sources(&format!("raw_{id}"), REFUSED + 1, &result[REFUSED..]);
        if *policy == "dead-letter" {
            let dead = consume(&format!("dead_{id}"), 1);
            assert_same_records(&[refused], &dead);
            assert_eq!(dead[0].status(), ("failed", Some("refused")));
            assert_sources(&format!("raw_{id}"), REFUSED, &dead);
        }
        expected.push(id.clone());
    }
    let ended = comux.stop();
    for id in &expected {
        let sums = ended.sums(id);
        assert!(sums.balance(), "{sums:?}");
        assert_eq!(sums.failed.get("refused"), Some(&1), "{sums:?}");
    }
    // Nothing of it comes again.
    Comux::run_in(&Home::new(), &config).stop();
    for (id, policy, _) in &all {
        assert_eq!(record_count(&format!("stream_{id}")), RECORDS - 1, "{id}");
        if *policy == "dead-letter" {
            assert_eq!(record_count(&format!("dead_{id}")), 1, "{id}");
        }
    }
}

#[test]
fn what_is_too_large_because_of_its_results_passes_without_them() {
    let id = "refused-results";
    let records = media::bframes().looped(100);
    let largest = records.iter().map(|record| record.value.as_ref().unwrap().len()).max().unwrap();
    create_topics(&[&format!("raw_{id}")], 1, &[(BYTES, "3000000")]);
    // Room for each of them, and for results with small ones only.
    let most = (largest + 2_000).to_string();
    create_topics(&[&format!("stream_{id}")], 1, &[(BYTES, &most)]);
    produce(&format!("raw_{id}"), &records);
    let plugin = comux_tests::plugin("hostile");
    let header = "config = { how = 'large-header', size = 60_000, every = 1 }";
    let plugins = format!("plugins = [{{ source = '{}', {header} }}]", plugin.display());
    let config = Config::new(id).camera(id, &lines(&plugins));
    let comux = Comux::run(&config);
    let result = consume(&format!("stream_{id}"), records.len());
    let sums = comux.stop().sums(id);
    assert_same_records(&records, &result);
    assert_sources(&format!("raw_{id}"), 0, &result);
    let [mut passed, mut failed] = [0_u64; 2];
    for (number, (before, after)) in records.iter().zip(&result).enumerate() {
        let with_results = before.value.as_ref().unwrap().len() + 60_000;
        match after.status() {
            ("analysed", None) if with_results < largest + 2_000 => passed += 1,
            ("failed", Some("output")) if with_results > largest + 1_000 => failed += 1,
            other => panic!("record {number} of {with_results} bytes with results: {other:?}"),
        }
    }
    assert!(passed > 10 && failed > 2, "{passed} passed, {failed} failed of {largest}");
    assert_eq!((sums.failed.get("output"), sums.balance()), (Some(&failed), true));
}

#[test]
fn a_topic_of_small_records_gets_no_batch_that_it_refuses() {
    let id = "refused-batches";
    let records = media::bframes().looped(480);
    let largest = records.iter().map(|record| record.value.as_ref().unwrap().len()).max().unwrap();
    create_topics(&[&format!("raw_{id}")], 1, &[(BYTES, "3000000")]);
    create_topics(&[&format!("stream_{id}")], 1, &[(BYTES, &(largest + 2_000).to_string())]);
    produce(&format!("raw_{id}"), &records);
    let comux = Comux::run(&Config::new(id).camera(id, &lines("")));
    let mut reader = Reader::new(&format!("stream_{id}"));
    assert_same_records(&records, &reader.take(records.len()));
    wait_until("all is acknowledged", || record_count(&format!("stream_{id}")) == records.len());
    comux.stop();
}
