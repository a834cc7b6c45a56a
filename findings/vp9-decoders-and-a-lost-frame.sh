#!/usr/bin/env bash
# libavcodec 62.28.102 (FFmpeg 8.1), through PyAV 18.1.0; 59.37.100 (FFmpeg 5.1) likewise.
#
# Of a VP9 stream whose frame 30 is lost, libavcodec's own decoder `vp9` makes a picture of every
# packet, wrong ones from there on, without an error and without a flag on any. `libvpx-vp9` refuses
# the packets up to the next key frame, since what it decodes no longer fits. It does not always see
# it: with `error-resilient`, where frames are made to fit whatever was lost, it is as silent.
#
# Seen: `vp9: 59 pictures, refused []`, `libvpx-vp9: 40 pictures, refused [30, ..., 48]`, and with
# error-resilient `libvpx-vp9: 59 pictures, refused []`.
#
# Needs Python 3 with venv. Fails when this changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.3.5

"$work/venv/bin/python" - <<'PYTHON'
from fractions import Fraction

import av
import numpy as np

LOST = 30


def encoded(**options):
    """60 pictures of a texture that moves, a key frame every 50."""
    encoder = av.CodecContext.create("libvpx-vp9", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 160, 96, "yuv420p"
    encoder.time_base, encoder.gop_size = Fraction(1, 25), 50
    encoder.options = {"deadline": "realtime", "cpu-used": "5", "lag-in-frames": "0", **options}
    packets = []
    for number in range(60):
        luma = np.add.outer(np.arange(96) * 2, np.arange(160) + number * 3) % 200 + 20
        planes = np.full((144, 160), 128, np.uint8)
        planes[:96] = luma.astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets + [bytes(packet) for packet in encoder.encode(None)]


def decoded(name, packets):
    decoder = av.CodecContext.create(name, "r")
    decoder.thread_count = 1
    pictures, refused = 0, []
    for number, packet in enumerate(packets):
        try:
            frames = decoder.decode(av.Packet(packet))
        except av.error.InvalidDataError:
            refused.append(number)
            continue
        pictures += len(frames)
        assert not any(frame.is_corrupt for frame in frames)
    print(f"{name}: {pictures} pictures, refused {refused}")
    return pictures, refused


print("libavcodec", av.library_versions["libavcodec"])
packets = encoded()
del packets[LOST]
assert decoded("vp9", packets) == (59, [])
assert decoded("libvpx-vp9", packets) == (40, list(range(30, 49)))
resilient = encoded(**{"error-resilient": "1"})
del resilient[LOST]
assert decoded("vp9", resilient) == (59, [])
assert decoded("libvpx-vp9", resilient) == (59, [])
PYTHON
