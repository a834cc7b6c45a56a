//! Which Kafka cluster plays which role.

use std::collections::BTreeMap;
use std::fmt;

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

/// `[tenants.kafka]`: the clusters of one tenant's packets. Control is the operator's alone.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantKafkaTable {
    bootstrap_servers: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, Property>,
    consume: Option<ClusterTable>,
    produce: Option<ClusterTable>,
}

impl TenantKafkaTable {
    /// The cluster for a role: the host's `cluster` overlaid with what the tenant's tables say.
    /// Under another address, nothing of the host's properties is left: its credentials are not for
    /// a cluster of somebody else.
    pub(crate) fn overlay(&self, cluster: &Cluster, role: Role) -> Cluster {
        let special = match role {
            Role::Consume => self.consume.as_ref(),
            Role::Produce => self.produce.as_ref(),
            Role::Control => return cluster.clone(),
        };
        let mut own = cluster.clone();
        own.overlay(self.bootstrap_servers.as_ref(), &self.properties);
        if let Some(special) = special {
            own.overlay(special.bootstrap_servers.as_ref(), &special.properties);
        }
        own
    }
}

impl Cluster {
    fn overlay(&mut self, servers: Option<&String>, properties: &BTreeMap<String, Property>) {
        if let Some(servers) = servers
            && *servers != self.bootstrap_servers
        {
            self.bootstrap_servers.clone_from(servers);
            self.properties.clear();
        }
        let properties = properties.iter().map(|(key, value)| (key.clone(), value.to_string()));
        self.properties.extend(properties);
    }
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

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Switch(switch) => switch.fmt(f),
        }
    }
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
        let properties = self.properties.iter().chain(own);
        Cluster {
            bootstrap_servers: servers.unwrap_or(&self.bootstrap_servers).clone(),
            properties: properties.map(|(key, value)| (key.clone(), value.to_string())).collect(),
        }
    }
}
