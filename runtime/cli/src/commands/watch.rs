//! `comux watch`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use comux::config::Config;
use rdkafka::Offset;

use super::failure::Failure;
use super::follow::{Followed, Follower};
use crate::output::{print_json, print_line};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  comux watch                               all cameras of comux.toml, from now on
  comux watch --camera gate-7 --json --from-beginning
  comux watch --camera gate-7 --bootstrap-servers broker:9092")]
pub struct Arguments {
    /// A camera; may be given several times. All of the configuration when absent.
    #[arg(long = "camera", value_name = "ID")]
    cameras: Vec<String>,
    /// The configuration that names topics and cluster.
    #[arg(long, value_name = "FILE", default_value = "comux.toml")]
    config: PathBuf,
    /// Kafka's address, to watch without a configuration.
    #[arg(long, value_name = "HOST:PORT", requires = "cameras")]
    bootstrap_servers: Option<String>,
    /// The output topic when there is no configuration.
    #[arg(long, default_value = "stream_:cam_id")]
    topic: String,
    /// Begin with the oldest record.
    #[arg(long)]
    from_beginning: bool,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let (servers, topics) = topics(&arguments)?;
    let offset = if arguments.from_beginning { Offset::Beginning } else { Offset::End };
    let follower = Follower::new(&servers, topics, offset).map_err(Failure::Failed)?;
    let following = tokio::task::spawn_blocking(move || -> Result<(), Failure> {
        loop {
            let record = follower.next(Duration::from_secs(1)).map_err(Failure::Failed)?;
            if let Some(record) = record {
                match arguments.json {
                    true => print_json(&record)?,
                    false => print_line(describe(&record)),
                }
            }
        }
    });
    let stop = super::stop::stop_requested()?;
    tokio::select! {
        ended = following => ended.map_err(Failure::failed)?,
        () = stop => {
            // The thread that waits for records would hold up the end of the process.
            std::process::exit(0)
        }
    }
}

fn topics(arguments: &Arguments) -> Result<(String, Vec<(String, String)>), Failure> {
    if let Some(servers) = &arguments.bootstrap_servers {
        let topic = |camera: &String| (camera.clone(), arguments.topic.replace(":cam_id", camera));
        return Ok((servers.clone(), arguments.cameras.iter().map(topic).collect()));
    }
    let config = Config::load(&arguments.config).map_err(Failure::usage)?;
    let wanted =
        |id: &str| arguments.cameras.is_empty() || arguments.cameras.iter().any(|c| c == id);
    let topics: Vec<(String, String)> = config
        .cameras
        .into_iter()
        .filter(|camera| wanted(camera.id.as_str()))
        .map(|camera| (camera.id.to_string(), camera.produce_topic))
        .collect();
    let found = |id: &String| topics.iter().any(|(camera, _)| camera == id);
    if let Some(missing) = arguments.cameras.iter().find(|id| !found(id)) {
        let file = arguments.config.display();
        return Err(Failure::usage(anyhow!("no camera `{missing}` in {file}")));
    }
    Ok((config.produce.bootstrap_servers, topics))
}

fn describe(record: &Followed) -> String {
    let reason = record.comux.get("reason").map(|word| format!(" ({word})")).unwrap_or_default();
    let latency = record.latency_ms.map(|ms| format!(" {ms} ms")).unwrap_or_default();
    let results: Vec<String> =
        record.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (camera, offset, status) = (&record.camera, record.offset, record.status());
    format!("{camera} #{offset} {status}{reason}{latency}  {}", results.join("  "))
}
