//! Cameras of several tenants on one host, some of which behave and some of which do not.

use std::time::Duration;

use crate::latency::{Comparison, create_topics};
use crate::media::Clip;
use crate::process::{Comux, Config, Ended, plugins_line};

/// Who loads the host beside three cameras of other tenants.
pub struct Load {
    /// How many cameras.
    pub cameras: usize,
    /// Their plugin.
    pub plugin: &'static str,
    /// Its configuration.
    pub config: &'static str,
    /// How many records a second each of them gets.
    pub per_second: u32,
    /// Whether its circuit breaker ends it, as by default. Otherwise it is off.
    pub ends: bool,
}

/// Measures three cameras, each of a tenant of its own, without and with a load of another tenant in
/// one run, in phases that take turns. `name` must be unique.
///
/// # Panics
/// When comux or the broker does not take part.
#[must_use]
pub fn compare(
    name: &str,
    load: &Load,
    clip: &'static Clip,
    phases: (Duration, usize),
) -> (Comparison, Ended) {
    let neighbours = ["bob", "carol", "dave"].map(|tenant| (tenant, format!("{name}-{tenant}")));
    let loaders: Vec<String> =
        (0..load.cameras).map(|number| format!("{name}-load-{number}")).collect();
    let mut config = Config::new(name).with("[[tenants]]\nid = 'mallory'");
    for (tenant, _) in &neighbours {
        config = config.with(&format!("[[tenants]]\nid = '{tenant}'"));
    }
    let live = "mode = 'live'\nstart = 'beginning'\n";
    for (tenant, camera) in &neighbours {
        let plugin = plugins_line("motion", "");
        // Whether it is late is what is measured: it must not make up for it by leaving out.
        let lines = format!("tenant = '{tenant}'\n{live}max_offset_diff = 1_000_000\n{plugin}");
        config = config.camera(camera, &lines);
    }
    for camera in &loaders {
        let breaker = if load.ends { "" } else { "breaker = { failures = 1_000_000 }\n" };
        let plugin = plugins_line(load.plugin, load.config);
        config = config.camera(camera, &format!("tenant = 'mallory'\n{live}{breaker}{plugin}"));
    }
    let neighbours = neighbours.map(|(_, camera)| camera);
    create_topics(&neighbours);
    create_topics(&loaders);
    let comux = Comux::run(&config);
    let comparison = Comparison::measure(&neighbours, (&loaders, load.per_second), clip, phases);
    (comparison, comux.stop())
}
