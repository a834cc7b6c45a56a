//! Cameras of several tenants on one host, some of which behave and some of which do not.

use std::iter;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::attack::{ATTACKER, Attacker, Way};
use crate::comparison::{Beside, Comparison};
use crate::control::{Control, Names};
use crate::ended::Ended;
use crate::feed::Feed;
use crate::home::Home;
use crate::latency::create_topics;
use crate::media::Clip;
use crate::process::{Comux, Config, plugins_line};
use crate::waits::Waits;

/// With what the names of its cameras begin: of a thread's name there are only so many letters.
const LOADER: &str = "load";

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

/// A host with three cameras, each of a tenant of its own, and another tenant without any. The
/// cameras' topics are there.
fn host_of_neighbours(name: &str) -> (Config, [String; 3]) {
    let tenants = ["bob", "carol", "dave"];
    let cameras = tenants.map(|tenant| format!("{name}-{tenant}"));
    let mut config = Config::new(name).with(&format!("[[tenants]]\nid = '{ATTACKER}'"));
    for tenant in tenants {
        config = config.with(&format!("[[tenants]]\nid = '{tenant}'"));
    }
    let plugin = plugins_line("motion", "");
    for (tenant, camera) in tenants.iter().zip(&cameras) {
        // Whether it is late is what is measured: it must not make up for it by leaving out.
        let lines = format!("tenant = '{tenant}'\n{LIVE}max_offset_diff = 1_000_000\n{plugin}");
        config = config.camera(camera, &lines);
    }
    create_topics(&cameras);
    (config, cameras)
}

/// What the threads waited for a core by now through which the neighbours' records go.
fn waits(comux: &Comux) -> Waits {
    let is_loader = |camera: &str| camera.starts_with(LOADER);
    comux.waits(|thread| match thread.split_once([' ', ':']) {
        Some(("cam", camera)) => !is_loader(camera),
        Some((kind, _)) => kind == "rdk",
        None => thread == "sink",
    })
}

const LIVE: &str = "mode = 'live'\nstart = 'beginning'\n";

/// Measures three cameras, each of a tenant of its own, without and with a load of another tenant
/// in one run, in phases that take turns. `name` must be unique.
///
/// # Panics
/// When comux or the broker does not take part.
#[must_use]
pub fn compare(
    name: &str,
    load: &Load,
    clip: &'static Clip,
    (phase, rounds): (Duration, usize),
) -> (Comparison, Ended) {
    let (mut config, neighbours) = host_of_neighbours(name);
    let loaders: Vec<String> =
        (0..load.cameras).map(|number| format!("{LOADER}-{number}-{name}")).collect();
    for camera in &loaders {
        let breaker = if load.ends { "" } else { "breaker = { failures = 1_000_000 }\n" };
        let plugin = plugins_line(load.plugin, load.config);
        config = config.camera(camera, &format!("tenant = '{ATTACKER}'\n{LIVE}{breaker}{plugin}"));
    }
    create_topics(&loaders);
    let inputs: Vec<String> = loaders.iter().map(|loader| format!("raw_{loader}")).collect();
    let comux = Comux::run(&config);
    let comparison = Comparison::measure(
        &neighbours,
        clip,
        phase,
        iter::repeat_n(0, rounds),
        || waits(&comux),
        |_, beside| {
            let is_load = beside == Beside::Load;
            is_load.then(|| Feed::start(&inputs, clip, load.per_second))
        },
    );
    (comparison, comux.stop())
}

/// Measures three cameras, each of a tenant of its own, without and with each of these attacks of
/// another tenant, and with one that behaves, one after the other in one run, all in as many
/// rounds. `name` must be unique.
///
/// # Panics
/// When comux or the broker does not take part.
#[must_use]
pub fn compare_each(
    name: &str,
    (home, ways): (&Home, &[Way]),
    clip: &'static Clip,
    (phase, rounds): (Duration, usize),
) -> (Comparison, Ended) {
    let (config, neighbours) = host_of_neighbours(name);
    let topics = Names::new(name);
    let attackers: Vec<String> =
        (0..ways.len()).map(|number| format!("{LOADER}-{number}-{name}")).collect();
    create_topics(&attackers);
    let comux = Comux::run_in(home, &topics.configure(config));
    let control = Arc::new(Mutex::new(Control::new(&topics)));
    let loads = (0..rounds).flat_map(|_| 0..ways.len());
    let comparison = Comparison::measure(
        &neighbours,
        clip,
        phase,
        loads,
        || waits(&comux),
        |number, beside| {
            let way = match beside {
                Beside::Nothing => return None,
                Beside::Behaved => &ways[number].behaved(),
                Beside::Load => &ways[number],
            };
            Some(Attacker::begin(&attackers[number], way, &control, clip))
        },
    );
    (comparison, comux.stop())
}
