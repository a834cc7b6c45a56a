//! An application that embeds comux and takes an action of its own on the control topic:
//!
//! ```sh
//! cargo run --example custom_action -- --config comux.toml
//! comux control echo '{"hello": "world"}' --wait
//! ```

use std::path::PathBuf;

use clap::Parser;
use comux::{Actions, Config, Runtime};

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "comux.toml")]
    config: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::load(&Arguments::parse().config)?;
    let actions = Actions::default().register("echo", |request| {
        let mut answer = request.value.clone();
        if answer.is_empty() {
            return Err("there is nothing to echo".to_owned());
        }
        answer.insert("message".to_owned(), "✔ echo".into());
        Ok(answer)
    })?;
    let runtime = Runtime::start(config, actions).await?;
    eprintln!("running");
    tokio::signal::ctrl_c().await?;
    runtime.stop().await;
    Ok(())
}
