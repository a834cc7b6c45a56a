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

/// The tenant that attacks.
pub(crate) const ATTACKER: &str = "mallory";

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

impl Way {
    /// What somebody does who sends as many records and attacks nobody: to a camera like any other,
    /// where the attack has one.
    #[must_use]
    pub(crate) fn behaved(&self) -> Self {
        Self {
            on: self.on,
            name: format!("{}, behaved", self.name),
            plugins: json!([{ "source": "motion.wasm" }]),
            limits: json!({}),
            asks: if self.asks.has_camera() { Asks::Camera } else { Asks::Nothing },
        }
    }
}

/// Control records without a pause would be an attack on the broker, which is for its own quotas.
const BETWEEN_ASKING: Duration = Duration::from_millis(200);

/// What somebody asks for beside sending records.
#[derive(Clone, Copy)]
enum Asks {
    Nothing,
    /// A camera, once.
    Camera,
    /// A camera, which is refused, again and again. So it has none.
    Create,
    /// A camera, and again and again its plugin with another configuration, so that the old one is
    /// saved and the new one restored.
    Deploy,
}

impl Asks {
    fn has_camera(self) -> bool {
        matches!(self, Self::Camera | Self::Deploy)
    }
}

/// All ways of the hostile suite, each as an attacker would have most of it: on each frame, and in
/// other hooks as often as can be asked for. What is needed for them is put into the store of
/// `home`.
///
/// # Panics
/// When a plugin is not built.
#[must_use]
pub fn all_ways(home: &Home) -> Vec<Way> {
    let hostile = |how: &str, size: u64| {
        let config = json!({ "how": how, "size": size, "every": 1 });
        json!([{ "source": "hostile.wasm", "config": config }])
    };
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
            asks: Asks::Camera,
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
        of_file("tables", it.name, &it.file, limits, Asks::Camera);
    }
    for it in hostile::bombs() {
        of_file("bombs", it.name, &it.file, json!({}), Asks::Create);
    }
    ways
}

/// Somebody who attacks, or behaves, until it is dropped.
pub(crate) struct Attacker {
    name: String,
    camera: String,
    has_camera: bool,
    control: Arc<Mutex<Control>>,
    stopping: Arc<AtomicBool>,
    asking: Option<JoinHandle<()>>,
    _records: Feed,
}

impl Attacker {
    /// Begins in this way, with this camera, whose topics are there.
    pub(crate) fn begin(
        camera: &str,
        way: &Way,
        control: &Arc<Mutex<Control>>,
        clip: &'static Clip,
    ) -> Self {
        let value = json!({
            "id": camera, "tenant": ATTACKER, "mode": "live", "start": "end",
            "plugins": way.plugins, "limits": way.limits,
        });
        let has_camera = way.asks.has_camera();
        if has_camera {
            control.lock().unwrap().done("create", value.clone());
        }
        let mut deploy = json!({ "id": camera, "plugins": way.plugins, "probation": 0 });
        let stopping = Arc::new(AtomicBool::new(false));
        let (asks, stop, client) = (way.asks, Arc::clone(&stopping), Arc::clone(control));
        let asking = std::thread::spawn(move || {
            for number in 2_u64.. {
                std::thread::sleep(BETWEEN_ASKING);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let mut client = client.lock().unwrap();
                match asks {
                    Asks::Nothing | Asks::Camera => return,
                    Asks::Create => {
                        let answer = client.ask("create", value.clone());
                        assert!(answer["failed_step"].is_string(), "{answer:?}");
                    }
                    Asks::Deploy => {
                        // What it runs already would not be put in its own place.
                        deploy["plugins"][0]["config"]["every"] = json!(number);
                        // Whoever fails to hand its state over, or to take it, stays or does not
                        // come.
                        let answer = client.ask("deploy", deploy.clone());
                        let handed = answer.ok() || answer["failed_step"] == "hand-over";
                        assert!(handed && !answer.steps().is_empty(), "{answer:?}");
                    }
                }
            }
        });
        Self {
            name: format!("{}: {}", way.on, way.name),
            camera: camera.to_owned(),
            has_camera,
            control: Arc::clone(control),
            stopping,
            asking: Some(asking),
            _records: Feed::start(&[format!("raw_{camera}")], clip, 25),
        }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let asked = self.asking.take().map(JoinHandle::join);
        if std::thread::panicking() {
            return;
        }
        // What was no attack must not be measured as one.
        assert!(matches!(asked, Some(Ok(()))), "{}: what it asked for came out well", self.name);
        let mut control = self.control.lock().unwrap();
        if self.has_camera {
            let usage = control.status(&self.camera)["plugins_usage"][0].clone();
            assert!(usage["calls"].as_u64() > Some(0), "{}: was not called: {usage}", self.name);
            control.done("delete", json!({ "id": self.camera }));
        }
    }
}
