//! Cameras may come, change and go for as long as one likes: nothing is left of them.

use std::time::Instant;

use comux_tests::churn::{Held, PLUGINS, life};
use comux_tests::media;

use crate::live::{Controlled, controlled, feed_all, wait_until};

#[test]
fn cameras_that_come_and_go_leave_nothing_behind() {
    let cycles: usize =
        std::env::var("COMUX_CHURN").map_or(60, |text| text.parse().expect("a number of cycles"));
    let Controlled { comux, mut control, .. } = controlled("churn", &PLUGINS);
    let all = ["churn-a", "churn-b", "churn-c"];
    let feed = feed_all(&all, media::bframes());
    // What is made once and kept is made now.
    for number in 0..10 {
        life(&mut control, all[number % 3]);
    }
    let before = Held::by(&comux);
    let began = Instant::now();
    for number in 0..cycles {
        life(&mut control, all[number % 3]);
    }
    let took = began.elapsed().as_secs_f64();
    // Threads end and connections close a little later than cameras.
    wait_until("it has as many threads and files as before", || {
        let now = Held::by(&comux);
        now.threads <= before.threads && now.files <= before.files
    });
    let after = Held::by(&comux);
    println!("{cycles} cycles in {took:.1} s: before {before:?}, after {after:?}");
    let grown = after.memory.saturating_sub(before.memory);
    // What an allocator keeps does not grow with the number of cycles.
    assert!(grown < 48 << 20, "memory grew by {} KiB", grown >> 10);
    let _ = feed.stop();
    comux.stop();
}
