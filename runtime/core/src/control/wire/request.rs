//! A control record: what is asked, by whom, and who is meant.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::answer::{ErrorCode, Refusal};
use crate::config::Id;

/// The largest value of a control record, in bytes: a thousand cameras in one command, and still
/// far below what a broker takes by default.
pub const MAX_VALUE: usize = 512 * 1024;

/// The longest `correlation-id`, in bytes: it goes into each answer twice.
const MAX_CORRELATION_ID: usize = 1024;

/// A control record as it came.
#[derive(Debug, Clone, Default)]
pub struct ControlRecord {
    /// Where it stands.
    pub origin: Origin,
    /// The tenant whose own control topic it came on; none on the operator's.
    pub scope: Option<Id>,
    /// The action.
    pub key: Option<Vec<u8>>,
    /// JSON.
    pub value: Option<Vec<u8>>,
    /// The header `correlation-id`.
    pub correlation_id: Option<String>,
    /// Who is meant; see [`Target`].
    pub target: Target,
}

/// A record's place in its topic: the order of commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The topic.
    pub topic: String,
    /// The offset in its only partition.
    pub offset: i64,
    /// It was there when the node started: an earlier run may have carried it out.
    pub may_be_repeated: bool,
}

/// The last command on each control topic that changed a camera.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandPositions(BTreeMap<String, i64>);

/// Headers that restrict who acts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The node of this name only.
    pub runtime: Option<String>,
    /// This tenant's cameras only.
    pub tenant: Option<String>,
    /// This camera only.
    pub camera: Option<String>,
}

/// What is asked, understood as far as all actions have it in common.
#[derive(Debug, Clone)]
pub struct Request {
    /// The action's name.
    pub action: String,
    /// Its object, without what is common to all.
    pub value: Map<String, Value>,
    /// Echoed in the answer.
    pub correlation_id: Option<Value>,
    /// Where the record stands.
    pub origin: Origin,
    /// The tenant whose own control topic it came on.
    pub scope: Option<Id>,
    /// Who is meant.
    pub target: Target,
}

impl CommandPositions {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more command changed the camera.
    #[must_use]
    pub fn with(mut self, origin: Option<&Origin>) -> Self {
        if let Some(Origin { topic, offset, .. }) = origin {
            self.0.insert(topic.clone(), *offset);
        }
        self
    }

    /// Whether this command, or a later one on its topic, changed the camera in an earlier run.
    #[must_use]
    pub fn have_seen(&self, origin: &Origin) -> bool {
        let last = self.0.get(&origin.topic);
        origin.may_be_repeated && last.is_some_and(|last| origin.offset <= *last)
    }

    /// Reads what [`Display`](std::fmt::Display) writes; what is no place of a command is left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let place = |place: &str| {
            let (topic, offset) = place.rsplit_once("/0/")?;
            Some((topic.to_owned(), offset.parse().ok()?))
        };
        Self(text.split(' ').filter_map(place).collect())
    }
}

/// `topic/partition/offset` of each, with a space between.
impl std::fmt::Display for CommandPositions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (topic, offset)) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{topic}/0/{offset}")?;
        }
        Ok(())
    }
}

impl Request {
    /// Understands a record.
    ///
    /// # Errors
    /// With as much of the request as could be understood: enough to answer it.
    pub fn parse(record: ControlRecord) -> Result<Self, Box<(Self, Refusal)>> {
        let ControlRecord { origin, scope, key, value, correlation_id, target } = record;
        let mut request = Self {
            action: String::new(),
            value: Map::new(),
            correlation_id: correlation_id.map(Value::String),
            origin,
            scope,
            target,
        };
        let refuse = |request, message: String| {
            Err(Box::new((request, ErrorCode::Invalid.because(message))))
        };
        if request.correlation_id.as_ref().is_some_and(is_too_long) {
            request.correlation_id = None;
            let message = format!("a `correlation-id` has at most {MAX_CORRELATION_ID} bytes");
            return refuse(request, message);
        }
        match key.map(String::from_utf8) {
            Some(Ok(action)) if !action.is_empty() && action.len() <= 128 => {
                request.action = action;
            }
            _ => {
                let message = "the record's key must be the action, such as `create`";
                return refuse(request, message.to_owned());
            }
        }
        let value = value.unwrap_or_default();
        if value.len() > MAX_VALUE {
            let message = format!("the value is too large; at most {MAX_VALUE} bytes are taken");
            return refuse(request, message);
        }
        if value.iter().all(u8::is_ascii_whitespace) {
            return Ok(request);
        }
        match serde_json::from_slice(&value) {
            Ok(Value::Object(object)) => request.value = object,
            Ok(_) => return refuse(request, "the value must be a JSON object".to_owned()),
            Err(error) => return refuse(request, format!("the value is no JSON: {error}")),
        }
        if let Some(id) = request.value.remove("correlation-id") {
            if is_too_long(&id) {
                let message = format!("a `correlation-id` has at most {MAX_CORRELATION_ID} bytes");
                return refuse(request, message);
            }
            request.correlation_id.get_or_insert(id);
        }
        Ok(request)
    }

    /// The one camera that it names, if it does. A text that is no id names none: it could be of
    /// any length, and is repeated in answers.
    #[must_use]
    pub fn camera(&self) -> Option<&str> {
        let named = ["id", "_id"].iter().find_map(|key| self.value.get(*key)?.as_str());
        named.filter(|id| Id::new(id).is_ok())
    }

    /// The tenant whose cameras the command may reach; absent: all. A header can restrict what a
    /// topic gives, and not extend it.
    #[must_use]
    pub fn reach(&self) -> Option<Id> {
        let restricted = || Id::new(self.target.tenant.as_deref()?).ok();
        self.scope.clone().or_else(restricted)
    }

    /// Reads the action's own fields.
    ///
    /// # Errors
    /// With the key that is wrong.
    pub fn fields<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        from_json(Value::Object(self.value.clone()))
    }
}

fn is_too_long(correlation_id: &Value) -> bool {
    correlation_id.to_string().len() > MAX_CORRELATION_ID
}

/// Reads a JSON value; an error names the key.
///
/// # Errors
/// When it has another shape.
pub fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner().to_string();
        let message = match path.as_str() {
            "." => problem,
            path if problem.contains(&format!("`{path}`")) => problem,
            path => format!("`{path}`: {problem}"),
        };
        ErrorCode::Invalid.because(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &[u8], value: &[u8]) -> Result<Request, Box<(Request, Refusal)>> {
        let (key, value) = (Some(key.to_vec()), Some(value.to_vec()));
        Request::parse(ControlRecord { key, value, ..ControlRecord::default() })
    }

    #[test]
    fn what_is_no_object_of_json_is_refused_and_still_answerable() {
        let deep = "[".repeat(10_000);
        let huge = vec![b' '; MAX_VALUE + 1];
        for value in [&b"{"[..], b"[]", b"7", b"\xff", deep.as_bytes(), &huge] {
            let (request, refusal) = *parse(b"create", value).expect_err("refused");
            assert_eq!((request.action.as_str(), refusal.code), ("create", ErrorCode::Invalid));
        }
        assert!(parse(b"", b"{}").is_err());
        assert!(parse(b"\xff", b"{}").is_err());
    }

    #[test]
    fn the_correlation_id_may_be_a_field() {
        let request = parse(b"status", br#"{"correlation-id": 7, "id": "a"}"#).expect("valid");
        assert_eq!(request.correlation_id, Some(Value::from(7)));
        assert_eq!(request.value.len(), 1);
    }

    #[test]
    fn a_command_that_comes_again_is_known_by_its_place() {
        let at =
            |topic: &str, offset| Origin { topic: topic.to_owned(), offset, may_be_repeated: true };
        let seen =
            CommandPositions::default().with(Some(&at("ops", 5))).with(Some(&at("ops.acme", 2)));
        let seen = CommandPositions::parse(&seen.to_string());
        assert!(seen.have_seen(&at("ops", 5)) && seen.have_seen(&at("ops.acme", 1)));
        assert!(!seen.have_seen(&at("ops", 6)) && !seen.have_seen(&at("ops.zeta", 1)));
        // After the topic was made anew, its offsets say nothing.
        let new = Origin { may_be_repeated: false, ..at("ops", 1) };
        assert!(!seen.have_seen(&new));
        assert!(CommandPositions::parse("").is_empty());
    }
}
