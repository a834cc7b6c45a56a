#!/usr/bin/env bash
# confluent-kafka 2.16.0 (Python) with librdkafka 2.16.0, against Apache Kafka 4.3.0; librdkafka
# 2.12.1 does the same.
#
# An idempotent producer may report a record as delivered that is on no topic. Two batches for a
# partition are under way, the first that the broker sees of this producer. The broker refuses one
# with NOT_LEADER_OR_FOLLOWER, as it does until a topic that was just made is ready, and takes the
# next, though its sequence number is not 0: of a producer that it does not know there, it takes any.
# librdkafka takes the second's success as that of all before it, and does not send the first again.
# What shows it is that the delivery report has no offset.
#
# So whoever needs `enable.idempotence` to lose nothing waits for the first record's acknowledgement
# before sending the second, on each topic that may be new.
#
# The moment in which it happens is short, so a proxy makes it here: it answers the first Produce
# request itself, as soon as the second has come, and passes all others on.
#
# Seen: `reported as delivered: 8, of which without an offset: [0]`, `on the topic: [1, 2, 3, 4, 5, 6, 7]`.
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
NOT_LEADER_OR_FOLLOWER = 6
TOPIC = b"first"
# A topic's name as a compact string, and one partition with the number 0.
NAMED = bytes([len(TOPIC) + 1]) + TOPIC + bytes([2, 0, 0, 0, 0])
batches = 0


def refusal(request):
    answer = request[4:8] + bytes([0, 2]) + NAMED + struct.pack(">h", NOT_LEADER_OR_FOLLOWER)
    answer += bytes([0xFF] * 24) + bytes([1, 0, 0, 0]) + bytes(5)
    return struct.pack(">i", len(answer)) + answer


async def connected(reader, writer):
    from_broker, to_broker = await asyncio.open_connection("127.0.0.1", broker)
    # What the client gets next: `None` is the broker's next answer.
    answers, held = asyncio.Queue(), []

    async def frame(source):
        size = await source.readexactly(4)
        return size + await source.readexactly(struct.unpack(">i", size)[0])

    async def ask():
        global batches
        while True:
            request = await frame(reader)
            if request[4:6] == bytes(2) and NAMED in request:
                assert request[6:8] == bytes([0, 10]), "another version of Produce"
                batches += 1
                if batches == 1:
                    held.append(refusal(request[4:]))
                    continue
                if held:
                    await answers.put(held.pop())
            await answers.put(None)
            to_broker.write(request)

    async def answer():
        while True:
            made = await answers.get()
            writer.write(made or await frame(from_broker))

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
python3 proxy.py "$proxy" "$broker" 2>proxy.log &

cat >find.py <<'PYTHON'
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

servers = {"bootstrap.servers": sys.argv[1]}
admin = AdminClient(servers)
for made in admin.create_topics([NewTopic(name, 1, 1) for name in ("other", "first")]).values():
    made.result()

delivered = []


def report(error, message):
    assert error is None, error
    delivered.append((int(message.value()), message.offset()))


producer = Producer({**servers, "enable.idempotence": True, "linger.ms": 0})
# So that nothing has to be asked before the first record leaves.
producer.list_topics("first")
producer.produce("other", b"0", partition=0)
producer.flush()
for number in range(8):
    producer.produce("first", str(number).encode(), partition=0, callback=report)
    producer.poll(0.2)
producer.flush()
without = [number for number, offset in delivered if offset is None or offset < 0]
print(f"reported as delivered: {len(delivered)}, of which without an offset: {without}")

consumer = Consumer({**servers, "group.id": "find"})
consumer.assign([TopicPartition("first", 0, 0)])
_, end = consumer.get_watermark_offsets(TopicPartition("first", 0))
print("on the topic:", [int(consumer.poll(60).value()) for _ in range(end)])
PYTHON
venv/bin/python find.py "127.0.0.1:$proxy" 2>find.log | tee seen
diff seen - <<'SEEN'
reported as delivered: 8, of which without an offset: [0]
on the topic: [1, 2, 3, 4, 5, 6, 7]
SEEN
