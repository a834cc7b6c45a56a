//! A thousand cameras that pass records through.

use std::collections::BTreeSet;

use comux_tests::figures::{Bound, Table};
use comux_tests::media;
use comux_tests::process::{Comux, Config};
use comux_tests::records::{Reader, Writer};

use crate::run::names;

const RECORDS: usize = 10;

pub fn measure(table: &mut Table) {
    let cameras = names("bench-many", 1000);
    // comux creates their topics, all at once.
    let mut config = Config::new("bench-many");
    for camera in &cameras {
        config = config.camera(camera, "mode = 'every-frame'");
    }
    let comux = Comux::run(&config);
    let writer = Writer::new();
    for number in 0..RECORDS {
        for camera in &cameras {
            writer.send(&format!("raw_{camera}"), &media::lowdelay().record(number));
        }
    }
    writer.flush();
    let outputs: Vec<String> = cameras.iter().map(|camera| format!("stream_{camera}")).collect();
    let mut sources = BTreeSet::new();
    for record in Reader::of_all(&outputs).take(RECORDS * cameras.len()) {
        assert_eq!(record.status().0, "passthrough");
        sources.insert(record.header("comux-source").expect("a source").to_owned());
    }
    assert_eq!(sources.len(), RECORDS * cameras.len(), "each record once");
    let memory = comux.peak_memory() as f64 / 1048576.0;
    let most = Bound::AtMost(1024.0);
    table.goal("1,000 cameras passing through: memory at most", memory, "MiB", most);
    table.row("1,000 cameras passing through: threads", comux.threads() as f64, "");
    let _ = comux.stop();
}
