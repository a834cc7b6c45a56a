"""What a careful engineer writes in Python for one camera: the measure that comux is compared with.

Consumes encoded packets, decodes them in one thread, measures motion as the plugin `motion` does
(the share of cells, on a grid of 32 by 18, whose mean absolute luma difference is 12 or more), and
produces each packet as it came with the header `motion.score`. Nothing is converted that the
decoder has already, and no picture is copied.

    careful.py BOOTSTRAP_SERVERS CONSUME_TOPIC PRODUCE_TOPIC CODEC

Prints `ready` when it waits for packets, and runs until it is killed.
"""

import sys

import av
import cv2
import numpy
from confluent_kafka import Consumer, Producer, TopicPartition

COLUMNS, ROWS, THRESHOLD = 32, 18, 12


def luma(frame):
    plane = frame.planes[0]
    rows = numpy.frombuffer(plane, numpy.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def motion_score(before, now):
    if before is None:
        return 0.0
    difference = cv2.absdiff(luma(before), luma(now))
    cells = cv2.resize(difference, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    return numpy.count_nonzero(cells >= THRESHOLD) / cells.size


def main():
    servers, consume, produce, codec = sys.argv[1:]
    cv2.setNumThreads(1)
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "careful", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(consume, 0, 0)])
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5})
    decoder = av.CodecContext.create({"h265": "hevc"}.get(codec, codec), "r")
    decoder.thread_count = 1

    waiting, settled, number, next_out, before = {}, {}, 0, 0, None
    print("ready", flush=True)
    while True:
        for message in consumer.consume(num_messages=32, timeout=0.1):
            if message.error():
                sys.exit(str(message.error()))
            packet = av.Packet(message.value())
            packet.pts = number
            waiting[number] = message
            number += 1
            for frame in decoder.decode(packet):
                settled[frame.pts] = motion_score(before, frame)
                before = frame
            # Pictures come in another order than their packets, which go out as they came in.
            while next_out in settled:
                done, score = waiting.pop(next_out), settled.pop(next_out)
                headers = (done.headers() or []) + [("motion.score", f"{score:.3f}")]
                producer.produce(
                    produce, done.value(), done.key(), 0, timestamp=done.timestamp()[1], headers=headers
                )
                next_out += 1
            producer.poll(0)


main()
