//! `comux control`: a command to running nodes, and its answer.

use std::io::Read;
use std::time::Duration;

use anyhow::anyhow;
use comux::control::OWN;
use serde_json::Value;

use super::failure::Failure;
use super::nodes::{Asked, Nodes, Place};
use super::report;
use crate::output::{print_json, print_line};

#[derive(clap::Args)]
#[command(after_help = "\
Actions: create, update, delete, reset, pause, resume, deploy, rollback, status.

Examples:
  comux control status --wait
  comux control create '{\"id\": \"gate-7\", \"plugins\": [{\"source\": \"motion@0.1.0\"}]}' --wait
  comux control deploy '{\"id\": \"gate-7\", \"plugin\": {\"source\": \"motion@0.2.0\"}}' --wait
  comux control deploy '{\"all\": true, \"canary\": true, \"plugin\": {\"source\": \"motion@0.2.0\"}}' --wait
  comux control rollback '{\"id\": \"gate-7\"}' --wait
  comux control update - < gate-7.json")]
pub struct Arguments {
    /// What to do.
    action: String,
    /// The action's JSON object; `-` reads it from standard input.
    #[arg(default_value = "{}")]
    value: String,
    #[command(flatten)]
    place: Place,
    /// Only the node of this name acts; without it, the one that the configuration names.
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// All nodes act that listen to the control topic; with --wait, each one's answer is shown.
    #[arg(long, conflicts_with = "runtime")]
    all_runtimes: bool,
    /// Only nodes that have this camera act.
    #[arg(long, value_name = "ID")]
    camera: Option<String>,
    /// Wait for the answer, and print it.
    #[arg(long)]
    wait: bool,
    /// How many seconds to wait.
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// Print the whole answer as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let answer = tokio::task::spawn_blocking(move || command(&arguments));
    answer.await.map_err(Failure::failed)?
}

fn command(arguments: &Arguments) -> Result<(), Failure> {
    let value = match arguments.value.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(Failure::failed)?;
            text
        }
        text => text.to_owned(),
    };
    let Arguments { place, action, .. } = arguments;
    let nodes = Nodes::new(place)?;
    // A configuration names its own node; who names Kafka alone means all that listen there.
    let own = || place.bootstrap_servers.is_none().then(|| nodes.own_name());
    let runtime = match arguments.all_runtimes {
        true => None,
        false => arguments.runtime.as_deref().or_else(own),
    };
    let asked = Asked { action, value: &value, runtime, camera: arguments.camera.as_deref() };
    if !arguments.wait {
        // Nobody would read the refusal.
        check(&asked)?;
        return nodes.send(asked, None).map_err(Failure::Failed);
    }
    let answers = nodes.listen().map_err(Failure::Failed)?;
    nodes.send(asked, Some(answers.id())).map_err(Failure::Failed)?;
    let patience = Duration::from_secs(arguments.timeout);
    let answers = match arguments.all_runtimes {
        true => answers.all(patience),
        false => answers.first(patience).map(|answer| vec![answer]),
    };
    let mut refused = Vec::new();
    for answer in answers.map_err(Failure::Failed)? {
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
        let message = format!("{} (by {})", text("message"), text("runtime"));
        match arguments.json {
            true => print_json(&answer)?,
            false => print(&answer, &message),
        }
        if answer.get("ok").and_then(Value::as_bool) != Some(true) {
            refused.push(message);
        }
    }
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::Failed(anyhow!("{}", refused.join("; ")))),
    }
}

/// What every node would refuse.
fn check(asked: &Asked<'_>) -> Result<(), Failure> {
    if !OWN.contains(&asked.action) {
        let (action, known) = (asked.action, OWN.join(", "));
        return Err(Failure::usage(anyhow!(
            "no action `{action}`; there are {known}. An application's own goes with --wait"
        )));
    }
    match serde_json::from_str::<Value>(asked.value) {
        Ok(Value::Object(_)) => Ok(()),
        Ok(_) => Err(Failure::usage(anyhow!("the value must be a JSON object"))),
        Err(error) => Err(Failure::usage(anyhow!("the value is no JSON: {error}"))),
    }
}

/// For people: the message on its own line, and what belongs to it below.
fn print(answer: &Value, message: &str) {
    let is_ok = answer.get("ok").and_then(Value::as_bool) == Some(true);
    if is_ok {
        print_line(message);
    }
    let steps = answer.get("steps").and_then(Value::as_array).into_iter().flatten();
    let steps: Vec<String> = steps
        .filter_map(|step| {
            let name = step.get("step")?.as_str()?;
            Some(format!("{name} {} ms", step.get("ms")?))
        })
        .collect();
    if !steps.is_empty() {
        print_line(format_args!("  {}", steps.join(", ")));
    }
    if let Some(cut) = answer.get("cut").and_then(|cut| cut.get("source")?.as_str()) {
        let gap = answer.get("gap_ms").map(ToString::to_string).unwrap_or_default();
        print_line(format_args!("  first record: {cut}; the camera was held up for {gap} ms"));
    }
    if let Some(shadow) = answer.get("shadow") {
        print_line(format_args!("  shadow: {shadow}"));
    }
    for camera in answer.get("cameras").and_then(Value::as_array).into_iter().flatten() {
        match camera.get("message").and_then(Value::as_str) {
            Some(message) => print_line(format_args!("  {message}")),
            None => {
                print_line(format_args!("  {}", report::camera(camera).1));
                // Only asked for alone.
                let details = camera.get("spec").map(|_| report::details(camera));
                for line in details.unwrap_or_default() {
                    print_line(format_args!("    {line}"));
                }
            }
        }
    }
}
