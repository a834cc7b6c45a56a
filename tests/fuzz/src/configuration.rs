//! `comux.toml`: any text. What is accepted stays the same when it is written out and read again.

use std::fmt::Write;
use std::path::Path;

use comux::config::{CameraTable, Config};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let config = match parse(text) {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.is_empty());
            return;
        }
    };
    let mut again = text.to_owned();
    // A comment may not have ended.
    again.push('\n');
    for camera in &config.cameras {
        let table = camera.table();
        let json = serde_json::to_string(&table).expect("JSON");
        let read: CameraTable = serde_json::from_str(&json).expect("a camera in JSON");
        assert_eq!(config.complete(read).as_ref().ok(), Some(camera), "in JSON: {json}");
        let toml = toml::to_string(&table).expect("TOML");
        let read: CameraTable = toml::from_str(&toml).expect("a camera in TOML");
        assert_eq!(config.complete(read).as_ref().ok(), Some(camera), "in TOML: {toml}");
        // Beside itself, it is refused.
        assert!(config.objection(camera, [camera]).is_some());
        let _ = write!(again, "[[cameras]]\n{toml}\n");
    }
    if !config.cameras.is_empty() {
        assert!(parse(&again).is_err(), "all cameras twice: {again}");
    }
    let _ = config.loader();
}

fn parse(text: &str) -> Result<Config, String> {
    let parsed = Config::parse(text, Path::new("comux.toml"), Path::new("/etc/comux"));
    parsed.map_err(|error| error.to_string())
}
