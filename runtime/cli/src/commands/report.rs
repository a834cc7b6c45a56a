//! What `status` answers, for people: what is wrong comes first, in words.

use serde_json::Value;

/// How a camera is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Nothing is analysed that should be.
    Broken,
    /// Something is left out that should not be.
    Troubled,
    /// It does as it is told.
    Well,
}

/// The cameras of a node, a line each, and how the worst of them is.
pub fn cameras(answer: &Value) -> (Vec<String>, Health) {
    let cameras = answer.get("cameras").and_then(Value::as_array).into_iter().flatten();
    let mut lines: Vec<(Health, String)> = cameras.map(camera).collect();
    // Within each kind, in the order of their ids.
    lines.sort_by_key(|(health, _)| *health);
    let worst = lines.first().map_or(Health::Well, |(health, _)| *health);
    (lines.into_iter().map(|(_, line)| line).collect(), worst)
}

/// One camera on a line.
pub fn camera(camera: &Value) -> (Health, String) {
    let text = |key: &str| camera.get(key).and_then(Value::as_str).unwrap_or_default();
    let (health, state) = state(camera);
    let mark = match health {
        Health::Broken => '✘',
        Health::Troubled => '⚠',
        Health::Well => '✔',
    };
    let plugins = camera.get("plugins").and_then(Value::as_array).into_iter().flatten();
    let plugins: Vec<&str> = plugins.filter_map(Value::as_str).map(without_digest).collect();
    let plugins = if plugins.is_empty() { "no plugins".to_owned() } else { plugins.join(", ") };
    let (id, tenant, counts) = (text("camera"), text("tenant"), counts(camera));
    (health, format!("{mark} {id} ({tenant}): {state}; {plugins}; {counts}"))
}

/// What it does, or what is wrong.
fn state(camera: &Value) -> (Health, String) {
    let text = |key: &str| camera.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("phase") {
        "failed" => return (Health::Broken, format!("stopped: {}", text("error"))),
        "no-plugin" => {
            let why = format!("its plugins can't be loaded, and records pass: {}", text("error"));
            return (Health::Broken, why);
        }
        "no-analysis" => {
            return (Health::Broken, format!("nothing is analysed: {}", text("trouble")));
        }
        _ => {}
    }
    let mut signs = Vec::new();
    for plugin in camera.get("plugins_usage").and_then(Value::as_array).into_iter().flatten() {
        let of = |key: &str| plugin.get(key).and_then(Value::as_str).unwrap_or_default();
        let failed = plugin.get("failed").map(reasons).unwrap_or_default();
        let name = without_digest(of("plugin"));
        match of("breaker") {
            "open" => signs.push(format!("{name} is left out because it keeps failing: {failed}")),
            "probing" => signs.push(format!("{name} is tried again after failing: {failed}")),
            _ => {}
        }
    }
    let count = |path: &str| camera.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    if camera.get("behind").and_then(Value::as_bool) == Some(true) {
        signs.push(format!("behind by {} records", count("/counts/lag")));
    }
    let quota = count("/counts/skipped/quota");
    if quota > 0 {
        signs.push(format!("{quota} records were skipped because the quota was used up"));
    }
    let failed = camera.pointer("/counts/failed").map(reasons).unwrap_or_default();
    if !failed.is_empty() {
        signs.push(format!("failed: {failed}"));
    }
    let phase = text("phase").to_owned();
    match signs.is_empty() {
        true => (Health::Well, phase),
        false => (Health::Troubled, format!("{phase}, {}", signs.join("; "))),
    }
}

fn counts(camera: &Value) -> String {
    let count = |key: &str| camera.pointer(&format!("/counts/{key}")).and_then(Value::as_u64);
    let number = |key: &str| count(key).unwrap_or_default();
    let mut said = format!("{} received, {} analysed", number("received"), number("analysed"));
    for (key, word) in [("passthrough", "passed through"), ("lag", "to come")] {
        if number(key) > 0 {
            said.push_str(&format!(", {} {word}", number(key)));
        }
    }
    let skipped = camera.pointer("/counts/skipped").map(reasons).unwrap_or_default();
    if !skipped.is_empty() {
        said.push_str(&format!(", skipped: {skipped}"));
    }
    said
}

/// `rate 12, lag 3` of an object of counts.
fn reasons(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    let counts = counts.filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0));
    counts.map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ")
}

/// `name@version` of an identity.
fn without_digest(identity: &str) -> &str {
    identity.split('+').next().unwrap_or(identity)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_comes_first_and_in_words() {
        let counts =
            json!({ "received": 100, "analysed": 90, "lag": 0, "skipped": {}, "failed": {} });
        let with = |id: &str, fields: Value| {
            let mut camera = json!({
                "camera": id, "tenant": "acme", "phase": "running", "counts": counts,
                "plugins": ["motion@0.1.0+sha256.0123456789ab"],
                "plugins_usage": [{
                    "plugin": "motion@0.1.0+sha256.0123456789ab", "breaker": "closed", "failed": {}
                }],
            });
            for (path, value) in fields.as_object().unwrap() {
                *camera.pointer_mut(path).unwrap() = value.clone();
            }
            camera
        };
        let mut wrong = with("wrong-codec", json!({ "/phase": "no-analysis" }));
        wrong["trouble"] = json!("the records look like H.265");
        let mut gone = with("gone", json!({ "/phase": "no-plugin", "/plugins": [] }));
        gone["error"] = json!("can't read it: No such file");
        let mut refused = with("refused", json!({ "/phase": "failed" }));
        refused["error"] = json!("the topic `stream_refused` refused the record");
        let mut behind = with("behind", json!({ "/counts/lag": 400 }));
        behind["behind"] = json!(true);
        let cameras_of = json!({ "cameras": [
            with("well", json!({ "/counts/skipped": { "rate": 10 } })),
            with("used-up", json!({ "/counts/skipped": { "quota": 7 } })),
            with("left-out", json!({
                "/plugins_usage/0/breaker": "open", "/plugins_usage/0/failed": { "deadline": 5 },
                "/counts/failed": { "deadline": 5 }, "/counts/skipped": { "quarantined": 60 },
            })),
            behind, refused, gone, wrong,
        ]});
        let (lines, worst) = cameras(&cameras_of);
        assert_eq!(worst, Health::Broken);
        assert_eq!(
            lines,
            [
                "✘ refused (acme): stopped: the topic `stream_refused` refused the record; \
                 motion@0.1.0; 100 received, 90 analysed",
                "✘ gone (acme): its plugins can't be loaded, and records pass: can't read it: No \
                 such file; no plugins; 100 received, 90 analysed",
                "✘ wrong-codec (acme): nothing is analysed: the records look like H.265; \
                 motion@0.1.0; 100 received, 90 analysed",
                "⚠ used-up (acme): running, 7 records were skipped because the quota was used up; \
                 motion@0.1.0; 100 received, 90 analysed, skipped: quota 7",
                "⚠ left-out (acme): running, motion@0.1.0 is left out because it keeps failing: \
                 deadline 5; failed: deadline 5; motion@0.1.0; 100 received, 90 analysed, skipped: \
                 quarantined 60",
                "⚠ behind (acme): running, behind by 400 records; motion@0.1.0; 100 received, 90 \
                 analysed, 400 to come",
                "✔ well (acme): running; motion@0.1.0; 100 received, 90 analysed, skipped: rate 10",
            ]
        );
        assert_eq!(cameras(&json!({ "cameras": [] })), (Vec::new(), Health::Well));
    }
}
