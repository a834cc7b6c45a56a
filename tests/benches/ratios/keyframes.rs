//! Key frames only, against every frame.

use comux_tests::figures::{Bound, Table};
use comux_tests::process::plugins_line;
use comux_tests::records::Record;

use crate::clips;
use crate::run::{ROUNDS, loops, median, micros, run};

pub fn measure(table: &mut Table) {
    let (clip, plugin) = (&clips::full_hd().clip, plugins_line("motion", ""));
    let ratios = (0..ROUNDS).map(|round| {
        let (all, few) = (format!("bench-all-{round}"), format!("bench-keys-{round}"));
        let all = run(&loops(&all, clip), &plugin, Record::is_analysed);
        let lines = format!("rate = 'keyframes'\n{plugin}");
        let is_right = |record: &Record| {
            record.is_analysed() == (record.header("comux-keyframe") == Some("1"))
        };
        let few = run(&loops(&few, clip), &lines, is_right);
        micros(few.cpu) / micros(all.cpu)
    });
    let ratio = median(ratios.collect());
    table.goal("key frames only, one in 50: CPU, every frame = 1", ratio, "×", Bound::AtMost(0.25));
}
