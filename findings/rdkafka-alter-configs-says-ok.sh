#!/usr/bin/env bash
# rdkafka 0.39.0 (Rust) with librdkafka 2.12.1, against Apache Kafka 4.3.0.
#
# `AdminClient::alter_configs` gives a result for each resource, `Result<_, (_, RDKafkaErrorCode)>`. It
# is `Ok` for every resource that the broker answered about, whatever the answer was: for a topic that
# does not exist, the broker says UNKNOWN_TOPIC_OR_PART, librdkafka hands that on, and rdkafka reports
# success. So who changes a topic's configuration has to read it again to know.
#
# Seen: `rdkafka: [Ok(Topic("missing"))]`, and of the same request through librdkafka's C interface
# `librdkafka: 3` (RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).
#
# Needs cargo, a C compiler, cmake, Maven and Java 17. Fails when this changes.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

cat >pom.xml <<'POM'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>find</groupId><artifactId>find</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.3.0</version>
  </dependency></dependencies>
</project>
POM
mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs

port=$((20000 + RANDOM % 20000))
cat >server.properties <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
log.dirs=$work/data
auto.create.topics.enable=false
PROPERTIES
java -cp 'libs/*' kafka.tools.StorageTool format --cluster-id findFindFindFindFind00 \
    --config server.properties >format.log 2>&1
java -Xmx512m -cp 'libs/*' kafka.Kafka server.properties >kafka.log 2>&1 &

mkdir -p find/src
cat >find/Cargo.toml <<'TOML'
[package]
name = "find"
version = "1.0.0"
edition = "2021"
[dependencies]
rdkafka = { version = "=0.39.0", features = ["cmake-build"] }
rdkafka-sys = "=4.10.0"
tokio = { version = "1", features = ["rt", "macros"] }
TOML
cat >find/src/main.rs <<'RUST'
use std::ffi::CString;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::types::RDKafkaType;
use rdkafka_sys::bindings::*;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let broker = std::env::args().nth(1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &broker);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic("missing"))
        .set("cleanup.policy", "compact");
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(60)));
    println!("rdkafka: {:?}", admin.alter_configs([&change], &options).await.unwrap());

    let client = config.create_native_config().unwrap();
    let client = rdkafka::client::Client::new(
        &config, client, RDKafkaType::RD_KAFKA_PRODUCER, DefaultClientContext,
    ).unwrap();
    let name = CString::new("missing").unwrap();
    let (key, value) = (CString::new("cleanup.policy").unwrap(), CString::new("compact").unwrap());
    unsafe {
        let queue = rd_kafka_queue_new(client.native_ptr());
        let resource = rd_kafka_ConfigResource_new(
            rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.as_ptr(),
        );
        rd_kafka_ConfigResource_set_config(resource, key.as_ptr(), value.as_ptr());
        let mut resources = [resource];
        rd_kafka_AlterConfigs(
            client.native_ptr(), resources.as_mut_ptr(), 1, std::ptr::null(), queue,
        );
        let event = rd_kafka_queue_poll(queue, 60_000);
        let result = rd_kafka_event_AlterConfigs_result(event);
        let mut count = 0;
        let answered = rd_kafka_AlterConfigs_result_resources(result, &mut count);
        println!("librdkafka: {}", rd_kafka_ConfigResource_error(*answered) as i32);
    }
}
RUST
cargo build -q --manifest-path find/Cargo.toml
for _ in $(seq 60); do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 1
done
find/target/debug/find "127.0.0.1:$port" | tee seen
diff seen - <<'SEEN'
rdkafka: [Ok(Topic("missing"))]
librdkafka: 3
SEEN
