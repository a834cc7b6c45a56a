//! The names of topics: one pair for each camera, three for control.

use serde::Deserialize;

use super::values::{Id, InstanceTopic, TopicTemplate};

/// `[topics]`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TopicsTable {
    consume: TopicTemplate,
    produce: TopicTemplate,
    dead_letters: TopicTemplate,
    control: InstanceTopic,
    status: InstanceTopic,
    state: InstanceTopic,
}

impl Default for TopicsTable {
    fn default() -> Self {
        Self {
            consume: TopicTemplate::literal("raw_:cam_id"),
            produce: TopicTemplate::literal("stream_:cam_id"),
            dead_letters: TopicTemplate::literal("dead_:cam_id"),
            control: InstanceTopic::literal("comux.control"),
            status: InstanceTopic::literal("comux.status"),
            state: InstanceTopic::literal("comux.state.:runtime"),
        }
    }
}

/// The names of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Packets in, for cameras that do not name a topic.
    pub consume: TopicTemplate,
    /// Packets out, for cameras that do not name a topic.
    pub produce: TopicTemplate,
    /// Packets that those topics refuse, likewise.
    pub dead_letters: TopicTemplate,
    /// Commands.
    pub control: String,
    /// Answers.
    pub status: String,
    /// The desired state of this node.
    pub state: String,
}

impl TopicsTable {
    pub(crate) fn complete(self, node: &Id) -> Topics {
        Topics {
            consume: self.consume,
            produce: self.produce,
            dead_letters: self.dead_letters,
            control: self.control.topic(node),
            status: self.status.topic(node),
            state: self.state.topic(node),
        }
    }
}

impl Topics {
    /// A topic that stands for two of commands, answers and state.
    pub(crate) fn named_twice(&self) -> Option<&str> {
        let twice = self.control == self.status || self.control == self.state;
        let own = if twice { Some(&self.control) } else { Some(&self.status) };
        own.filter(|_| twice || self.status == self.state).map(String::as_str)
    }

    /// Whether both topics of a camera name its tenant, so that no tenant can name another's.
    #[must_use]
    pub fn are_by_tenant(&self) -> bool {
        self.consume.names_tenant() && self.produce.names_tenant()
    }

    /// Whether commands, answers or the desired state, of this node or another one, may be on a
    /// topic: no camera may write there.
    #[must_use]
    pub fn is_of_control(&self, topic: &str) -> bool {
        let own = [&self.control, &self.status, &self.state];
        let below = |own: &&String| {
            topic
                .strip_prefix(own.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        topic.starts_with("comux.") || own.iter().any(below)
    }

    /// Whether a camera of `tenant` could have this topic.
    #[must_use]
    pub fn could_be_of(&self, topic: &str, tenant: &Id) -> bool {
        [&self.consume, &self.produce].iter().any(|template| template.could_be(topic, tenant))
    }

    /// Where a tenant's own commands come from.
    #[must_use]
    pub fn control_of(&self, tenant: &Id) -> String {
        format!("{}.{tenant}", self.control)
    }

    /// Where answers to a tenant's own commands go to.
    #[must_use]
    pub fn status_of(&self, tenant: &Id) -> String {
        format!("{}.{tenant}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_camera_gets_at_commands_or_answers_of_anyone() {
        let text = "control = 'ops.control'\nstate = 'st-:runtime'";
        let table: TopicsTable = toml::from_str(text).expect("valid");
        let topics = table.complete(&Id::new("edge-1").expect("an id"));
        for topic in [
            "ops.control",
            "ops.control.acme",
            "comux.status",
            "comux.status.acme",
            "st-edge-1",
            "comux.x",
        ] {
            assert!(topics.is_of_control(topic), "{topic}");
        }
        for topic in ["raw_gate", "ops.controls", "ops", "st-edge-10"] {
            assert!(!topics.is_of_control(topic), "{topic}");
        }
    }
}
