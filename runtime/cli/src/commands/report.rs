//! What `status` answers, for people: what is wrong comes first, in words.

use comux::control::wire::counted;
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

/// The cameras of a node, a line each, the worst first.
pub fn cameras(answer: &Value) -> Vec<(Health, String)> {
    let cameras = answer.get("cameras").and_then(Value::as_array).into_iter().flatten();
    let mut lines: Vec<(Health, String)> = cameras.map(camera).collect();
    // Within each kind, in the order of their ids.
    lines.sort_by_key(|(health, _)| *health);
    lines
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
    let plugins = match (plugins.is_empty(), text("phase")) {
        // What is wrong with them is said.
        (true, "no-plugin" | "failed") => String::new(),
        (true, _) => "no plugins; ".to_owned(),
        (false, _) => format!("{}; ", plugins.join(", ")),
    };
    let (id, tenant, counts) = (text("camera"), text("tenant"), counts(camera));
    (health, format!("{mark} {id} ({tenant}): {state}; {plugins}{counts}"))
}

/// What it does, or what is wrong.
fn state(camera: &Value) -> (Health, String) {
    let text = |key: &str| camera.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("phase") {
        "failed" => return (Health::Broken, format!("stopped: {}", text("error"))),
        "no-plugin" => {
            let why = text("error");
            let why =
                format!("its plugins can't be loaded, and records pass without results: {why}");
            return (Health::Broken, why);
        }
        "no-analysis" => {
            let since = camera.get("trouble_s").and_then(Value::as_u64).map(span);
            let since = since.map(|span| format!(" for {span}")).unwrap_or_default();
            return (Health::Broken, format!("nothing is analysed{since}: {}", text("trouble")));
        }
        _ => {}
    }
    let (mut signs, mut quarantined) = (Vec::new(), Vec::new());
    for plugin in camera.get("plugins_usage").and_then(Value::as_array).into_iter().flatten() {
        let of = |key: &str| plugin.get(key).and_then(Value::as_str).unwrap_or_default();
        let failed = plugin.get("failed").map(reasons).unwrap_or_default();
        let name = without_digest(of("plugin"));
        let last = last_failure(plugin);
        match of("breaker") {
            "open" => {
                quarantined.push(format!(
                    "{name} keeps failing ({failed}{last}), and is quarantined, tried again now \
                     and then; deploy another version"
                ));
            }
            "probing" => signs.push(format!("{name} is tried again after failing: {failed}{last}")),
            _ => {}
        }
    }
    let count = |path: &str| camera.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    if camera.get("behind").and_then(Value::as_bool) == Some(true) {
        signs.push(format!("behind by {} records", count("/counts/lag")));
    }
    // What went wrong once is not what is wrong now. A camera that is new has nothing older.
    let recent = camera.get("recent").or(camera.get("counts"));
    let lately = camera.get("recent_s").and_then(Value::as_u64).map(span);
    let lately = lately.map(|span| format!(" in the last {span}")).unwrap_or_default();
    let recent = |key: &str| recent.and_then(|counts| counts.get(key));
    let analysed = recent("analysed").and_then(Value::as_u64).unwrap_or_default();
    if !quarantined.is_empty() && analysed == 0 && text("phase") == "running" {
        return (Health::Broken, format!("nothing is analysed: {}", quarantined.join("; ")));
    }
    signs.splice(..0, quarantined);
    let quota = recent("skipped").and_then(|it| it.get("quota")?.as_u64()).unwrap_or_default();
    if quota > 0 {
        let tenant = text("tenant");
        signs.push(format!(
            "{quota} records were skipped{lately} because the `quota` of tenant `{tenant}`, or the \
             host's, was used up"
        ));
    }
    let failed = recent("failed").map(reasons).unwrap_or_default();
    if !failed.is_empty() {
        signs.push(format!("failed{lately}: {failed}"));
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

/// All that is known of one camera, for people: the lines below [`camera`].
pub fn details(camera: &Value) -> Vec<String> {
    let text = |at: &str| camera.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let number = |at: &str| camera.pointer(at).and_then(Value::as_u64).unwrap_or_default();
    let mut lines = vec![
        format!(
            "records come from `{}`, and leave for `{}`",
            text("/spec/consume"),
            text("/spec/produce")
        ),
        format!(
            "{} {}, {}, decoded by {}; changed {}",
            text("/spec/codec"),
            text("/spec/framing"),
            text("/spec/mode"),
            counted(number("/decode_threads") as usize, "thread"),
            counted(number("/generation") as usize, "time")
        ),
        format!("since the start: {}{}", counts(camera), failures(camera.get("counts"))),
    ];
    if let Some(recent) = camera.get("recent") {
        let lately = span(number("/recent_s"));
        let recently = serde_json::json!({ "counts": recent });
        let failed = failures(Some(recent));
        lines.push(format!("in the last {lately}: {}{failed}", counts(&recently)));
    }
    for plugin in camera.get("plugins_usage").and_then(Value::as_array).into_iter().flatten() {
        let of = |key: &str| plugin.get(key).and_then(Value::as_str).unwrap_or_default();
        let count = |key: &str| plugin.get(key).and_then(Value::as_u64).unwrap_or_default();
        let state = match of("breaker") {
            "open" => ", left out because it keeps failing",
            "probing" => ", tried again after failing",
            _ => "",
        };
        lines.push(format!(
            "plugin {}: {} calls, {} ms of CPU, {} KiB of memory{}{}{state}",
            of("plugin"),
            count("calls"),
            count("cpu_us") / 1000,
            count("peak_memory") / 1024,
            failures(Some(plugin)),
            last_failure(plugin),
        ));
    }
    lines
}

/// `, lastly by: …`, if a plugin has failed.
fn last_failure(plugin: &Value) -> String {
    let last = plugin.get("last_failure").and_then(Value::as_str);
    last.map(|text| format!(", lastly by: {text}")).unwrap_or_default()
}

/// `, failed: deadline 3`, if anything has.
fn failures(counts: Option<&Value>) -> String {
    let failed = counts.and_then(|counts| counts.get("failed")).map(reasons).unwrap_or_default();
    if failed.is_empty() { failed } else { format!(", failed: {failed}") }
}

/// `50 s`, `12 min`, `3 h`.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
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

    fn failing_of(answer: &Value) -> Value {
        let cameras = answer["cameras"].as_array().unwrap();
        cameras.iter().find(|it| it["camera"] == "failing").unwrap().clone()
    }

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
        wrong["trouble_s"] = json!(200);
        let mut gone = with("gone", json!({ "/phase": "no-plugin", "/plugins": [] }));
        gone["error"] = json!("can't read it: No such file");
        let mut refused = with("refused", json!({ "/phase": "failed" }));
        refused["error"] = json!("the topic `stream_refused` refused the record");
        let mut behind = with("behind", json!({ "/counts/lag": 400 }));
        behind["behind"] = json!(true);
        // It failed some time ago.
        let mut mended = with("mended", json!({ "/counts/failed": { "deadline": 5 } }));
        mended["recent"] = json!({ "received": 50, "analysed": 50, "skipped": {}, "failed": {} });
        mended["recent_s"] = json!(65);
        let mut failing = with("failing", json!({ "/counts/failed": { "deadline": 5 } }));
        failing["recent"] = json!({ "skipped": { "quota": 9 }, "failed": { "deadline": 2 } });
        failing["recent_s"] = json!(65);
        let mut always = with(
            "always",
            json!({
                "/plugins_usage/0/breaker": "open", "/plugins_usage/0/failed": { "plugin-trap": 9 },
            }),
        );
        always["plugins_usage"][0]["last_failure"] = json!("wasm trap");
        always["recent"] = json!({ "received": 50, "analysed": 0 });
        let mut paused = always.clone();
        (paused["camera"], paused["phase"]) = (json!("paused"), json!("paused"));
        let cameras_of = json!({ "cameras": [
            with("well", json!({ "/counts/skipped": { "rate": 10 } })),
            with("used-up", json!({ "/counts/skipped": { "quota": 7 } })),
            with("sometimes", json!({
                "/plugins_usage/0/breaker": "open", "/plugins_usage/0/failed": { "deadline": 5 },
                "/counts/failed": { "deadline": 5 }, "/counts/skipped": { "quarantined": 60 },
            })),
            behind, refused, gone, wrong, mended, failing, always, paused,
        ]});
        let lines = cameras(&cameras_of);
        assert_eq!(lines.iter().filter(|(health, _)| *health == Health::Broken).count(), 4);
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "✘ refused (acme): stopped: the topic `stream_refused` refused the record; \
                 motion@0.1.0; 100 received, 90 analysed",
                "✘ gone (acme): its plugins can't be loaded, and records pass without results: \
                 can't read it: No such file; 100 received, 90 analysed",
                "✘ wrong-codec (acme): nothing is analysed for 3 min: the records look like H.265; \
                 motion@0.1.0; 100 received, 90 analysed",
                "✘ always (acme): nothing is analysed: motion@0.1.0 keeps failing (plugin-trap 9, \
                 lastly by: wasm trap), and is quarantined, tried again now and then; deploy \
                 another version; motion@0.1.0; 100 received, 90 analysed",
                "⚠ used-up (acme): running, 7 records were skipped because the `quota` of tenant \
                 `acme`, or the host's, was used up; motion@0.1.0; 100 received, 90 analysed, \
                 skipped: quota 7",
                "⚠ sometimes (acme): running, motion@0.1.0 keeps failing (deadline 5), and is \
                 quarantined, tried again now and then; deploy another version; failed: \
                 deadline 5; motion@0.1.0; 100 received, 90 analysed, skipped: quarantined 60",
                "⚠ behind (acme): running, behind by 400 records; motion@0.1.0; 100 received, 90 \
                 analysed, 400 to come",
                "⚠ failing (acme): running, 9 records were skipped in the last 65 s because the \
                 `quota` of tenant `acme`, or the host's, was used up; failed in the last 65 s: \
                 deadline 2; motion@0.1.0; 100 received, 90 analysed",
                "⚠ paused (acme): paused, motion@0.1.0 keeps failing (plugin-trap 9, lastly by: \
                 wasm trap), and is quarantined, tried again now and then; deploy another \
                 version; motion@0.1.0; 100 received, 90 analysed",
                "✔ well (acme): running; motion@0.1.0; 100 received, 90 analysed, skipped: rate 10",
                "✔ mended (acme): running; motion@0.1.0; 100 received, 90 analysed",
            ]
        );
        assert_eq!(cameras(&json!({ "cameras": [] })), []);

        let mut one = failing_of(&cameras_of);
        one["spec"] = json!({
            "consume": "raw_failing", "produce": "stream_failing", "codec": "h264",
            "framing": "packet", "mode": "live",
        });
        one["decode_threads"] = json!(1);
        one["generation"] = json!(3);
        let usage = json!({
            "calls": 97, "cpu_us": 5000, "peak_memory": 2048, "failed": { "deadline": 5 },
            "last_failure": "it took more than 200 ms",
        });
        for (key, value) in usage.as_object().unwrap() {
            one["plugins_usage"][0][key] = value.clone();
        }
        assert_eq!(
            details(&one),
            [
                "records come from `raw_failing`, and leave for `stream_failing`",
                "h264 packet, live, decoded by 1 thread; changed 3 times",
                "since the start: 100 received, 90 analysed, failed: deadline 5",
                "in the last 65 s: 0 received, 0 analysed, skipped: quota 9, failed: deadline 2",
                "plugin motion@0.1.0+sha256.0123456789ab: 97 calls, 5 ms of CPU, 2 KiB of memory, \
                 failed: deadline 5, lastly by: it took more than 200 ms",
            ]
        );
    }
}
