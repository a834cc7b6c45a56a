//! Who acts on a control record: those it is meant for, and nobody else says a word.

use comux_tests::control::{Answer, Control, Names, state};
use comux_tests::home::Home;
use comux_tests::process::{Comux, Config};
use serde_json::json;

use crate::live::{camera, only};
use crate::promises::topics;

const TENANTS: &str = "[[tenants]]\nid = 'acme'\n[[tenants]]\nid = 'zeta'";

fn runtimes(answers: &[Answer]) -> Vec<&str> {
    let mut names: Vec<&str> = answers.iter().map(|answer| answer.runtime()).collect();
    names.sort_unstable();
    names
}

#[test]
fn of_two_instances_on_one_topic_those_act_that_are_meant() {
    let names = Names::new("targets");
    let instances = ["targets-one", "targets-two"].map(|name| {
        let config = names.configure(Config::new(name));
        Comux::run_in(&Home::with_plugins(&["brightness"]), &config)
    });
    let mut control = Control::new(&names);
    let _ = (topics("target-a"), topics("target-b"));

    let both = control.send(&Control::record("status", &json!({})));
    let answers = control.answers(&both, 2);
    assert_eq!(runtimes(&answers), ["targets-one", "targets-two"]);

    let mut to_one = Vec::new();
    for (instance, id) in [("targets-one", "target-a"), ("targets-two", "target-b")] {
        let create = Control::record("create", &camera(id, only("brightness")))
            .with_header("runtime", Some(instance.as_bytes()));
        let sent = control.send(&create);
        let answer = control.answer(&sent);
        assert!(answer.ok() && answer.runtime() == instance, "{answer:?}");
        to_one.push((sent, instance));
    }
    // A camera's name in the header finds the instance that has it.
    for (instance, id) in [("targets-one", "target-a"), ("targets-two", "target-b")] {
        let pause = Control::record("pause", &json!({ "id": id }))
            .with_header("camera", Some(id.as_bytes()));
        let sent = control.send(&pause);
        let answer = control.answer(&sent);
        assert!(answer.ok() && answer.runtime() == instance, "{answer:?}");
        to_one.push((sent, instance));
    }
    let nobody = Control::record("status", &json!({}));
    let nobody = control.send(&nobody.with_header("runtime", Some(b"targets-three")));
    // Whatever comes before the answers to this would have come by now.
    let last = control.send(&Control::record("status", &json!({})));
    assert_eq!(control.answers(&last, 2).len(), 2);
    for (id, instance) in to_one {
        assert_eq!(runtimes(&control.to(&id)), [instance], "only the one that is meant answers");
    }
    assert_eq!(runtimes(&control.to(&nobody)), [""; 0], "nobody is called that");
    let cameras = |instance: &str| -> Vec<String> { state(&names, instance).into_keys().collect() };
    assert_eq!(cameras("targets-one"), ["target-a"]);
    assert_eq!(cameras("targets-two"), ["target-b"]);
    for instance in instances {
        instance.stop();
    }
}

#[test]
fn a_tenants_own_topic_reaches_its_own_cameras_and_no_others() {
    let names = Names::new("tenants");
    let home = Home::with_plugins(&["brightness"]);
    // Last, [topics] is open for more keys.
    let config = names.configure(Config::new("tenants"));
    let config = config.with("consume = 'raw_:tenant_:cam_id'\nproduce = 'stream_:tenant_:cam_id'");
    let comux = Comux::run_in(&home, &config.with(TENANTS));
    let mut operator = Control::new(&names);
    let mut acme = Control::new(&names.of_tenant("acme"));
    let mut zeta = Control::new(&names.of_tenant("zeta"));

    let mut own = camera("of-acme", only("brightness"));
    own["tenant"] = json!("acme");
    assert_eq!(acme.done("create", own.clone())["tenant"], "acme");
    let mut others = camera("of-zeta", only("brightness"));
    others["tenant"] = json!("zeta");
    zeta.done("create", others);
    let mut unnamed = camera("of-nobody", json!([]));
    unnamed["tenant"] = json!("zeta");
    let refused = acme.ask("create", unnamed);
    assert!(!refused.ok(), "a tenant can't create a camera of another: {refused:?}");

    let mut elsewhere = camera("of-acme-too", json!([]));
    elsewhere["consume"] = json!("raw_zeta_of-zeta");
    acme.refused("create", elsewhere, "conflict", &["operator"]);
    let elsewhere = json!({ "id": "of-acme", "produce": "stream_zeta_of-zeta" });
    acme.refused("update", elsewhere, "conflict", &["operator"]);
    for topic in [names.of_tenant("zeta").control, "comux.control".to_owned()] {
        let value = json!({ "id": "of-ops", "produce": topic });
        operator.refused("create", value, "conflict", &["topic of control"]);
    }

    let plugin = json!({ "source": "brightness.wasm", "config": { "dark_below": 1 } });
    // Of another's camera one learns what one learns of none at all.
    let nothing = |answer: &Answer, id: &str| {
        let mut fields = (**answer).clone();
        fields.as_object_mut().unwrap().remove("correlation-id");
        fields.to_string().replace(id, "ID")
    };
    let entry = json!({ "source": "brightness.wasm" });
    for (action, value) in [
        ("status", json!({ "id": "ID" })),
        ("update", json!({ "id": "ID", "rate": 1 })),
        ("update", json!({ "_id": "ID", "no-key": 1 })),
        ("pause", json!({ "id": "ID" })),
        ("resume", json!({ "id": "ID" })),
        ("delete", json!({ "id": "ID" })),
        ("reset", json!({ "id": "ID" })),
        ("delete", json!({ "id": "ID", "no-key": 1 })),
        ("deploy", json!({ "id": "ID", "plugin": entry })),
        ("deploy", json!({ "id": "ID", "plugin": { "source": "none.wasm" } })),
        ("deploy", json!({ "cameras": ["of-acme", "ID"], "plugin": entry, "probation": 0 })),
        ("deploy", json!({ "cameras": ["ID", "of-acme"], "canary": true, "plugin": entry })),
        ("deploy", json!({ "cameras": ["of-acme"], "canary": "ID", "plugin": entry })),
        ("deploy", json!({ "tenant": "zeta", "plugin": entry })),
        ("rollback", json!({ "id": "ID" })),
        ("rollback", json!({ "cameras": ["ID"], "plugin": "brightness" })),
    ] {
        let [others, none] = ["of-zeta", "of-none"].map(|id| {
            let value = value.to_string().replace("ID", id);
            let answer = acme.ask(action, serde_json::from_str(&value).unwrap());
            assert!(!answer.ok(), "{action} {value}: {answer:?}");
            // What a list says of one's own camera is its own: how long steps took, for one.
            let id_alone = answer["cameras"].as_array().map(|cameras| {
                let of_id = cameras.iter().find(|camera| camera["camera"] == id).unwrap();
                of_id.to_string().replace(id, "ID")
            });
            id_alone.unwrap_or_else(|| nothing(&answer, id))
        });
        assert_eq!(others, none, "{action} {value}");
    }
    let mut taken = own.clone();
    taken["id"] = json!("of-zeta");
    let taken = acme.refused("create", taken, "exists", &["taken"]);
    for field in ["tenant", "generation", "plugins"] {
        assert!(taken.get(field).is_none(), "{taken:?}");
    }
    for (action, value) in [
        ("status", json!({ "id": "of-zeta" })),
        ("update", json!({ "id": "of-zeta", "rate": 1 })),
        ("pause", json!({ "id": "of-zeta" })),
        ("resume", json!({ "id": "of-zeta" })),
        ("deploy", json!({ "id": "of-zeta", "plugin": plugin, "probation": 0 })),
        ("rollback", json!({ "id": "of-zeta" })),
        ("delete", json!({ "id": "of-zeta" })),
    ] {
        acme.refused(action, value, "unknown-camera", &["of-zeta"]);
    }
    // A header can't lend another tenant's rights.
    let disguised =
        Control::record("delete", &json!({ "id": "of-zeta" })).with_header("tenant", Some(b"zeta"));
    acme.send(&disguised);
    let list = |answer: &Answer| -> Vec<String> {
        let cameras = answer["cameras"].as_array().unwrap().iter();
        cameras.map(|camera| camera["camera"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list(&acme.done("status", json!({}))), ["of-acme"]);
    assert_eq!(list(&zeta.done("status", json!({}))), ["of-zeta"]);
    assert_eq!(list(&operator.done("status", json!({}))), ["of-acme", "of-zeta"]);
    let all = acme.ask("deploy", json!({ "all": true, "plugin": plugin, "probation": 0 }));
    assert!(all.ok() && list(&all) == ["of-acme"], "`all` is all of one's own: {all:?}");
    assert_eq!(zeta.status("of-zeta")["generation"], 1, "another tenant's camera is as it was");

    // The operator reaches everything; a tenant in the header restricts who is meant.
    operator.done("pause", json!({ "id": "of-zeta" }));
    let restricted = Control::record("status", &json!({})).with_header("tenant", Some(b"zeta"));
    let restricted = operator.send(&restricted);
    assert_eq!(list(&operator.answer(&restricted)), ["of-zeta"]);
    operator.assert_one_answer_each(1);
    zeta.assert_one_answer_each(1);
    comux.stop();
}

#[test]
fn where_topics_do_not_name_the_tenant_no_tenant_may_create_cameras() {
    let names = Names::new("shared-topics");
    let config = names.configure(Config::new("shared-topics")).with(TENANTS);
    let comux = Comux::run_in(&Home::with_plugins(&[]), &config);
    let mut acme = Control::new(&names.of_tenant("acme"));
    acme.refused("create", json!({ "id": "of-zeta" }), "conflict", &[":tenant"]);
    comux.stop();
}
