//! What the demo's consumer saw on the output topics.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use parking_lot::{Mutex, MutexGuard};

use crate::commands::follow::Followed;

/// Results by camera.
pub struct Tally {
    cameras: Mutex<BTreeMap<String, CameraTally>>,
}

/// One camera's results.
#[derive(Clone)]
pub struct CameraTally {
    pub followed: u64,
    /// Results of the latest analysed record.
    pub results: BTreeMap<String, String>,
    /// Milliseconds from a record's timestamp to its arrival here, of analysed records.
    pub latency: Histogram<u64>,
}

/// What the demo's senders put on the records, which are no results.
const INPUT_HEADERS: [&str; 4] = ["pts", "dts", "time_base", "keyframe"];

impl Tally {
    pub fn new(cameras: &[String]) -> Self {
        let empty = || CameraTally {
            followed: 0,
            results: BTreeMap::new(),
            latency: Histogram::new_with_max(600_000, 3)
                .unwrap_or_else(|_| unreachable!("the bounds are valid")),
        };
        let cameras = cameras.iter().map(|name| (name.clone(), empty())).collect();
        Self { cameras: Mutex::new(cameras) }
    }

    pub fn record(&self, record: Followed) {
        let analysed = record.status() == "analysed";
        let mut cameras = self.lock();
        let Some(camera) = cameras.get_mut(&record.camera) else { return };
        camera.followed += 1;
        if analysed {
            if let Some(latency) = record.latency_ms {
                camera.latency.saturating_record(u64::try_from(latency).unwrap_or(0));
            }
            camera.results = record.headers;
            camera.results.retain(|name, _| !INPUT_HEADERS.contains(&name.as_str()));
        }
    }

    pub fn followed(&self) -> u64 {
        self.lock().values().map(|camera| camera.followed).sum()
    }

    pub fn camera(&self, name: &str) -> Option<CameraTally> {
        self.lock().get(name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, CameraTally>> {
        self.cameras.lock()
    }
}
