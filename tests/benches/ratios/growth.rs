//! How the cost of a frame grows: with the number of cameras, with the size of the picture, and
//! with the number of plugins; as rows, as a table in Markdown and as a plot.

use std::fs;

use comux_tests::figures::{Table, directory};
use comux_tests::process::plugin_entry;

use crate::clips::{self, Footage};
use crate::plot::{self, Panel};
use crate::run::{Load, Run, micros, names, run};

const CAMERAS: [usize; 4] = [1, 4, 16, 64];
const PLUGINS: [&str; 4] = ["motion", "brightness", "line-counter", "tamper"];
const RESULTS: [&str; 4] =
    ["motion.score", "brightness.mean", "line-counter.counts", "tamper.state"];
/// Of all cameras together: each of 64 has two groups of pictures, so that little of it is how they
/// begin.
const RECORDS: usize = 64 * 100;

fn cost(name: &str, cameras: usize, footage: &Footage, plugins: usize, records: usize) -> Run {
    let cameras = names(&format!("bench-growth-{name}"), cameras);
    let load = Load { cameras: &cameras, clip: &footage.clip, records: records / cameras.len() };
    let entries: Vec<String> =
        PLUGINS[..plugins].iter().map(|plugin| plugin_entry(plugin, config(plugin))).collect();
    let expected = if plugins == 0 { "passthrough" } else { "analysed" };
    run(&load, &format!("plugins = [{}]", entries.join(", ")), |record| {
        record.status() == (expected, None)
            && RESULTS[..plugins].iter().all(|result| record.header(result).is_some())
    })
}

fn config(plugin: &str) -> &'static str {
    match plugin {
        "line-counter" => "lines = [{ name = 'door', from = [0.5, 0.0], to = [0.5, 1.0] }]",
        _ => "",
    }
}

pub fn measure(table: &mut Table) {
    let (small, middle, large) = (clips::substream(), clips::hd(), clips::full_hd());
    let mut panels = Vec::new();

    let cameras = CAMERAS.map(|count| {
        let found = cost(&format!("cameras-{count}"), count, small, 1, RECORDS);
        (count.to_string(), found)
    });
    panels.push(panel("cameras of 640×360, motion", &cameras));

    // What is a point of two lines is measured once.
    let (of_small, of_large) = (cameras[0].1, cost("1080p", 1, large, 1, RECORDS / 4));
    let of_middle = cost("720p", 1, middle, 1, RECORDS / 4);
    let sizes = [("640×360", of_small), ("1280×720", of_middle), ("1920×1080", of_large)]
        .map(|(size, found)| (size.to_owned(), found));
    panels.push(panel("pixels, one camera, motion", &sizes));

    let plugins = [0, 1, 2, 4].map(|count| {
        let name = format!("plugins-{count}");
        let found = if count == 1 { of_large } else { cost(&name, 1, large, count, RECORDS / 4) };
        (count.to_string(), found)
    });
    panels.push(panel("plugins, one camera of 1920×1080", &plugins));

    for Panel { title, points } in &panels {
        for (label, cpu) in points {
            table.row(&format!("CPU per frame: {label} {title}"), *cpu, "µs");
        }
    }
    let text = markdown(&[
        ("cameras of 640×360, motion", &cameras[..]),
        ("one camera, motion", &sizes[..]),
        ("plugins, one camera of 1920×1080", &plugins[..]),
    ]);
    println!("\n{text}");
    fs::write(directory().join("growth.md"), text).unwrap();
    plot::draw(&directory().join("growth.svg"), "CPU per frame, µs", &panels);
    println!("plot: {}", directory().join("growth.svg").display());
}

fn panel(title: &'static str, found: &[(String, Run)]) -> Panel {
    let points = found.iter().map(|(label, run)| (label.clone(), micros(run.cpu))).collect();
    Panel { title, points }
}

/// The decoder's and the plugins' part is by the clock, as records say: on a busy machine more than
/// CPU.
fn markdown(tables: &[(&str, &[(String, Run)])]) -> String {
    let mut text = String::new();
    for (title, found) in tables {
        text += &format!("| {title} | CPU per frame, µs | decoder, µs | plugins, µs |\n");
        text += "| ---: | ---: | ---: | ---: |\n";
        for (label, Run { cpu, decode_us, plugin_us }) in *found {
            let cpu = micros(*cpu);
            text += &format!("| {label} | {cpu:.0} | {decode_us:.0} | {plugin_us:.0} |\n");
        }
        text.push('\n');
    }
    text
}
