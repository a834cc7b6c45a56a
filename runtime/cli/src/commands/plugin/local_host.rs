//! A host without Kafka, on which authors try plugins.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use comux::config::Config;
use comux::plugin::compile::Compiler;
use toml::{Table, Value};

/// The camera that frames say they are of.
pub const CAMERA: &str = "file";

/// Where plugins are that were named on the command line.
pub fn absolute(plugins: &[String]) -> io::Result<Vec<PathBuf>> {
    plugins.iter().map(std::path::absolute).collect()
}

/// That of a camera which analyses every frame, and can't fall behind.
pub fn configuration(
    sources: &[PathBuf],
    codec: &str,
    rate: Option<&str>,
) -> anyhow::Result<Config> {
    let mut camera = Table::new();
    camera.insert("id".into(), CAMERA.into());
    camera.insert("mode".into(), "every-frame".into());
    camera.insert("codec".into(), codec.into());
    if let Some(rate) = rate {
        let number = rate.parse().map(Value::Float);
        camera.insert("rate".into(), number.unwrap_or_else(|_| rate.into()));
    }
    let plugins = sources.iter().map(|source| {
        let source = source.to_str().with_context(|| format!("{source:?} is no UTF-8"))?;
        Ok(Table::from_iter([("source".to_owned(), source.into())]).into())
    });
    camera.insert("plugins".into(), Value::Array(plugins.collect::<anyhow::Result<_>>()?));
    let mut file = Table::new();
    let kafka = Table::from_iter([("bootstrap_servers".to_owned(), "nowhere:9".into())]);
    file.insert("kafka".into(), kafka.into());
    file.insert("cameras".into(), Value::Array(vec![camera.into()]));
    let path = Path::new("comux plugin run");
    let mut config = Config::parse(&file.to_string(), path, Path::new(""))?;
    config.compiler = Compiler::this_program();
    Ok(config)
}

/// A JSON object, as it is or from a file.
pub fn config_of(text: &str) -> anyhow::Result<String> {
    let (text, from) = match text.strip_prefix('@') {
        Some(file) => {
            let text = std::fs::read_to_string(file);
            (text.with_context(|| format!("--config: can't read `{file}`"))?, file)
        }
        None => (text.to_owned(), text),
    };
    let value: serde_json::Value = serde_json::from_str(&text)
        .with_context(|| format!("--config: `{from}` is no JSON; a file is named as @FILE"))?;
    ensure!(
        value.is_object(),
        "--config: `{from}` is no JSON object, as in '{{\"threshold\": 20}}'"
    );
    Ok(text)
}
