//! Cameras may come, change and go for as long as one likes: nothing is left of them.

use std::time::Instant;

use comux_tests::control::Control;
use comux_tests::media;
use comux_tests::process::Comux;
use serde_json::json;

use crate::live::{Controlled, camera, controlled, entry, feed_all, only, wait_until};

/// What the process holds.
#[derive(Debug)]
struct Held {
    threads: usize,
    files: usize,
    memory: u64,
}

fn held(comux: &Comux) -> Held {
    Held { threads: comux.threads(), files: comux.open_files(), memory: comux.memory("VmRSS") }
}

/// A camera's life, with video all the time.
fn cycle(control: &mut Control, id: &str) {
    let mut wanted = camera(id, only("brightness"));
    wanted["start"] = json!("end");
    control.done("create", wanted);
    let deploy = |plugin: &str, replaces: &str| json!({ "id": id, "plugin": entry(plugin), "replaces": replaces, "probation": 0 });
    control.done("deploy", deploy("motion", "brightness"));
    control.done("deploy", deploy("motion-next", "motion"));
    control.done("update", json!({ "id": id, "rate": 5 }));
    control.done("update", json!({ "id": id, "codec": "h265" }));
    control.done("delete", json!({ "id": id }));
}

#[test]
fn cameras_that_come_and_go_leave_nothing_behind() {
    let cycles: usize =
        std::env::var("COMUX_CHURN").map_or(60, |text| text.parse().expect("a number of cycles"));
    let Controlled { comux, mut control, .. } =
        controlled("churn", &["brightness", "motion", "motion-next"]);
    let all = ["churn-a", "churn-b", "churn-c"];
    let feed = feed_all(&all, media::bframes());
    // What is made once and kept is made now.
    for number in 0..10 {
        cycle(&mut control, all[number % 3]);
    }
    let before = held(&comux);
    let began = Instant::now();
    for number in 0..cycles {
        cycle(&mut control, all[number % 3]);
    }
    let took = began.elapsed().as_secs_f64();
    // Threads end and connections close a little later than cameras.
    wait_until("it has as many threads and files as before", || {
        let now = held(&comux);
        now.threads <= before.threads && now.files <= before.files
    });
    let after = held(&comux);
    println!("{cycles} cycles in {took:.1} s: before {before:?}, after {after:?}");
    let grown = after.memory.saturating_sub(before.memory);
    // What an allocator keeps does not grow with the number of cycles.
    assert!(grown < 48 << 20, "memory grew by {} KiB", grown >> 10);
    let _ = feed.stop();
    comux.stop();
}
