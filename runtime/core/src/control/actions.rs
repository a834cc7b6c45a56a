//! Actions of applications that embed the runtime, beside comux's own.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::control::wire::Request;

/// comux's own actions.
pub const OWN: [&str; 9] =
    ["create", "update", "delete", "reset", "pause", "resume", "deploy", "rollback", "status"];

/// What an application's action gives: fields of the answer, or why it was refused.
pub type ActionResult = Result<Map<String, Value>, String>;

type Handler = Arc<dyn Fn(&Request) -> ActionResult + Send + Sync>;

/// An action can't be registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// The name is taken.
    #[error("there is an action `{0}` already")]
    Taken(String),
    /// The name can't be the key of a record.
    #[error("an action needs a name of 1 to 128 bytes")]
    Name,
}

/// The actions of an application.
#[derive(Clone, Default)]
pub struct Actions(HashMap<String, Handler>);

impl Actions {
    /// Adds an action. `handler` is called on a thread of its own, one call for each record; what
    /// it returns is merged into the answer, whose `message` it may give.
    ///
    /// # Errors
    /// When the name is taken, or no name.
    pub fn register(
        mut self,
        name: &str,
        handler: impl Fn(&Request) -> ActionResult + Send + Sync + 'static,
    ) -> Result<Self, ActionError> {
        if name.is_empty() || name.len() > 128 {
            return Err(ActionError::Name);
        }
        if OWN.contains(&name) || self.0.contains_key(name) {
            return Err(ActionError::Taken(name.to_owned()));
        }
        self.0.insert(name.to_owned(), Arc::new(handler));
        Ok(self)
    }

    pub(crate) fn find(&self, name: &str) -> Option<Handler> {
        self.0.get(name).cloned()
    }
}
