//! Tenants with credentials and clusters of their own: each reaches its own topics only, and what
//! is wrong with one tenant's cluster concerns its cameras alone.

use std::time::Duration;

use comux_tests::PATIENCE;
use comux_tests::acl::{On, allow};
use comux_tests::broker::{TENANT_USER, broker};
use comux_tests::control::{Control, Names};
use comux_tests::process::{Comux, Config};
use comux_tests::records::{Record, consume, produce};
use comux_tests::topics::record_count;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::promises::{assert_same_records, topics};

const CAMERA: &str = "start = 'beginning'\nmode = 'every-frame'\n";

fn records() -> Vec<Record> {
    ["one", "two", "three"].map(Record::of).to_vec()
}

/// A tenant's table, and its camera.
fn tenant(config: Config, id: &str, kafka: &str, camera: &str) -> Config {
    config
        .with(&format!("[[tenants]]\nid = '{id}'\n[tenants.kafka]\n{kafka}"))
        .camera(camera, &format!("tenant = '{id}'\n{CAMERA}"))
}

#[test]
fn a_tenants_credentials_reach_its_own_topics_and_no_others() {
    let names = Names::new("own-login");
    for prefix in ["raw_own-acme", "stream_own-acme"] {
        allow(TENANT_USER, On::Topics, prefix);
    }
    allow(TENANT_USER, On::Groups, "comux.own-login");
    // Whatever camera is on them, the operator's and another tenant's topics are there.
    for camera in ["own-acme-1", "own-host", "own-zeta"] {
        produce(&topics(camera).0, &records());
    }
    let login = format!(
        "bootstrap_servers = '{}'\nproperties = {{ 'security.protocol' = 'SASL_PLAINTEXT', \
         'sasl.mechanism' = 'PLAIN', 'sasl.username' = '{TENANT_USER}', \
         'sasl.password' = '{TENANT_USER}' }}",
        broker().restricted()
    );
    let config = names.configure(Config::new("own-login")).camera("own-host", CAMERA);
    let config = tenant(config, "acme", &login, "own-acme-1").camera(
        "own-acme-2",
        &format!("tenant = 'acme'\n{CAMERA}consume = 'raw_own-zeta'\nproduce = 'stream_own-zeta'"),
    );
    let comux = Comux::run(&config);
    for camera in ["own-host", "own-acme-1"] {
        assert_same_records(&records(), &consume(&format!("stream_{camera}"), 3));
    }
    let event = Control::new(&names).event("camera-stopped", "own-acme-2");
    let message = event["message"].as_str().unwrap();
    assert!(message.contains("raw_own-zeta") && message.contains("authorization"), "{message}");
    ends_with_failed_cameras(comux);
    assert_eq!(record_count("stream_own-zeta"), 0);
}

#[test]
fn tenants_have_clusters_of_their_own_and_a_dead_one_stops_its_own_cameras_only() {
    let names = Names::new("own-cluster");
    let other = MockCluster::new(1).unwrap();
    let servers = other.bootstrap_servers();
    // The same topics as on the first cluster: the address tells them apart.
    for topic in ["raw_cl-same", "stream_cl-same"] {
        other.create_topic(topic, 1, 1).unwrap();
    }
    produce(&topics("cl-same").0, &records()[..1]);
    produce_elsewhere(&servers, "raw_cl-same", &records());
    produce(&topics("cl-host").0, &records());
    let config = names.configure(Config::new("own-cluster")).camera("cl-host", CAMERA).camera(
        "cl-first",
        &format!("{CAMERA}consume = 'raw_cl-same'\nproduce = 'stream_cl-same'"),
    );
    let config = tenant(config, "zeta", &format!("bootstrap_servers = '{servers}'"), "cl-same");
    let config = tenant(config, "dead", "bootstrap_servers = '127.0.0.1:1'", "cl-dead");
    let config = tenant(config, "wrong", "properties = { 'no.such' = 1 }", "cl-wrong");
    let comux = Comux::run(&config);
    assert_same_records(&records(), &consume("stream_cl-host", 3));
    assert_same_records(&records()[..1], &consume("stream_cl-same", 1));
    assert_eq!(consume_elsewhere(&servers, "stream_cl-same", 3), ["one", "two", "three"]);
    let mut control = Control::new(&names);
    for (camera, word) in [("cl-dead", "127.0.0.1:1"), ("cl-wrong", "no.such")] {
        let event = control.event("camera-stopped", camera);
        assert!(event["message"].as_str().unwrap().contains(word), "{:?}", event["message"]);
    }
    ends_with_failed_cameras(comux);
    // Committed on both clusters: nothing comes a second time.
    let comux = Comux::run(&config_again(&names, &servers));
    produce_elsewhere(&servers, "raw_cl-same", &[Record::of("four")]);
    assert_eq!(consume_elsewhere(&servers, "stream_cl-same", 4)[3], "four");
    comux.stop();
}

/// The exit code tells of the cameras that had stopped by themselves.
fn ends_with_failed_cameras(comux: Comux) {
    comux.terminate();
    assert_eq!(comux.wait().code, Some(1));
}

/// The same instance with the tenant of the second cluster only.
fn config_again(names: &Names, servers: &str) -> Config {
    let config = names.configure(Config::new("own-cluster"));
    tenant(config, "zeta", &format!("bootstrap_servers = '{servers}'"), "cl-same")
}

fn produce_elsewhere(servers: &str, topic: &str, records: &[Record]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    for record in records {
        let value = record.value.as_deref().unwrap();
        producer.send(BaseRecord::<[u8], [u8]>::to(topic).partition(0).payload(value)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// The values of the first records.
fn consume_elsewhere(servers: &str, topic: &str, count: usize) -> Vec<String> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", servers).set("group.id", "comux-tests");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let mut values = Vec::new();
    while values.len() < count {
        let message = consumer.poll(PATIENCE).expect("a record").unwrap();
        values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    assert!(consumer.poll(Duration::from_millis(500)).is_none(), "and no more");
    values
}
