//! The number of decoding threads follows the load, and nobody can tell from the results.

use comux_tests::feed::Feed;
use comux_tests::media::{self, Clip};
use comux_tests::nal;
use comux_tests::records::{Reader, Record, consume, produce};
use serde_json::{Value, json};

use crate::live::{Controlled, FPS, controlled_with, only, wait_until};
use crate::promises::{assert_all_means, assert_close, assert_same_records, topics};

/// Seconds of work for a decoder.
const BACKLOG: usize = 2400;

/// An instance in which a busy machine does not make a plugin's call look like one without an end.
fn controlled(test: &str) -> Controlled {
    controlled_with(test, &["brightness"], "[limits]\ndeadline_ms = 10_000")
}

fn cores() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

/// A camera that must analyse everything, as a value of `create`.
fn every_frame(id: &str, codec: &str, framing: &str) -> Value {
    json!({
        "id": id, "mode": "every-frame", "start": "beginning", "codec": codec, "framing": framing,
        "plugins": only("brightness")
    })
}

/// The clip in a loop, its parameter sets in the first record alone: whoever takes over has to know
/// them.
fn backlog(clip: &Clip) -> Vec<Record> {
    let is_h265 = clip.codec == "h265";
    let mut records = clip.looped(BACKLOG / clip.packets.len() * clip.packets.len());
    let mut sets = None;
    for record in &mut records {
        let units = nal::units(record.value.as_deref().unwrap());
        let (of_sets, others): (Vec<&[u8]>, Vec<&[u8]>) =
            units.into_iter().partition(|unit| nal::is_parameter_set(unit, is_h265));
        sets.get_or_insert_with(|| nal::annexb(&of_sets));
        record.value = Some(nal::annexb(&others));
    }
    records.insert(0, Record::of(sets.unwrap()));
    records
}

/// Waits until several threads decode, while the backlog lasts or behind it.
fn wait_for_threads(test: &mut Controlled, camera: &str) {
    let mut seen = 1;
    wait_until(&format!("{camera} decodes with more threads"), || {
        seen = test.control.status(camera)["decode_threads"].as_u64().unwrap();
        seen > 1
    });
    assert!(seen <= cores() as u64, "{seen} threads on {} cores", cores());
}

/// Every record out is the one that went in; the first holds parameter sets, and the others'
/// pictures are those that one thread of ffmpeg decodes.
fn assert_exact(clip: &Clip, sent: &[Record], output: &[Record]) {
    assert_same_records(sent, output);
    assert_eq!(output[0].status(), ("skipped", Some("no-picture")));
    assert_all_means(clip, &output[1..]);
}

#[test]
fn a_backlog_is_decoded_with_more_threads_and_what_keeps_up_with_one() {
    if cores() == 1 {
        return;
    }
    let (clip, camera) = (media::bframes(), "threads-h264");
    let mut test = controlled("threads-h264");
    let (input, output) = topics(camera);
    let records = backlog(clip);
    produce(&input, &records);
    test.control.done("create", every_frame(camera, clip.codec, "packet"));
    wait_for_threads(&mut test, camera);
    let mut reader = Reader::new(&output);
    assert_exact(clip, &records, &reader.take(records.len()));

    // Then it sends as cameras do.
    let feed = Feed::start(&[&input], clip, FPS);
    wait_until("one thread is enough", || test.control.status(camera)["decode_threads"] == 1);
    let sent = feed.stop();
    let live = reader.take(sent);
    assert_same_records(&clip.looped(sent), &live);
    assert_all_means(clip, &live);
    let sums = test.comux.stop().sums(camera);
    assert!(sums.balance(), "{sums:?}");
    assert_eq!(sums.analysed, (records.len() - 1 + sent) as u64);
}

/// Of its key frames only the first of each loop is one across which nothing goes.
#[test]
fn pictures_that_need_what_was_before_a_key_frame_are_not_lost_to_more_threads() {
    if cores() == 1 {
        return;
    }
    let (clip, camera) = (media::hevc(), "threads-h265");
    let mut test = controlled("threads-h265");
    let (input, output) = topics(camera);
    let records = backlog(clip);
    produce(&input, &records);
    test.control.done("create", every_frame(camera, clip.codec, "packet"));
    wait_for_threads(&mut test, camera);
    assert_exact(clip, &records, &consume(&output, records.len()));
    assert!(test.comux.stop().sums(camera).balance());
}

#[test]
fn in_a_bytestream_results_stay_where_their_pictures_begin_when_threads_change() {
    if cores() == 1 {
        return;
    }
    let (clip, camera) = (media::bframes(), "threads-bytes");
    let mut test = controlled("threads-bytes");
    let (input, output) = topics(camera);
    let pictures = clip.looped(BACKLOG);
    let halves = |record: &Record| {
        let data = record.value.as_deref().unwrap();
        let (first, second) = data.split_at(data.len() / 2);
        [Record::of(first), Record::of(second)]
    };
    let records: Vec<Record> = pictures.iter().flat_map(halves).collect();
    produce(&input, &records);
    test.control.done("create", every_frame(camera, clip.codec, "bytestream"));
    wait_for_threads(&mut test, camera);
    let result = consume(&output, records.len());
    assert_same_records(&records, &result);
    for (number, pair) in result.chunks(2).enumerate() {
        let packet = &clip.packets[number % clip.packets.len()];
        assert_eq!(pair[0].status(), ("analysed", None), "picture {number}");
        assert_close(number, pair[0].number("brightness.mean"), clip.mean(packet.pts).unwrap());
        assert_eq!(pair[1].status(), ("skipped", Some("no-picture")), "picture {number}");
    }
    assert!(test.comux.stop().sums(camera).balance());
}

/// One more than there are cores, each with enough to do for all of them.
#[test]
fn cameras_that_need_all_cores_decode_with_one_thread_each() {
    let clip = media::bframes();
    let mut test = controlled("threads-many");
    let cameras: Vec<String> =
        (0..=cores()).map(|number| format!("threads-many-{number}")).collect();
    let records = backlog(clip);
    for camera in &cameras {
        produce(&topics(camera).0, &records);
    }
    for camera in &cameras {
        test.control.done("create", every_frame(camera, clip.codec, "packet"));
    }
    let mut all = Vec::new();
    wait_until("each has one thread though it could use more", || {
        let status = |camera: &String| test.control.status(camera);
        all = cameras.iter().map(status).collect();
        let figure = |it: &Value, key: &str| it["counts"][key].as_u64().unwrap();
        let are_behind =
            all.iter().all(|it| figure(it, "received") > 400 && figure(it, "lag") > 50);
        are_behind && all.iter().all(|it| it["decode_threads"] == 1)
    });
    for camera in &cameras {
        let output = consume(&format!("stream_{camera}"), records.len());
        assert_exact(clip, &records, &output);
    }
    let ended = test.comux.stop();
    assert!(cameras.iter().all(|camera| ended.sums(camera).balance()));
}

#[test]
fn a_fixed_number_of_threads_stays() {
    let (clip, camera) = (media::bframes(), "threads-fixed");
    let mut test = controlled("threads-fixed");
    let (input, output) = topics(camera);
    let mut value = every_frame(camera, clip.codec, "packet");
    value["decode_threads"] = json!(3);
    test.control.done("create", value);
    let records = clip.records();
    produce(&input, &records);
    let result = consume(&output, records.len());
    assert_same_records(&records, &result);
    assert_all_means(clip, &result);
    let status = test.control.status(camera);
    assert_eq!(
        (&status["decode_threads"], &status["spec"]["decode_threads"]),
        (&json!(3), &json!(3))
    );
    test.control.refused(
        "update",
        json!({ "id": camera, "decode_threads": "all" }),
        "invalid",
        &["decode_threads", "auto", "1 to 16"],
    );
    test.control.done("update", json!({ "id": camera, "decode_threads": "auto" }));
    assert_eq!(test.control.status(camera)["spec"]["decode_threads"], "auto");
    test.comux.stop();
}

#[test]
fn a_camera_without_plugins_opens_no_decoder_until_it_gets_one() {
    let (clip, camera) = (media::lowdelay(), "threads-none");
    let mut test = controlled("threads-none");
    let (input, output) = topics(camera);
    let mut value = every_frame(camera, clip.codec, "packet");
    value["plugins"] = json!([]);
    test.control.done("create", value);
    let records = clip.looped(2 * clip.packets.len());
    let (before, after) = records.split_at(clip.packets.len());
    produce(&input, before);
    let mut reader = Reader::new(&output);
    let mut result = reader.take(before.len());
    assert!(result.iter().all(|record| record.status() == ("passthrough", None)));
    assert_eq!(test.control.status(camera)["decode_threads"], 0);
    test.control.done("update", json!({ "id": camera, "plugins": only("brightness") }));
    produce(&input, after);
    result.extend(reader.take(after.len()));
    assert_same_records(&records, &result);
    assert_all_means(clip, &result[before.len()..]);
    // Now it has one, with as many threads as what it was sent at once made it want.
    assert_ne!(test.control.status(camera)["decode_threads"], 0);
    test.comux.stop();
}
