//! The processes of one name, as they stand on the state topic.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A process that runs the node, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeProcess {
    /// What tells its `state_dir` from others.
    pub state_dir: String,
    /// The machine that it runs on.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// It has read of a later one.
    #[serde(default)]
    pub stops: bool,
}

impl NodeProcess {
    /// This one.
    ///
    /// # Errors
    /// When the directory can't be written to.
    pub fn this(state_dir: &Path) -> io::Result<Self> {
        let host = nix::unistd::gethostname().map_err(io::Error::from)?;
        let host = host.to_string_lossy().into_owned();
        let pid = std::process::id();
        let path = state_dir.join("id");
        let state_dir = match std::fs::read_to_string(&path) {
            Ok(id) if !id.is_empty() => id,
            _ => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let id = format!("{host}-{pid:x}-{:x}", now.as_nanos());
                std::fs::write(&path, &id)?;
                id
            }
        };
        Ok(Self { state_dir, host, pid, stops: false })
    }
}

impl std::fmt::Display for NodeProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// The processes that have this one's name, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Succession(Vec<Entry>);

/// A process, with its key.
type Entry = (String, NodeProcess);

impl Succession {
    /// A process's record, by its key; `None`: it has stopped.
    pub fn note(&mut self, key: &str, value: Option<&[u8]>) {
        let process = value.and_then(|value| serde_json::from_slice(value).ok());
        let known = self.0.iter().position(|(known, _)| known == key);
        match (known, process) {
            (Some(place), Some(process)) => {
                if let Some(entry) = self.0.get_mut(place) {
                    entry.1 = process;
                }
            }
            (Some(place), None) => _ = self.0.remove(place),
            (None, Some(process)) => self.0.push((key.to_owned(), process)),
            (None, None) => {}
        }
    }

    /// Those that came before the process of this key, and the one that came last behind it.
    /// `None`: its own record was not read yet.
    pub fn around(&self, key: &str) -> Option<(&[Entry], Option<&NodeProcess>)> {
        let own = self.0.iter().position(|(known, _)| known == key)?;
        let (before, rest) = self.0.split_at(own);
        Some((before, rest.iter().skip(1).next_back().map(|(_, process)| process)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_stand_in_the_order_in_which_they_came() {
        let process = |pid| NodeProcess {
            state_dir: "d".to_owned(),
            host: "h".to_owned(),
            pid,
            stops: false,
        };
        let json = |pid| serde_json::to_vec(&process(pid)).unwrap();
        let mut succession = Succession::default();
        for pid in 1..=4 {
            succession.note(&format!("p{pid}"), Some(&json(pid)));
        }
        succession.note("p1", Some(&json(1)));
        succession.note("p2", None);
        let (before, later) = succession.around("p3").unwrap();
        assert_eq!(before, [("p1".to_owned(), process(1))]);
        assert_eq!(later, Some(&process(4)));
        assert_eq!(succession.around("p4").unwrap().1, None);
        assert!(succession.around("p2").is_none());
    }
}
