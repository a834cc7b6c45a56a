//! The whole runtime against libavcodec alone, on the same file.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use comux_tests::cost;
use comux_tests::figures::{Bound, Table};
use comux_tests::media::Clip;
use comux_tests::process::plugins_line;
use comux_tests::records::Record;

use crate::clips;
use crate::run::{LOOPS, ROUNDS, loops, median, micros, run};

/// CPU time per frame of `ffmpeg`, which decodes the same clip as often and does nothing with it.
fn ffmpeg(clip: &Clip, path: &Path) -> Duration {
    let mut command = Command::new("ffmpeg");
    let more = (LOOPS - 1).to_string();
    command.args(["-nostdin", "-hide_banner", "-threads", "1", "-stream_loop", &more, "-i"]);
    command.arg(path).args(["-f", "null", "-"]);
    let (cpu, said) = cost::of_command(&mut command);
    let frames = LOOPS * clip.packets.len();
    assert!(said.contains(&format!("frame={frames:>5}")), "not {frames} frames:\n{said}");
    cpu.div_f64(frames as f64)
}

pub fn measure(table: &mut Table) {
    let all = [clips::full_hd_bframes(), clips::full_hd(), clips::full_hd_h265()];
    for (number, clips::Footage { codec: name, clip, path, .. }) in all.into_iter().enumerate() {
        let (mut ratios, mut own) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let floor = ffmpeg(clip, path);
            let camera = format!("bench-throughput-{number}-{round}");
            let whole =
                run(&loops(&camera, clip), &plugins_line("motion", ""), Record::is_analysed);
            ratios.push(micros(floor) / micros(whole.cpu));
            own.push(micros(whole.cpu) - whole.decode_us - whole.plugin_us);
            println!(
                "  {name}: ffmpeg {:.0} µs, comux {:.0} µs, of which decoder {:.0} and plugin {:.0}",
                micros(floor),
                micros(whole.cpu),
                whole.decode_us,
                whole.plugin_us
            );
        }
        let ratio = format!("1080p {name}: frames per CPU second, ffmpeg alone = 1");
        table.goal(&ratio, median(ratios), "×", Bound::AtLeast(0.90));
        // The decoder's and the plugin's part is by the clock: where threads wait for a core, it is
        // longer than all of the CPU time.
        let own = median(own);
        if own > 0.0 {
            let own_work = format!("1080p {name}: own work per frame");
            table.goal(&own_work, own, "µs", Bound::AtMost(100.0));
        } else {
            println!("  {name}: the machine is too busy to tell the own work per frame");
        }
    }
}
