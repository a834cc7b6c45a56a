#!/usr/bin/env bash
# confluent-kafka 2.16.0 (Python) with librdkafka 2.16.0, against Apache Kafka 4.3.0.
#
# With `enable.idempotence`, librdkafka documents that `max.in.flight.requests.per.connection` is lowered
# to five. For a partition it counts records, not requests: as soon as five records or more are under way,
# in one request or in five, no other request leaves for that partition until an answer comes. So a
# producer that sends more than four records for each round trip has one request under way, where it has
# many without idempotence.
#
# Shown by a proxy that lets no answer to a Produce request pass: records are produced ten times, a fifth
# of a second apart, and it counts the requests that come meanwhile.
#
# Seen, as requests under way: `idempotent, 1 at a time: 5`, `idempotent, 6 at a time: 1`,
# `not idempotent, 6 at a time: 10 or more`.
#
# Needs Python 3 with venv, Maven and Java 17. Fails when this changes.
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
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check confluent-kafka==2.16.0

# Clients reach the broker through the proxy, which stands where the broker says that it is.
proxy=$((20000 + RANDOM % 20000))
broker=$((proxy + 1))
cat >server.properties <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((proxy + 2))
listeners=PLAINTEXT://127.0.0.1:$broker,CONTROLLER://127.0.0.1:$((proxy + 2))
advertised.listeners=PLAINTEXT://127.0.0.1:$proxy
controller.listener.names=CONTROLLER
log.dirs=$work/data
auto.create.topics.enable=false
PROPERTIES
java -cp 'libs/*' kafka.tools.StorageTool format --cluster-id findFindFindFindFind00 \
    --config server.properties >format.log 2>&1
java -Xmx512m -cp 'libs/*' kafka.Kafka server.properties >kafka.log 2>&1 &

cat >proxy.py <<'PYTHON'
import asyncio
import struct
import sys

proxy, broker = int(sys.argv[1]), int(sys.argv[2])


async def connected(reader, writer):
    from_broker, to_broker = await asyncio.open_connection("127.0.0.1", broker)

    async def frame(source):
        size = await source.readexactly(4)
        return size + await source.readexactly(struct.unpack(">i", size)[0])

    async def ask():
        while True:
            request = await frame(reader)
            # Produce is held for good, and says so.
            if request[4:6] == bytes(2):
                print("produce", flush=True)
                continue
            to_broker.write(request)

    async def answer():
        while True:
            writer.write(await frame(from_broker))

    await asyncio.gather(ask(), answer(), return_exceptions=True)


async def main():
    async with await asyncio.start_server(connected, "127.0.0.1", proxy) as server:
        await server.serve_forever()


asyncio.run(main())
PYTHON
for _ in $(seq 60); do
    (: <"/dev/tcp/127.0.0.1/$broker") 2>/dev/null && break
    sleep 1
done
python3 proxy.py "$proxy" "$broker" >requests 2>proxy.log &

cat >find.py <<'PYTHON'
import os
import sys
import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

servers = {"bootstrap.servers": sys.argv[1]}
admin = AdminClient(servers)
for made in admin.create_topics([NewTopic("find", 1, 1)]).values():
    made.result()


def requests():
    with open("requests") as seen:
        return len(seen.readlines())


def count(name, records, idempotent):
    producer = Producer({**servers, "enable.idempotence": idempotent, "linger.ms": 0})
    # So that nothing has to be asked before the first record leaves.
    producer.list_topics("find")
    time.sleep(2)
    before = requests()
    for _ in range(10):
        for _ in range(records):
            producer.produce("find", b"x", partition=0)
        time.sleep(0.2)
    seen = requests() - before
    # A request may take a part of what is produced at a time.
    seen = "10 or more" if seen >= 10 else seen
    print(f"{name}, {records} at a time: {seen}")
    producer.purge()


count("idempotent", 1, True)
count("idempotent", 6, True)
count("not idempotent", 6, False)
sys.stdout.flush()
os._exit(0)
PYTHON
venv/bin/python find.py "127.0.0.1:$proxy" 2>find.log | tee seen
diff seen - <<'SEEN'
idempotent, 1 at a time: 5
idempotent, 6 at a time: 1
not idempotent, 6 at a time: 10 or more
SEEN
