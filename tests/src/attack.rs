//! Attacks of a tenant that go on for a while, in any way that the hostile suite knows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::control::Control;
use crate::feed::Feed;
use crate::home::Home;
use crate::hostile::{self, HOOK_DEADLINE_MS};
use crate::media::Clip;
use crate::neighbours::ATTACKER;

/// A way to attack, of all that the hostile suite knows.
pub struct Way {
    /// What it attacks.
    pub on: &'static str,
    /// Which way.
    pub name: String,
    plugins: Value,
    limits: Value,
    asks: Asks,
}

/// Control records without a pause would be an attack on the broker, which is for its own quotas.
const BETWEEN_ASKING: Duration = Duration::from_millis(200);

/// What the attacker asks for, again and again, beside sending records to its camera.
#[derive(Clone, Copy)]
enum Asks {
    Nothing,
    /// A camera, which is refused. So it has none.
    Create,
    /// The same plugin anew, so that the old one is saved and the new one restored.
    Deploy,
}

/// All ways of the hostile suite, each as an attacker would have most of it: on each frame, and in other
/// hooks as often as can be asked for. What is needed for them is put into the store of `home`.
///
/// # Panics
/// When a plugin is not built.
#[must_use]
pub fn all_ways(home: &Home) -> Vec<Way> {
    let hostile = |how: &str, size: u64| json!([{ "source": "hostile.wasm", "config": { "how": how, "size": size } }]);
    let mut ways = Vec::new();
    let groups = [
        hostile::TIME,
        hostile::MEMORY,
        hostile::OUTPUT,
        hostile::READS,
        hostile::LARGE_READS,
        hostile::FLOODS,
    ];
    for group in groups {
        let limits = group.limits.iter().map(|(limit, value)| ((*limit).to_owned(), json!(value)));
        let limits = Value::Object(limits.collect::<Map<_, _>>());
        ways.extend(group.ways.iter().map(|(how, size, _)| Way {
            on: group.on,
            name: format!("{how} {size}"),
            plugins: hostile(how, *size),
            limits: limits.clone(),
            asks: Asks::Nothing,
        }));
    }
    let hooks = [
        ("configure", &hostile::CONFIGURED[..], Asks::Create),
        ("save", &hostile::SAVED, Asks::Deploy),
        ("restore", &hostile::RESTORED, Asks::Deploy),
    ];
    for (on, attacks, asks) in hooks {
        ways.extend(attacks.iter().map(|(how, size, _)| Way {
            on,
            name: format!("{how} {size}"),
            plugins: hostile(how, *size),
            limits: json!({ "deadline_ms": HOOK_DEADLINE_MS }),
            asks,
        }));
    }
    let mut of_file = |on, name: &str, file: &[u8], limits, asks| {
        home.store_file(&format!("{name}.wasm"), file);
        let plugins = json!([{ "source": format!("{name}.wasm") }]);
        ways.push(Way { on, name: name.to_owned(), plugins, limits, asks });
    };
    for it in hostile::growers() {
        let limits = json!({ "deadline_ms": it.deadline_ms });
        of_file("tables", it.name, &it.file, limits, Asks::Nothing);
    }
    for it in hostile::bombs() {
        of_file("bombs", it.name, &it.file, json!({}), Asks::Create);
    }
    ways
}

/// An attack that goes on until it is dropped.
pub(crate) struct Attack {
    camera: String,
    control: Arc<Mutex<Control>>,
    stopping: Arc<AtomicBool>,
    asking: Option<JoinHandle<()>>,
    _records: Feed,
}

impl Attack {
    /// Begins one in this way, by this camera, whose topics are there.
    pub(crate) fn begin(
        camera: &str,
        way: &Way,
        control: &Arc<Mutex<Control>>,
        clip: &'static Clip,
    ) -> Self {
        let value = json!({
            "id": camera, "tenant": ATTACKER, "mode": "live", "start": "beginning",
            "plugins": way.plugins, "limits": way.limits,
        });
        if !matches!(way.asks, Asks::Create) {
            control.lock().unwrap().done("create", value.clone());
        }
        let deploy = json!({ "id": camera, "plugins": way.plugins, "probation": 0 });
        let stopping = Arc::new(AtomicBool::new(false));
        let (asks, stop, client) = (way.asks, Arc::clone(&stopping), Arc::clone(control));
        let asking = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(BETWEEN_ASKING);
                // What comes of it is for the suite.
                let _ = match asks {
                    Asks::Nothing => return,
                    Asks::Create => client.lock().unwrap().ask("create", value.clone()),
                    Asks::Deploy => client.lock().unwrap().ask("deploy", deploy.clone()),
                };
            }
        });
        Self {
            camera: camera.to_owned(),
            control: Arc::clone(control),
            stopping,
            asking: Some(asking),
            _records: Feed::start(&[format!("raw_{camera}")], clip, 25),
        }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = self.asking.take().map(JoinHandle::join);
        // There is none where it was refused.
        let _ = self.control.lock().unwrap().ask("delete", json!({ "id": self.camera }));
    }
}
