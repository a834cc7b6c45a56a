//! `comux status`: how the cameras of all nodes are, what is wrong first.

use std::time::Duration;

use anyhow::anyhow;
use comux::control::wire::counted;
use serde_json::{Value, json};

use super::failure::Failure;
use super::nodes::{Asked, Nodes, Place};
use super::report::{self, Health};
use crate::output::{print_json, print_line};

#[derive(clap::Args)]
#[command(after_help = "Exit code 1: a camera is broken, or no node answers.

Examples:
  comux status                              all cameras of all nodes, what is wrong first
  comux status gate-7                       all that is known of one camera
  comux status --tenant-topic acme --json")]
pub struct Arguments {
    /// One camera only.
    camera: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Only the node of this name answers.
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// How many seconds to wait for the first answer.
    #[arg(long, value_name = "S", default_value_t = 10)]
    timeout: u64,
    /// Print the whole answer of each node as JSON, on a line.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let asking = tokio::task::spawn_blocking(move || ask(&arguments));
    asking.await.map_err(Failure::failed)?
}

fn ask(arguments: &Arguments) -> Result<(), Failure> {
    let nodes = Nodes::new(&arguments.place)?;
    let value = arguments.camera.as_ref().map_or(json!({}), |id| json!({ "id": id }));
    let (runtime, camera) = (arguments.runtime.as_deref(), None);
    let asked = Asked { action: "status", value: &value.to_string(), runtime, camera };
    let answers = nodes.listen().map_err(Failure::Failed)?;
    nodes.send(asked, Some(answers.id())).map_err(Failure::Failed)?;
    let mut all = answers.all(Duration::from_secs(arguments.timeout)).map_err(Failure::Failed)?;
    // Of one camera, whoever has it tells.
    let knows = |answer: &Value| answer.get("ok").and_then(Value::as_bool) == Some(true);
    if all.iter().any(knows) {
        all.retain(knows);
    }
    let (mut of_all, mut without_results) = (0, 0);
    for answer in &all {
        let lines = report::cameras(answer);
        of_all += lines.len();
        without_results += lines.iter().filter(|(health, _)| *health == Health::Broken).count();
        if arguments.json {
            print_json(answer)?;
            continue;
        }
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
        let (node, message) = (text("runtime"), text("message"));
        print_line(format_args!("{node}: {}", message.trim_start_matches("✔ status: ")));
        for (_, line) in lines {
            print_line(format_args!("  {line}"));
        }
        let one = arguments.camera.as_ref().and_then(|_| answer.pointer("/cameras/0"));
        for line in one.map(report::details).unwrap_or_default() {
            print_line(format_args!("    {line}"));
        }
    }
    if !all.iter().any(knows) {
        return Err(Failure::Failed(anyhow!("no node has that camera")));
    }
    match without_results {
        0 => Ok(()),
        count => Err(Failure::Failed(anyhow!(
            "{count} of {} {} no results; see above",
            counted(of_all, "camera"),
            if count == 1 { "gives" } else { "give" }
        ))),
    }
}
