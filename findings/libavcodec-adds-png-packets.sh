#!/usr/bin/env bash
# libavcodec 62.28.102 (FFmpeg 8.1), through PyAV 18.1.0; 59.37.100 (FFmpeg 5.1) does the same.
#
# A PNG packet is a whole picture. But the decoder adds the samples of each packet that is not
# flagged as a key frame (AV_PKT_FLAG_KEY) to those of the picture before it, modulo 256, if the
# sizes are the same, and reports nothing. Whoever has bare PNG pictures, from a queue say, and not from a demuxer
# that sets the flag, has to set it, or gets the first picture right and all others wrong.
#
# Seen: of pictures of the levels 10, 60, 30, `without the flag: [10, 70, 100]` and
# `with it: [10, 60, 30]`.
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

LEVELS = [10, 60, 30]


def encoded(level):
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 64, "gray"
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((64, 64), level, np.uint8), format="gray")
    return b"".join(bytes(packet) for packet in encoder.encode(frame) + encoder.encode(None))


def decoded(pictures, is_keyframe):
    decoder = av.CodecContext.create("png", "r")
    decoder.thread_count = 1
    levels = []
    for picture in pictures:
        packet = av.Packet(picture)
        packet.is_keyframe = is_keyframe
        levels += [int(frame.to_ndarray().mean()) for frame in decoder.decode(packet)]
    return levels


print("libavcodec", av.library_versions["libavcodec"])
pictures = [encoded(level) for level in LEVELS]
without, with_flag = decoded(pictures, False), decoded(pictures, True)
print("without the flag:", without)
print("with it:", with_flag)
assert with_flag == LEVELS, with_flag
assert without == [10, 70, 100], without
PYTHON
