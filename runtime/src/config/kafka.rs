//! Which Kafka cluster plays which role.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a cluster is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Packets in.
    Consume,
    /// Packets out.
    Produce,
    /// Commands, answers and the desired state.
    Control,
}

/// A cluster: its address and librdkafka's properties.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// `host:port`, comma-separated.
    pub bootstrap_servers: String,
    /// librdkafka's properties, which overrule comux's own.
    pub properties: BTreeMap<String, String>,
}

/// `[kafka]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaTable {
    bootstrap_servers: String,
    #[serde(default)]
    properties: BTreeMap<String, Property>,
    consume: Option<ClusterTable>,
    produce: Option<ClusterTable>,
    control: Option<ClusterTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterTable {
    bootstrap_servers: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, Property>,
}

/// librdkafka takes text; people also write numbers and booleans.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Property {
    Text(String),
    Number(i64),
    Switch(bool),
}

impl KafkaTable {
    /// The cluster for a role: `[kafka]` overlaid with `[kafka.consume]` and so on.
    #[must_use]
    pub fn cluster(&self, role: Role) -> Cluster {
        let special = match role {
            Role::Consume => self.consume.as_ref(),
            Role::Produce => self.produce.as_ref(),
            Role::Control => self.control.as_ref(),
        };
        let servers = special.and_then(|table| table.bootstrap_servers.as_ref());
        let own = special.into_iter().flat_map(|table| &table.properties);
        let text = |property: &Property| match property {
            Property::Text(text) => text.clone(),
            Property::Number(number) => number.to_string(),
            Property::Switch(switch) => switch.to_string(),
        };
        let properties = self.properties.iter().chain(own);
        Cluster {
            bootstrap_servers: servers.unwrap_or(&self.bootstrap_servers).clone(),
            properties: properties.map(|(key, value)| (key.clone(), text(value))).collect(),
        }
    }
}
